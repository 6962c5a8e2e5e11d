"""OpenStack's events as tables: the last events, and of each resource the state they leave it in.

A pure machine: events and the time come in, tables that changed come out. An event that comes
again is known by its message id. One that comes late, by its time stamp, changes no state that a
later one has set, nor brings back what a later one has deleted.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Row = tuple[Any, ...]

EVENTS = "events"
KNOWN_MAX = 10_000  # message ids, and times of resources, that are remembered
COLUMNS = {
    EVENTS: ("id", "event_type", "publisher", "timestamp", "resource_id", "project_id"),
    "instances": ("id", "name", "state", "host", "tenant_id", "user_id"),
    "ports": ("id", "name", "status", "network_id", "device_id", "tenant_id"),
    "networks": ("id", "name", "status", "admin_state_up", "tenant_id"),
    "images": ("id", "name", "status", "visibility", "owner", "size"),
    "volumes": ("id", "name", "status", "size", "volume_type", "tenant_id"),
}


@dataclass(frozen=True)
class Kind:
    """The events of one kind of resource: their prefix, table, and names of its columns' fields."""

    prefix: str
    table: str
    fields: tuple[tuple[str, ...], ...]  # of each column, the names it may have, best first
    inside: str = ""  # where in the payload the resource is


KINDS = (
    Kind(
        "compute.instance.",
        "instances",
        (
            ("instance_id",),
            ("display_name",),
            ("state",),
            ("host",),
            ("tenant_id",),
            ("user_id",),
        ),
    ),
    Kind(
        "instance.",
        "instances",
        (("uuid",), ("display_name",), ("state",), ("host",), ("tenant_id",), ("user_id",)),
        "nova_object.data",
    ),
    Kind(
        "port.",
        "ports",
        (
            ("id", "port_id"),
            ("name",),
            ("status",),
            ("network_id",),
            ("device_id",),
            ("tenant_id", "project_id"),
        ),
        "port",
    ),
    Kind(
        "network.",
        "networks",
        (
            ("id", "network_id"),
            ("name",),
            ("status",),
            ("admin_state_up",),
            ("tenant_id", "project_id"),
        ),
        "network",
    ),
    Kind(
        "image.",
        "images",
        (("id",), ("name",), ("status",), ("visibility", "is_public"), ("owner",), ("size",)),
    ),
    Kind(
        "volume.",
        "volumes",
        (
            ("volume_id",),
            ("display_name",),
            ("status",),
            ("size",),
            ("volume_type",),
            ("tenant_id",),
        ),
    ),
)
DELETED = (".delete.end", "image.delete")


class Events:
    """The tables of one stream of events."""

    def __init__(self, events_max: int, events_age_s: float) -> None:
        self._events_max = events_max
        self._events_age_s = events_age_s
        self._events: OrderedDict[str, tuple[float, Row]] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._changed_at: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._state: dict[str, dict[str, Row]] = {t: {} for t in COLUMNS if t != EVENTS}
        self.repeated = 0

    def take(self, event: Mapping[str, Any], now: float) -> set[str]:
        """Take one event; return the tables that changed, none for one that came before.

        `event` has ``message_id``, ``timestamp``, ``event_type``, ``publisher_id``, ``payload``.
        """
        ident = str(event["message_id"])
        if ident in self._known:
            self.repeated += 1
            return set()
        _remember(self._known, ident, None)
        kind = next((k for k in KINDS if event["event_type"].startswith(k.prefix)), None)
        found = resources(event["payload"], kind) if kind is not None else []
        row = _event_row(event, found[0] if found else {}, kind)
        self._events[ident] = (now, row)
        changed = {EVENTS}
        for resource in found:
            if kind is not None and self._change(kind, resource, event):
                changed.add(kind.table)
        self.expire(now)
        return changed

    def expire(self, now: float) -> bool:
        """Let go of events that are too old or too many; return whether there were any."""
        before = len(self._events)
        while len(self._events) > self._events_max:
            self._events.popitem(last=False)
        while self._events and self._events_age_s:
            since, _ = next(iter(self._events.values()))
            if now - since <= self._events_age_s:
                break
            self._events.popitem(last=False)
        return len(self._events) < before

    def due(self) -> float | None:
        """When the oldest event is too old, or None."""
        if not self._events or not self._events_age_s:
            return None
        return next(iter(self._events.values()))[0] + self._events_age_s

    def rows(self, table: str) -> set[Row]:
        """The rows of a table."""
        if table == EVENTS:
            return {row for _, row in self._events.values()}
        return set(self._state[table].values())

    def _change(self, kind: Kind, resource: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
        ident = cell(resource, kind.fields[0])
        if not ident:
            return False
        at, key = str(event["timestamp"]), (kind.table, str(ident))
        if at < self._changed_at.get(key, ""):
            return False
        _remember(self._changed_at, key, at)
        state = self._state[kind.table]
        if event["event_type"].endswith(DELETED):
            return state.pop(str(ident), None) is not None
        if not event["event_type"].endswith(".start"):  # what is only begun has changed nothing
            old = state.get(str(ident))
            # A payload may lack what an earlier one had.
            cells = (cell(resource, names) for names in kind.fields)
            row = tuple(
                new if new is not None or old is None else old[column]
                for column, new in enumerate(cells)
            )
            state[str(ident)] = tuple("" if each is None else each for each in row)
        return state.get(str(ident)) is not None


def resources(payload: Any, kind: Kind) -> list[Mapping[str, Any]]:
    """The resources that a payload tells of: itself, the one inside it, or many."""
    if not isinstance(payload, Mapping):
        return []
    many = payload.get(f"{kind.inside}s") if kind.inside else None
    if isinstance(many, list):
        return [each for each in many if isinstance(each, Mapping)]
    inside = payload.get(kind.inside) if kind.inside else None
    return [inside if isinstance(inside, Mapping) else payload]


def cell(resource: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value of the first of these names that has one, as it stands in a row, or None."""
    value = next((resource[name] for name in names if resource.get(name) is not None), None)
    plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return value if value is None or plain else str(value)


def _event_row(event: Mapping[str, Any], resource: Mapping[str, Any], kind: Kind | None) -> Row:
    ident = cell(resource, kind.fields[0]) if kind is not None else None
    project = cell(resource, ("tenant_id", "project_id", "owner"))
    head = (event["message_id"], event["event_type"], event["publisher_id"], event["timestamp"])
    return (*(str(each) for each in head), ident or "", project or "")


def _remember(known: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > KNOWN_MAX:
        known.popitem(last=False)
