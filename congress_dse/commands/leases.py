"""Show which sources this engine may run, of several that are coordinated, and which it does."""

import argparse
from typing import Any

from rich.console import RenderableType

from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import Column, seconds

COLUMNS = [
    Column("SOURCE", "source"),
    Column("BELONGS TO", lambda one: one["pinned"] or "any"),
    Column("LEASED", lambda one: "yes" if one["leased"] else "no"),
    Column("FOR", lambda one: seconds(one["for_s"]) if one["leased"] else "", number=True),
    Column("RUNS IN", "worker"),
]

add_arguments = common.add_control


def run(args: argparse.Namespace) -> int:
    """Ask, and show; return the exit code."""
    control = common.control(args)
    return showing.run(args, lambda: asking.inquire(control, "leases"), shown)


def shown(told: dict[str, Any]) -> RenderableType:
    """Each source once: as the worker that runs it says, or any."""
    found: dict[str, dict[str, Any]] = {}
    for one in told["results"]:
        if one["runs"] or one["source"] not in found:
            found[one["source"]] = {**one, "worker": one["worker"] if one["runs"] else ""}
    rows = [found[name] for name in sorted(found)]
    return showing.whole(told, showing.table(COLUMNS, rows, "no source is leased here"))
