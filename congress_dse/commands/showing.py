"""Showing facts: as tables for people, in colour at a terminal, or as JSON for machines."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from congress_dse.exceptions import ControlError

Fact = dict[str, Any]
WIDE = 200  # columns of a table that goes into a pipe

GOOD, BAD, DIM, WARN = "green", "bold red", "dim", "yellow"
STATES = {
    "idle": DIM,
    "busy": GOOD,
    "waiting": WARN,
    "down": BAD,
    "given up": BAD,
    "fresh": GOOD,
    "ready": GOOD,
    "up": GOOD,
    "stale": WARN,
    "starting": WARN,
    "blocked": BAD,
    "silent": BAD,
    "error": BAD,
    "warning": WARN,
}


class Column(NamedTuple):
    """One column: its head, what a fact has for it, and whether it is a number.

    A `long` one is cut where the terminal is too narrow for all.
    """

    head: str
    cell: str | Callable[[Fact], Any]
    number: bool = False
    long: bool = False


def run(args: Any, ask: Callable[[], Any], show: Callable[[Any], RenderableType]) -> int:
    """Ask, and print the answer as wanted; return the exit code."""
    try:
        told = ask()
    except ControlError as error:
        sys.stderr.write(f"congress-dse: {error}\n")
        return 1
    if args.json:
        sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    else:
        console().print(show(told), soft_wrap=True)
    return 0


def console() -> Console:
    """Where people read; a pipe has no colours, and long lines."""
    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)


def table(columns: Iterable[Column], facts: Iterable[Fact], empty: str = "none") -> RenderableType:
    """Facts as the rows of a table."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    chosen = list(columns)
    for column in chosen:
        made.add_column(
            Text(column.head, no_wrap=True, overflow="ellipsis"),
            justify="right" if column.number else "left",
            no_wrap=not column.long,  # what may wrap gives way first
            overflow="ellipsis",
        )
    for fact in facts:
        made.add_row(*(_cell(column, fact) for column in chosen))
    return made if made.row_count else Text(empty, style=DIM)


def asked(told: Fact) -> list[RenderableType]:
    """A line for each worker that is silent, or whose hub is blocked, and where."""
    lines: list[RenderableType] = []
    for one in told.get("asked", ()):
        if not one["answered"]:
            lines.append(Text(f"{one['worker']} (pid {one['pid']}): {one['cause']}", style=BAD))
        elif one["blocked_s"]:
            text = (
                f"{one['worker']} (pid {one['pid']}): hub blocked for {seconds(one['blocked_s'])}"
            )
            lines.append(Text(f"{text}, {top(one['stack'])}", style=BAD))
    return lines


def whole(told: Fact, *parts: RenderableType) -> RenderableType:
    """What is shown of an answer: first who is not well."""
    return Group(*asked(told), *parts)


def seconds(value: float | None) -> str:
    """A duration as people read it."""
    if value is None:
        return "-"
    for limit, unit, size in ((1e-3, "µs", 1e-6), (1.0, "ms", 1e-3), (100.0, "s", 1.0)):
        if value < limit:
            return "0" if not value else f"{value / size:.3g} {unit}"
    for limit, unit, size in ((6000.0, "min", 60.0), (172_800.0, "h", 3600.0)):
        if value < limit:
            return f"{value / size:.0f} {unit}"
    return f"{value / 86_400:.0f} d"


def size(value: float | None) -> str:
    """A number of bytes as people read it."""
    left = float(value or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if left < 1000:
            return f"{left:.3g} {unit}"
        left /= 1000
    return f"{left:.3g} TB"


def top(stack: str) -> str:
    """The innermost frame of a stack, in one line."""
    frames = [line.strip() for line in stack.splitlines() if line.strip().startswith("File ")]
    return f"at {frames[-1][5:]}" if frames else "nobody knows where"


def state(word: str) -> Text:
    """A state in its colour."""
    return Text(word, style=STATES.get(word, ""))


def one_line(text: str, most: int = 100) -> str:
    """A text in one line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _cell(column: Column, fact: Fact) -> RenderableType:
    value = column.cell(fact) if callable(column.cell) else fact[column.cell]
    text = value if isinstance(value, Text) else Text("-" if value in {None, ""} else str(value))
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
