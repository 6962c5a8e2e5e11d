"""What a cage knows of itself, as plain data for operators: read, and never waited for.

Nothing here waits, takes a lock or asks anybody, so it may be read from a native thread while the
hub of the cage is blocked. Ages and durations are in seconds; what a name means is written beside
it in the routes of the API.
"""

import datetime as dt
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from congress_dse import deepsix
from congress_dse.datasources.datasource_driver import DataSourceDriver
from congress_dse.datasources.desk import plain
from congress_dse.deadletters import DeadLetter
from congress_dse.manager import posix
from congress_dse.runtime import chosen as runtime
from congress_dse.upkeep import label

Fact = dict[str, Any]

TRIES = 5  # at what changes under the reader's hand
BODY_MAX = 4000  # characters of a dead letter's body that are shown
STACK_MAX = 20_000  # characters of one stack


def read(call: Callable[..., Any], *args: Any) -> Any:
    """What `call` says; tried again where a dict changed while a native thread went through it."""
    for _ in range(TRIES - 1):
        try:
            return call(*args)
        except (RuntimeError, IndexError, KeyError):
            continue
    return call(*args)


def every(cage: Any) -> list[tuple[str, Any]]:
    """(name, service) of all actors of `cage`, itself first."""
    found = [(n, e.get("object")) for n, e in list(cage.services.items()) if n != cage.name]
    actors = [(n, s) for n, s in found if isinstance(s, deepsix.deepSix)]
    return [(cage.name, cage), *actors]


def node(cage: Any, worker: str = "") -> Fact:
    """The node as a whole."""
    boxes = [counts(service) for _, service in every(cage)]
    return {
        "node": cage.bus.node,
        "worker": worker,
        "pid": os.getpid(),
        "up_s": age(time.time() - cage.bus.epoch / 1e9),
        "cpu_s": age(time.process_time()),
        "rss_b": posix.resident_b(),
        "services": len(boxes),
        "depth": sum(box.depth for box in boxes),
        "oldest_s": age(max(box.oldest_s for box in boxes)),
        "handled": sum(box.handled for box in boxes),
        "failed": sum(box.failed for box in boxes),
        "dead_letters": cage.dead_letters.statistics(),
        "open_asks": len(cage.asks),
        "ask_timeouts": cage.asks.timeouts,
        "failures": cage.upkeep.failures(),
        "clashes": dict(cage.bus.directory.clashes),
        "links": list(cage.bus.links),
        "stopping": cage.stopping,
    }


def services(cage: Any) -> list[Fact]:
    """Every service: its mailbox, what it does, and how often it was restarted."""
    lives = {child["name"]: child for group in cage.upkeep.tree() for child in group["children"]}
    failures = cage.upkeep.failures()
    return [_service(cage, n, s, lives.get(n, {}), failures.get(n, "")) for n, s in every(cage)]


def tree(cage: Any) -> list[Fact]:
    """The supervision of the cage: its groups, and the services in each."""
    states = {s["service"]: s for s in services(cage)}
    groups = cage.upkeep.tree()
    for group in groups:
        for child in group["children"]:
            seen = states.get(child["name"], {})
            child["state"] = seen.get("state", "down")
            child["class"] = seen.get("class", "")
            child["kind"] = seen.get("kind", "service")
    return [{"cage": cage.name, "groups": groups}]


def letters(cage: Any) -> list[Fact]:
    """The dead letters that are kept, newest first."""
    return [_letter(cage, one) for one in reversed(cage.letters())]


def links(cage: Any) -> list[Fact]:
    """Every link of whatever kind, with its nodes and the tables that cross it."""
    told = []
    for link in cage.bus.statistics():
        aged = {k: age(v) if isinstance(v, float) else plain(v) for k, v in link.items()}
        box = counts(cage.bus.links[link["name"]]) if link["name"] in cage.bus.links else None
        told.append({**aged, "link": aged.pop("name"), "depth": box.depth if box else 0})
    return told


def health(cage: Any) -> list[Fact]:
    """What is not as it should be: an ``error`` makes the engine not ready, a ``warning`` not."""
    found = [
        {"level": "error", "kind": "given up", "subject": name, "text": text}
        for name, text in cage.upkeep.failures().items()
    ]
    for link in cage.bus.statistics():
        state = str(link.get("state", "up"))
        if state != "up" or not link.get("ready", True):
            text = f"{state}: {link.get('error') or link.get('last_error') or 'no cause is known'}"
            found.append({"level": "error", "kind": "link", "subject": link["name"], "text": text})
    for name, service in every(cage):
        if isinstance(service, DataSourceDriver):
            for table, stale in list(service.stale.items()):
                text = f"table {table}: {stale.cause}"
                told = {"level": "warning", "kind": "stale", "subject": name, "text": text}
                found.append(told)
    return found


def routes(cage: Any) -> list[Fact]:
    """Every key that leads somewhere from here, and where: ``link`` is "" for what is here."""
    here = [(cage.bus.node, "", service) for service in list(cage.bus.announced.values())]
    far = [
        (node.id, node.link, service)
        for node in list(cage.bus.directory.nodes.values())
        for service in list(node.services.values())
    ]
    return [
        {"key": key, "service": service.name, "node": node, "link": link}
        for node, link, service in here + far
        for key in service.keys
    ]


def nodes(cage: Any) -> list[Fact]:
    """The far nodes that this one knows."""
    now = runtime.now()
    return [
        {
            "node": far.id,
            "link": far.link,
            "since_s": age(now - far.since),
            "heard_s": age(now - far.heard),
            "services": sorted(far.services),
        }
        for far in list(cage.bus.directory.nodes.values())
    ]


def waits(cage: Any) -> list[Fact]:
    """Who waits in its own turn for whom; see `circles` for who waits in a ring."""
    now = runtime.now()
    found = []
    for who, whom, what in cage.asks.waits():
        service = cage if who == cage.name else cage.service_object(who)
        since = getattr(service, "in_hand_since", now)
        at = service.top_frame() if service is not None else ""
        hand = getattr(service, "in_hand", None)
        found.append(
            {
                "who": who,
                "whom": whom,
                "what": what,
                "for_s": age(now - since),
                "in_hand": "" if hand is None else repr(hand),
                "at": at,
            }
        )
    return found


def stack(cage: Any, name: str, hub: int = 0) -> list[Fact]:
    """Where the service `name` is; `hub` is the thread of the hub, for who runs at this moment."""
    service = dict(every(cage)).get(name)
    if service is None:
        return []
    box = counts(service)
    waits = service.stack() if isinstance(service, deepsix.deepSix) else traceback.StackSummary()
    running = box.in_hand and hub and (not waits or runtime.coroutines.running(service))
    frame = sys._current_frames().get(hub) if running else None  # noqa: SLF001 - no other way in
    lines = waits.format() if frame is None else traceback.format_stack(frame)
    return [
        {
            "service": name,
            "running": bool(running),
            "in_hand": box.in_hand,
            "in_hand_s": age(box.in_hand_s),
            "depth": box.depth,
            "stack": "".join(lines)[-STACK_MAX:],
        }
    ]


def _service(cage: Any, name: str, service: Any, life: Fact, failure: str) -> Fact:
    box = counts(service)
    return {
        "service": name,
        "class": f"{type(service).__module__}.{type(service).__qualname__}",
        "kind": _kind(cage, name, service),
        "state": _state(cage, name, service, box, failure),
        "depth": box.depth,
        "capacity": box.capacity,
        "oldest_s": age(box.oldest_s),
        "received": box.received,
        "handled": box.handled,
        "failed": box.failed,
        "dropped": box.dropped,
        "coalesced": box.coalesced,
        "mailbox_s": age(box.mailbox_s),
        "handler_s": age(box.handler_s),
        "in_hand": box.in_hand,
        "in_hand_s": age(box.in_hand_s),
        "restarts": life.get("restarts", 0),
        "up_s": life.get("up_s"),
        "group": life.get("group", ""),
        "last_error": failure or service.last_failure or life.get("last_error", ""),
        "tables": sum(t.published for t in list(service.pubdata.values())),
        "keys": sorted({k.removeprefix("local.") for k in list(service.keys)} - {"allservices"}),
    }


def counts(service: Any) -> deepsix.ServiceStatistics:
    """The counts of a service; a cage's own are those of the actor that it is."""
    return deepsix.deepSix.statistics(service)


def _kind(cage: Any, name: str, service: Any) -> str:
    if service is cage:
        return "cage"
    if isinstance(service, DataSourceDriver):
        return "source"
    return "own" if label(name) != name else "service"


def _state(cage: Any, name: str, service: Any, box: Any, failure: str) -> str:
    if failure:
        return "given up"
    if not service.running:
        return "down"
    if cage.asks.waiting(name) is not None:
        return "waiting"
    return "busy" if box.in_hand else "idle"


def _letter(cage: Any, letter: DeadLetter) -> Fact:
    msg = letter.msg
    body = getattr(msg.body, "data", msg.body)
    return {
        "id": f"{cage.bus.node}~{letter.number}",
        "at": dt.datetime.fromtimestamp(letter.at, dt.UTC).isoformat("T", "milliseconds"),
        "age_s": age(time.time() - letter.at),
        "reason": letter.reason,
        "receiver": letter.receiver,
        "key": msg.key,
        "sender": msg.replyTo,
        "type": msg.type,
        "dataindex": msg.dataindex,
        "attempts": letter.attempts,
        "body": repr(body)[:BODY_MAX],
        "stack": letter.stack[-STACK_MAX:],
    }


def age(seconds: float) -> float:
    return round(max(0.0, seconds), 3)
