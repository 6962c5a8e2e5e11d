"""What a cage knows of its tables, of who follows them, and of its sources, as plain data.

As in `facts`, nothing here waits.
"""

import datetime as dt
from collections import OrderedDict
from typing import Any

from congress_dse import facts
from congress_dse.datasources import desk
from congress_dse.datasources.datasource_driver import STALE, DataSourceDriver
from congress_dse.facts import Fact, age
from congress_dse.publishing import RESERVED
from congress_dse.rows import Rows, plain as as_set
from congress_dse.runtime import chosen as runtime

HELD_MAX = 8  # versions of tables that are held for readers of pages
HELD_S = 60.0
SHOWN_MAX = 2000  # rows of one change that are told


def tables(cage: Any) -> list[Fact]:
    """Every table that was published, without those of the engine's own."""
    now = runtime.now()
    return [
        _table(service, name, dataindex, table, now)
        for name, service in facts.every(cage)
        for dataindex, table in list(service.pubdata.items())
        if table.published and dataindex not in RESERVED and service is not cage
    ]


def subscriptions(cage: Any) -> list[Fact]:
    """Every subscription of a service here, and how far it has come with each publisher."""
    return [
        {
            "subscriber": name,
            "key": sub.key,
            "table": sub.dataindex,
            "depth": len(service.inbox) if service.inbox is not None else 0,
            "oldest_s": age(facts.counts(service).oldest_s),
            "publishers": sub.progress(),
        }
        for name, service in facts.every(cage)
        for sub in list(service.subdata.values())
        if sub.lasting and sub.dataindex not in RESERVED
    ]


def sources(cage: Any) -> list[Fact]:
    """Every source: how its reads fare, and what is not up to date."""
    now = runtime.now()
    return [
        _source(name, service, now)
        for name, service in facts.every(cage)
        if isinstance(service, DataSourceDriver)
    ]


class Pages:
    """The rows of tables in pages: a version that is being read is held until it was."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[float, list[Any]]] = OrderedDict()

    def read(self, cage: Any, service: str, table: str, limit: int, marker: str) -> list[Fact]:
        """One page of a table of `service`; empty where it is not here.

        With the marker of a version that is not held any more: ``{"gone": true}``.
        """
        owner = dict(facts.every(cage)).get(service)
        published = owner.pubdata.get(table) if owner is not None else None
        if published is None or not published.published:
            return []
        mark = f"{published.mark().epoch}.{published.mark().version}"
        at = 0
        if marker:
            mark, _, place = marker.rpartition(".")
            at = int(place) if place.isascii() and place.isdigit() and len(place) < 12 else 0
        rows = self._rows(f"{service}~{table}~{mark}", published, fresh=not marker)
        if rows is None:
            return [{"gone": True}]
        part = desk.part(rows, at, limit)
        epoch, _, version = mark.partition(".")
        more = at + len(part) < len(rows)
        known = owner.schema().get(table, ()) if isinstance(owner, DataSourceDriver) else ()
        return [
            {
                "service": service,
                "table": table,
                "epoch": int(epoch),
                "version": int(version),
                "total": len(rows),
                "columns": [c if isinstance(c, str) else c["name"] for c in known],
                "rows": part,
                "marker": f"{mark}.{at + len(part)}" if more else "",
            }
        ]

    def _rows(self, key: str, published: Any, fresh: bool) -> list[Any] | None:
        now = runtime.now()
        for old in [k for k, (until, _) in list(self._held.items()) if until < now]:
            self._held.pop(old, None)
        held = self._held.get(key)
        if held is None and not fresh:
            return None
        if held is None:
            data = as_set(published.held())
            rows = list(data) if isinstance(data, set | frozenset) else [data]
        else:
            rows = held[1]
        self._held[key] = (now + HELD_S, rows)
        while len(self._held) > HELD_MAX:
            self._held.popitem(last=False)
        return rows


class Tails:
    """Those who look again and again at a table: what each has seen of it."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[float, Any, frozenset[Any]]] = OrderedDict()

    def changes(self, cage: Any, service: str, table: str, ticket: str) -> list[Fact]:
        """What changed since `ticket` last looked; at first, and after a pause, all rows.

        Empty where the table is not here; ``{"same": true}`` where it is as it was.
        """
        owner = dict(facts.every(cage)).get(service)
        published = owner.pubdata.get(table) if owner is not None else None
        if published is None or not published.published:
            return []
        now, mark = runtime.now(), published.mark()
        for old in [k for k, (until, *_) in list(self._seen.items()) if until < now]:
            self._seen.pop(old, None)
        _, had, before = self._seen.pop(ticket, (0.0, None, frozenset()))
        rows = before if had == mark else _frozen(published.held())
        self._seen[ticket] = (now + HELD_S, mark, rows)
        while len(self._seen) > HELD_MAX:
            self._seen.popitem(last=False)
        if had == mark:
            return [{"same": True}]
        added, removed = rows - before, before - rows
        return [
            {
                "service": service,
                "table": table,
                "epoch": mark.epoch,
                "version": mark.version,
                "total": len(rows),
                "snapshot": had is None,
                "added": [desk.plain_row(row) for row in list(added)[:SHOWN_MAX]],
                "removed": [desk.plain_row(row) for row in list(removed)[:SHOWN_MAX]],
                "cut": max(0, len(added) - SHOWN_MAX) + max(0, len(removed) - SHOWN_MAX),
            }
        ]


def _frozen(data: Any) -> frozenset[Any]:
    rows = as_set(data)
    return frozenset(rows) if isinstance(rows, set | frozenset) else frozenset([(str(rows),)])


def _table(service: Any, name: str, dataindex: str, table: Any, now: float) -> Fact:
    mark, data = table.mark(), table.held()
    is_rows = isinstance(data, Rows | set | frozenset)
    stale = service.staleness(dataindex) if isinstance(service, DataSourceDriver) else {}
    return {
        "service": name,
        "table": dataindex,
        "rows": len(data) if is_rows else None,
        "epoch": mark.epoch,
        "version": mark.version,
        "age_s": age(now - table.changed_at) if table.changed_at else None,
        "stale": _aged(stale) if stale else None,
        "internal": dataindex == STALE,
        "followers": len(table.followers()),
    }


def _source(name: str, source: Any, now: float) -> Fact:
    polling = getattr(source, "polling", None)
    own = [
        t for n, t in list(source.pubdata.items()) if t.published and n not in {*RESERVED, STALE}
    ]
    held = [t.held() for t in own]
    error = source.last_error
    updated = source.last_updated_time
    return {
        "source": name,
        "class": f"{type(source).__module__}.{type(source).__qualname__}",
        "driver": source.get_datasource_info()["id"],
        "state": _source_state(source, polling),
        "tables": len(own),
        "rows": sum(len(d) for d in held if isinstance(d, Rows | set | frozenset)),
        "initialized": source.initialized,
        "updates": source.number_of_updates,
        "last_updated": None if updated is None else updated.astimezone(dt.UTC).isoformat(),
        "last_error": "" if error is None else source.describe(error),
        "stale": [
            {"table": t, "cause": s.cause, "since": s.since.isoformat(), "age_s": _since(s.since)}
            for t, s in list(source.stale.items())
        ],
        "subscribers": len({n for n, t in source.subscriber_list() if t not in RESERVED}),
        "lazy": sorted(getattr(source, "lazy_tables", ())),
        "poll": None if polling is None else _poll(source, polling, now),
    }


def _source_state(source: Any, polling: Any) -> str:
    if source.stale:
        return "down" if polling is not None and polling.open else "stale"
    if not source.initialized:
        return "starting"
    return "fresh"


def _poll(source: Any, polling: Any, now: float) -> Fact:
    """How a source that polls fares; `next_s` is None while a poll runs, and where none is due."""
    due, since = polling.due(), polling.running_since
    return {
        "every_s": polling.period_s,
        "deadline_s": source.poll_deadline,
        "running_s": None if since is None else age(now - since),
        "last_s": polling.took_s,
        "last_good_s": None if polling.last_good is None else age(now - polling.last_good),
        "next_s": None if due is None else age(due - now),
        "polls": polling.count,
        "failures": polling.failed_count,
        "failures_in_a_row": polling.failures,
        "circuit": "open" if polling.open else "closed",
    }


def _aged(stale: dict[str, Any]) -> Fact:
    return {**stale, "age_s": age(stale["age_s"]), "retry_s": age(stale["retry_s"])}


def _since(moment: dt.datetime) -> float:
    return age((dt.datetime.now(dt.UTC) - moment).total_seconds())
