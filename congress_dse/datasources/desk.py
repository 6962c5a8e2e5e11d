"""The desk of a source: what anybody on the bus may ask it, beside a driver's own requests.

It is asked by the request `REQUEST` with the arguments ``{"what": ..., ...}``; `OPERATIONS` has a
row for each. An answer is plain data, as any link carries it, and never an error of ours: what
cannot be had is ``{"refused": kind, "text": ...}``, with a kind of `REFUSALS`. No answer is much
larger than `PART_B`: rows come in parts of one version of the table, which is held while it is
read.
"""

import logging
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from congress_dse import exceptions
from congress_dse.d6message import d6msg
from congress_dse.dataobj import dataObject
from congress_dse.datasources import values
from congress_dse.rows import plain as as_set
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)

REQUEST = "datasource"
REFUSALS = (
    "no-table",
    "no-data",
    "lazy",
    "not-written",
    "no-webhook",
    "bad-rows",
    "no-key",
    "not-held",
    "not-kept",
    "failed",
    "unknown",
)
PART_ROWS = 5000
PART_B = 700_000
HELD_S = 60.0  # an unfinished reading or writing is forgotten when it has rested so long
HELD_MAX = 8  # readings and writings that one source remembers at a time

_PLAIN = frozenset({str, int, float})

Args = dict[str, Any]


class Refused(exceptions.EngineError):
    """What a desk answers instead of what was asked for; stays inside this module."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Desk:
    """Answers for one source, in its turn or beside it."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._held: dict[Any, _Held] = {}
        self._sweep: Any = None

    def take(self, msg: d6msg) -> None:
        """Answer one request; what may take long is done beside the source."""
        args = msg.body if isinstance(msg.body, dict) else {}
        operation = OPERATIONS.get(str(args.get("what")))
        if operation is None:
            self._send(msg, _refusal("unknown", f"no operation {args.get('what')!r}"))
        elif operation.beside:
            self._source.spawn(self._beside, operation, msg, args)
        else:
            self._send(msg, self._answer(operation, args))

    def _beside(self, operation: "Operation", msg: d6msg, args: Args) -> None:
        answer = self._answer(operation, args)
        self._source.do(lambda: self._send(msg, answer))

    def _answer(self, operation: "Operation", args: Args) -> Args:
        try:
            return runtime.finish(operation.call(self, args))  # type: ignore[no-any-return]
        except Refused as error:
            return self._refused(error)
        except BaseException as error:
            failure = runtime.failure(error)
            LOG.exception("%s: %s failed", self._source.name, args.get("what"))
            return _refusal("failed", self._source.describe(failure))

    def _send(self, msg: d6msg, answer: Args) -> None:
        name = self._source.name
        self._source.send(d6msg(replyTo=name, type="rep", body=dataObject(answer), srcmsg=msg))

    # Reading.

    def tables(self, _args: Args) -> Args:
        """The names of the tables, as far as they are known by now."""
        return {"tables": self._names()}

    def schema(self, args: Args) -> Args:
        """The columns of every table, or of one."""
        known = self._source.schema()
        table = args.get("table")
        names = [table] if table else self._names()
        if table and table not in known:
            self._check_table(table)
        columns = [
            {"table_id": n, "columns": _columns(known.get(n) or self._guessed(n))} for n in names
        ]
        return {"tables": columns}

    def rows(self, args: Args) -> Args:
        """One part of the rows of a table: its first, or the one that `marker` stands for.

        `unless` is the (epoch, version) that the asker has: ``{"same": true}`` if it is that still.
        """
        table, marker = str(args.get("table")), str(args.get("marker") or "")
        published = self._published(table)
        mark = list(published.mark())
        answer = {"epoch": mark[0], "version": mark[1], **self._staleness(table)}
        if not marker and args.get("unless") == mark:
            return {**answer, "same": True}
        at = 0
        if marker:
            mark, at = _place(marker)
            answer |= {"epoch": mark[0], "version": mark[1]}
        rows = self._snapshot(table, mark, published, fresh=not marker)
        page = part(rows, at, int(args.get("limit") or 0))
        after = at + len(page)
        more = after < len(rows)
        if not more:
            self._held.pop((table, *mark), None)
        return {
            **answer,
            "rows": page,
            "total": len(rows),
            "marker": f"{mark[0]}.{mark[1]}.{after}" if more else "",
        }

    def reads(self, args: Args) -> Args:
        """The first parts of several reads, each a table, how many of its rows, and `unless`."""
        parts = []
        for table, limit, unless in args.get("reads") or ():
            try:
                parts.append(self.rows({"table": table, "limit": limit, "unless": unless}))
            except Refused as error:
                parts.append(self._refused(error))
        return {"parts": parts}

    def status(self, _args: Args) -> Args:
        """The status in Congress's form, and what is stale."""
        return {"status": plain(self._source.get_status()), **self._staleness("")}

    def actions(self, _args: Args) -> Args:
        """What the source can be told to do."""
        known = getattr(self._source, "get_actions", None)
        return {"actions": plain(known()["results"]) if known is not None else []}

    # Doing.

    def refresh(self, _args: Args) -> Args:
        """Read the source as soon as possible."""
        self._source.request_refresh()
        return {}

    def execute(self, args: Args) -> Args:
        """Have an action done; how it ends is in the log alone."""
        execute = getattr(self._source, "execute", None)
        if execute is None:
            LOG.warning("%s: can be told to do nothing", self._source.name)
        else:
            self._source.spawn(self._executed, execute, str(args.get("name")), args.get("args"))
        return {}

    def write(self, args: Args) -> Args:
        """Replace a table. Rows that come in parts have one `id`; the last part is `done`.

        They are `rows`, or all their `cells`, so many (`width`) to a row: the lighter message.
        """
        replace = getattr(self._source, "update_entire_data", None)
        if replace is None:
            raise Refused("not-written", f"{self._source.name} is read, and not written from here")
        rows = args.get("rows") if "cells" not in args else _cut(args["cells"], args.get("width"))
        if args.get("id"):
            rows = self._gathered(str(args["id"]), rows, bool(args.get("done")))
            if rows is None:
                return {}
        try:
            return {"report": plain(runtime.finish(replace(str(args.get("table")), rows)))}
        except exceptions.InvalidRows as error:
            raise Refused("bad-rows", str(error)) from error
        except exceptions.SourceError as error:
            raise Refused("not-kept", self._source.describe(error)) from error

    def webhook(self, args: Args) -> Args:
        """Give what a webhook brought to the driver."""
        handler = getattr(self._source, "process_webhook_notification", None)
        if handler is None:
            raise Refused("no-webhook", f"{self._source.name} takes no webhook")
        try:
            runtime.finish(handler(args.get("payload")))
        except NotImplementedError as error:
            raise Refused("no-webhook", f"{self._source.name} takes no webhook") from error
        except KeyError as error:
            raise Refused(
                "no-key", f"{self._source.name}: the notification lacks {error}"
            ) from error
        return {}

    # Inside.

    def _refused(self, error: Refused) -> Args:
        """A refusal; what a source lacks that has just been made may be there soon."""
        soon = error.kind in {"no-table", "no-data"} and self._source.beginning()
        return {**_refusal(error.kind, str(error)), **({"soon": True} if soon else {})}

    def _names(self) -> list[str]:
        source = self._source
        known = {*source.schema(), *source.state}
        return sorted(str(name) for name in known)

    def _check_table(self, table: str) -> None:
        source = self._source
        held = source.pubdata.get(table)
        published = held is not None and held.published and not source.reserved_dataindex(table)
        if not published and table not in self._names():
            raise Refused("no-table", f"{source.name} has no table {table!r}")

    def _published(self, table: str) -> Any:
        """The table as it is published; raises Refused where there is nothing to read."""
        self._check_table(table)
        source = self._source
        if table not in source.pubdata or not source.pubdata[table].published:
            if source.lazy(table):
                text = f"{source.name}:{table} is lazy: it is read while somebody follows it"
                raise Refused("lazy", text)
            stale = self._staleness(table)
            raise Refused("no-data", _no_data(f"{source.name}:{table}", stale))
        return source.pubdata[table]

    def _staleness(self, table: str) -> Args:
        """Why a table is not up to date, for how long, and when it may be again."""
        stale = self._source.staleness(table)
        return {"stale": plain(stale)} if stale else {}

    def _guessed(self, table: str) -> list[str]:
        """Columns of a table whose driver has not said how they are called."""
        held = self._source.pubdata.get(table)
        rows = as_set(held.held()) if held is not None else None
        if not isinstance(rows, set | frozenset) or not rows:
            return []
        first = next(iter(rows))
        return [f"c{at}" for at in range(len(first) if isinstance(first, tuple) else 1)]

    def _snapshot(self, table: str, mark: list[int], published: Any, fresh: bool) -> list[Any]:
        """Every row of one version of a table; the same list while it is being read."""
        key = (table, *mark)
        held = self._held.get(key)
        if held is None:
            if not fresh and list(published.mark()) != mark:
                text = (
                    f"{self._source.name}:{table}: the version that was read is not kept any more"
                )
                raise Refused("not-held", text)
            data = as_set(published.held())
            held = _Held(list(data) if isinstance(data, set | frozenset) else [data])
        self._hold(key, held)
        rows: list[Any] = held.what
        return rows

    def _gathered(self, id_: str, rows: Any, done: bool) -> list[Any] | None:
        """The rows of all parts, with the last one; None before."""
        held = self._held.pop(id_, None) or _Held([])
        held.what.extend(rows or ())
        if done:
            return list(held.what)
        self._hold(id_, held)
        return None

    def _hold(self, key: Any, held: "_Held") -> None:
        self._held.pop(key, None)
        self._held[key] = held
        held.until = runtime.now() + HELD_S
        while len(self._held) > HELD_MAX:
            del self._held[next(iter(self._held))]
        if self._sweep is None:
            self._source.do(self._arm)

    def _arm(self) -> None:
        if self._sweep is None and self._held:
            self._sweep = self._source.after(HELD_S, self._forget)

    def _forget(self) -> None:
        self._sweep = None
        now = runtime.now()
        self._held = {key: held for key, held in self._held.items() if held.until > now}
        self._arm()

    def _executed(self, execute: Callable[..., Any], name: str, args: Any) -> None:
        try:
            runtime.finish(execute(name, args or {}))
        except BaseException as error:  # noqa: BLE001 - what is no failure is raised again
            described = self._source.describe(runtime.failure(error))
            LOG.warning("%s: action %s failed: %s", self._source.name, name, described)


class _Held:
    """What an unfinished reading or writing holds."""

    __slots__ = ("until", "what")

    def __init__(self, what: list[Any]) -> None:
        self.what = what
        self.until = 0.0


class Operation(NamedTuple):
    """One thing that a desk does; `beside` the source where it may wait."""

    call: Callable[[Desk, Args], Args]
    beside: bool = False


OPERATIONS = {
    "tables": Operation(Desk.tables),
    "schema": Operation(Desk.schema),
    "rows": Operation(Desk.rows),
    "reads": Operation(Desk.reads),
    "status": Operation(Desk.status),
    "actions": Operation(Desk.actions),
    "refresh": Operation(Desk.refresh),
    "execute": Operation(Desk.execute),
    "write": Operation(Desk.write, beside=True),
    "webhook": Operation(Desk.webhook, beside=True),
}


def plain(value: Any) -> Any:
    """`value` as data that any link carries; what is none is text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    return str(value)


def _refusal(kind: str, text: str) -> Args:
    assert kind in REFUSALS
    return {"refused": kind, "text": text}


def _cut(cells: Any, width: Any) -> values.Cut:
    """Rows of `width` cells each."""
    if not isinstance(cells, list) or not isinstance(width, int) or width < 1:
        raise Refused("bad-rows", "cells that are no rows")
    if len(cells) % width:
        raise Refused("bad-rows", f"{len(cells)} cells are no rows of {width}")
    return values.Cut(cells, width)


def _no_data(table: str, stale: Args) -> str:
    because = f": {stale['stale']['cause']}" if stale else ""
    return f"{table} has no data yet{because}"


def _columns(columns: Iterable[Any]) -> list[dict[str, Any]]:
    return [
        {"name": c, "description": None}
        if isinstance(c, str)
        else {"name": c["name"], "description": c.get("desc")}
        for c in columns
    ]


def _place(marker: str) -> tuple[list[int], int]:
    """The version, and the place in it, that a marker stands for."""
    parts = marker.split(".")
    if len(parts) != 3 or not all(p.isascii() and p.isdigit() and len(p) < 25 for p in parts):
        raise Refused("not-held", f"marker {marker[:60]!r} is none that was given out")
    return [int(parts[0]), int(parts[1])], int(parts[2])


def part(rows: list[Any], at: int, limit: int) -> list[Any]:
    """The rows from `at` on that one answer takes."""
    page = [plain_row(row) for row in rows[at : at + min(limit or PART_ROWS, PART_ROWS)]]
    while len(page) > 1 and len(repr(page).encode("utf-8", "replace")) > PART_B:
        page = page[: len(page) // 2]
    return page


def plain_row(row: Any) -> Any:
    """A row of scalars that JSON and every link can carry."""
    if not isinstance(row, tuple):
        return (values.scalar(row),)
    return row if set(map(type, row)) <= _PLAIN and _finite(row) else values.row(row)


def _finite(row: tuple[Any, ...]) -> bool:
    return all(type(v) is not float or math.isfinite(v) for v in row)
