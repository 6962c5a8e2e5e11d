"""watch: follows tables and prints each snapshot and each delta, for people or for machines."""

import json
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TextIO

from congress_dse import deepsix
from congress_dse.dataobj import dataObject

GREEN, RED, DIM, PLAIN = "\033[32m", "\033[31m", "\033[2m", "\033[0m"


class Printer:
    """Writes updates of tables to a stream."""

    def __init__(self, stream: TextIO, colour: bool, as_json: bool) -> None:
        self._stream = stream
        self._colour = colour
        self.show: Callable[[str, str, dataObject], None] = self._json if as_json else self._text

    def _text(self, source: str, table: str, update: dataObject) -> None:
        """A head line with version and size, then a line for each row added or removed."""
        at = datetime.now().astimezone().strftime("%H:%M:%S")
        kind = (
            "snapshot" if update.since is None else f"+{len(update.added)} -{len(update.removed)}"
        )
        rows = len(update.data)
        head = f"{at} {source}:{table} version {update.version}, {rows} rows: {kind}"
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

    def _tint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._colour else text

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class Watch(deepsix.deepSix):
    """A service that follows tables and prints them."""

    def follow(
        self, wanted: Iterable[tuple[str, str]], printer: Printer, lost: Callable[[], Any]
    ) -> None:
        """Subscribe to each (source, table); `lost` is called when nobody reads any more."""
        for source, table in wanted:
            self.subscribe(source, table, callback=lambda msg: _show(msg, printer, lost))


def _show(msg: Any, printer: Printer, lost: Callable[[], Any]) -> None:
    if not msg.body.version:
        return  # the source has not published this table yet
    try:
        printer.show(msg.replyTo, msg.dataindex, msg.body)
    except BrokenPipeError:
        sys.stdout = None  # nothing more can be written, not even by the interpreter's own exit
        lost()


def readable(rows: Iterable[Any]) -> list[Any]:
    """`rows` in an order that does not change: column by column, values of one type together."""
    return sorted(rows, key=lambda row: [(type(v).__name__, _comparable(v)) for v in row])


def _comparable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) else str(value)


def _cells(row: Iterable[Any]) -> str:
    return "  ".join("" if value is None else str(value) for value in row)
