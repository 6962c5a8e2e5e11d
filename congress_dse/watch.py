"""watch: follows tables and prints each snapshot and each delta, for people or for machines."""

import json
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple, TextIO

from congress_dse import deepsix
from congress_dse.dataobj import dataObject
from congress_dse.datasources.datasource_driver import ALL, STALE

GREEN, RED, DIM, PLAIN = "\033[32m", "\033[31m", "\033[2m", "\033[0m"


class Change(NamedTuple):
    """A table became stale, or is so no more (kind ``fresh``)."""

    kind: str
    cause: str
    since: str


Show = Callable[[str, str, Any], None]


class Printer:
    """Writes updates of tables to a stream."""

    def __init__(self, stream: TextIO, colour: bool, as_json: bool) -> None:
        self._stream = stream
        self._colour = colour
        self.show: Show = self._json if as_json else self._text
        self.show_stale: Show = self._stale_json if as_json else self._stale_text

    def _text(self, source: str, table: str, update: dataObject) -> None:
        """A head line with version and size, then a line for each row added or removed."""
        kind = (
            "snapshot" if update.since is None else f"+{len(update.added)} -{len(update.removed)}"
        )
        rows = len(update.data)
        head = f"{_clock()} {source}:{table} version {update.version}, {rows} rows: {kind}"
        lines = [self._tint(DIM, head)]
        lines += [self._tint(RED, f"  - {_cells(row)}") for row in readable(update.removed)]
        lines += [self._tint(GREEN, f"  + {_cells(row)}") for row in readable(update.added)]
        self._write("\n".join(lines))

    def _json(self, source: str, table: str, update: dataObject) -> None:
        """One object in one line."""
        what = {
            "source": source,
            "table": table,
            "epoch": update.epoch,
            "version": update.version,
            "kind": "snapshot" if update.since is None else "delta",
            "added": readable(update.added),
            "removed": readable(update.removed),
        }
        self._write(json.dumps(what, default=str, ensure_ascii=False))

    def _stale_text(self, source: str, table: str, change: Change) -> None:
        name = source if table == ALL else f"{source}:{table}"
        if change.kind == "fresh":
            self._write(
                self._tint(DIM, f"{_clock()} {name} is up to date again; was stale: {change.cause}")
            )
        else:
            text = f"{_clock()} {name} is stale since {change.since}: {change.cause}"
            self._write(self._tint(RED, text))

    def _stale_json(self, source: str, table: str, change: Change) -> None:
        what = {"source": source, "table": table, "kind": change.kind}
        self._write(json.dumps({**what, "cause": change.cause, "since": change.since}))

    def _tint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._colour else text

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class Watch(deepsix.deepSix):
    """A service that follows tables and prints them."""

    announced = False

    def follow(
        self, wanted: Iterable[tuple[str, str]], printer: Printer, lost: Callable[[], Any]
    ) -> None:
        """Subscribe to each (source, table); `lost` is called when nobody reads any more."""
        tables: dict[str, set[str]] = {}
        for source, table in wanted:
            tables.setdefault(source, set()).add(table)
            self.subscribe(source, table, callback=_shown(printer.show, lost))
        for source, names in tables.items():
            show = _only(names, printer.show_stale)
            self.subscribe(source, STALE, callback=_shown(show, lost))


def _shown(show: Show, lost: Callable[[], Any]) -> Callable[[Any], None]:
    """A callback that shows what was published; a stream that nobody reads ends it."""

    def callback(msg: Any) -> None:
        if not msg.body.version:
            return  # the source has not published this table yet
        try:
            show(msg.replyTo, msg.dataindex, msg.body)
        except BrokenPipeError:
            sys.stdout = None  # nothing more can be written, not even by the interpreter's exit
            lost()

    return callback


def _only(names: set[str], show_stale: Show) -> Show:
    """Of what is stale in a source, show what concerns these tables; a new cause is no recovery."""

    def show(source: str, _table: str, update: dataObject) -> None:
        still = {table for table, _, _ in update.data}
        cured = [row for row in update.removed if row[0] not in still]
        for kind, rows in (("fresh", cured), ("stale", update.added)):
            for table, cause, since in readable(rows):
                if table in names or table == ALL:
                    show_stale(source, table, Change(kind, cause, since))

    return show


def _clock() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")


def readable(rows: Iterable[Any]) -> list[Any]:
    """`rows` in an order that does not change: column by column, values of one type together."""
    return sorted(rows, key=lambda row: [(type(v).__name__, _comparable(v)) for v in row])


def _comparable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) else str(value)


def _cells(row: Iterable[Any]) -> str:
    return "  ".join("" if value is None else str(value) for value in row)
