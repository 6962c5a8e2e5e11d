"""What a cage has counted, and what it measures at this moment, as series of metrics.

As in `facts`, nothing here waits. The links and desks that every node has are told by their kind:
their names have the numbers of processes in them, and would be ever new ones.
"""

import time
from typing import Any

from congress_dse import facts, tablefacts
from congress_dse.counters import Series
from congress_dse.manager import posix
from congress_dse.upkeep import label


def counted(cage: Any) -> list[Series]:
    """Everything that only rises."""
    found: dict[tuple[str, str, str], float] = {}
    lives = [(label(name), service) for name, service in facts.every(cage)]
    for name, service in lives:
        for what, value in cage.upkeep.counters(service).items():
            at = (what, _label_of(what), name)
            found[at] = found.get(at, 0.0) + value
    for name, past in list(cage.upkeep.past.items()):
        for what, value in list(past.items()):
            at = (what, _label_of(what), name)
            found[at] = found.get(at, 0.0) + value
    series = [[what, {key: name}, value] for (what, key, name), value in found.items()]
    letters = cage.dead_letters.statistics()["counts"]
    series += [["dead_letters", {"reason": reason}, n] for reason, n in letters.items()]
    series.append(["ask_timeouts", {}, cage.asks.timeouts])
    series += [["hub_blocks", {"service": label(n)}, m] for n, m in list(cage.blocks.items())]
    series.append(["cpu_seconds", {}, time.process_time()])
    return series


def measured(cage: Any) -> list[Series]:
    """Everything that rises and falls."""
    series: list[Series] = []
    for one in facts.services(cage):
        if one["kind"] != "own":
            labels = {"service": one["service"]}
            series.append(["mailbox_messages", labels, one["depth"]])
            series.append(["mailbox_oldest_seconds", labels, one["oldest_s"]])
            series.append(["service_up", labels, int(one["state"] not in {"down", "given up"})])
    for table in tablefacts.tables(cage):
        if not table["internal"] and table["rows"] is not None:
            labels = {"service": table["service"], "table": table["table"]}
            series.append(["table_rows", labels, table["rows"]])
    for source in tablefacts.sources(cage):
        labels = {"source": source["source"]}
        ages = [stale["age_s"] for stale in source["stale"]]
        series.append(["source_up", labels, int(source["state"] == "fresh")])
        series.append(["source_stale_seconds", labels, max(ages, default=0.0)])
    for link in facts.links(cage):
        labels = {"kind": str(link.get("kind", ""))}
        series.append(["links", {**labels, "state": str(link.get("state", ""))}, 1])
    series.append(["open_asks", {}, len(cage.asks)])
    series.append(["dead_letters_kept", {}, cage.dead_letters.statistics()["kept"]])
    series.append(["resident_memory_bytes", {}, posix.resident_b()])
    return series


def _label_of(what: str) -> str:
    return "source" if what.startswith("source_") else "service"
