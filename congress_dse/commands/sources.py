"""Show every source: its last poll, how long that took, failures, and what is not up to date."""

import argparse
from typing import Any

from rich.console import RenderableType

from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import Column, one_line, seconds, state

Fact = dict[str, Any]


def _of_poll(name: str) -> Any:
    return lambda s: seconds(s["poll"][name]) if s["poll"] else ""


def _good(source: Fact) -> str:
    poll = source["poll"]
    return f"{seconds(poll['last_good_s'])} ago" if poll and poll["last_good_s"] else ""


def _next(source: Fact) -> str:
    poll = source["poll"]
    if not poll:
        return ""
    if poll["running_s"] is not None:
        return f"runs {seconds(poll['running_s'])}"
    return "" if poll["next_s"] is None else f"in {seconds(poll['next_s'])}"


COLUMNS = [
    Column("SOURCE", "source"),
    Column("WORKER", "worker"),
    Column("DRIVER", "driver"),
    Column("STATE", lambda s: state(s["state"])),
    Column("TABLES", "tables", number=True),
    Column("ROWS", "rows", number=True),
    Column("EVERY", _of_poll("every_s"), number=True),
    Column("TOOK", _of_poll("last_s"), number=True),
    Column("GOOD", _good, number=True),
    Column("NEXT", _next, number=True),
    Column("FAILED", lambda s: s["poll"]["failures"] if s["poll"] else "", number=True),
    Column("FOLLOWERS", "subscribers", number=True),
    Column("NOT UP TO DATE", lambda s: one_line(_stale(s), 80), long=True),
]

add_arguments = common.add_control


def run(args: argparse.Namespace) -> int:
    """Ask, and show; return the exit code."""
    control = common.control(args)
    return showing.run(args, lambda: asking.inquire(control, "sources"), shown)


def shown(told: Fact) -> RenderableType:
    """The sources as a table."""
    found = sorted(told["results"], key=lambda s: s["source"])
    return showing.whole(told, showing.table(COLUMNS, found, "no source"))


def _stale(source: Fact) -> str:
    return "; ".join(
        f"{s['table']} for {seconds(s['age_s'])}: {s['cause']}" for s in source["stale"]
    )
