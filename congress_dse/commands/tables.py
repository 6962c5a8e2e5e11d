"""Show every table: rows, version, age, staleness, and how far its followers lag."""

import argparse
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import BAD, WARN, Column, one_line, seconds

COLUMNS = [
    Column("TABLE", lambda t: f"{t['service']}:{t['table']}"),
    Column("WORKER", "worker"),
    Column("ROWS", "rows", number=True),
    Column("VERSION", "version", number=True),
    Column("CHANGED", lambda t: _ago(t["age_s"]), number=True),
    Column("FOLLOWERS", lambda t: len(t["subscribers"]), number=True),
    Column("LAG", lambda t: _lag(t["lag"]), number=True),
    Column("STALE", lambda t: _stale(t["stale"]), long=True),
]
FOLLOWERS = [
    Column("TABLE", lambda t: f"{t['service']}:{t['table']}"),
    Column("VERSION", "version", number=True),
    Column("FOLLOWER", "subscriber"),
    Column("WORKER", "worker"),
    Column("HAS", "has", number=True),
    Column("LAG", lambda t: _lag(t["lag"]), number=True),
    Column("FOR", lambda t: seconds(t["lag_s"]) if t["lag"] else "-", number=True),
    Column("WAITING", "depth", number=True),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    common.add_name(parser, "service", "service", "the tables of this service alone", "?")
    parser.add_argument("--lag", action="store_true", help="a line for each follower, worst first")
    parser.add_argument("--all", action="store_true", help="also tables of the engine's own")


def run(args: argparse.Namespace) -> int:
    """Ask, and show; return the exit code."""
    control = common.control(args)
    return showing.run(
        args,
        lambda: kept(asking.tables(control), args),
        lambda told: followers(told) if args.lag else shown(told),
    )


def kept(told: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """The tables that are wanted."""
    found = [
        t
        for t in told["results"]
        if (args.all or not t["internal"]) and args.service in {None, t["service"]}
    ]
    return {**told, "results": sorted(found, key=lambda t: (t["service"], t["table"]))}


def shown(told: dict[str, Any]) -> RenderableType:
    """The tables as a table."""
    return showing.whole(told, showing.table(COLUMNS, told["results"], "no table"))


def followers(told: dict[str, Any]) -> RenderableType:
    """Each follower of each table, the worst first."""
    lines = [
        {**t, **s, "version": t["version"], "has": s["version"]}
        for t in told["results"]
        for s in t["subscribers"]
    ]
    lines.sort(key=lambda line: -1 if line["lag"] is None else line["lag"], reverse=True)
    return showing.whole(told, showing.table(FOLLOWERS, lines, "nobody follows a table"))


def _ago(age_s: float | None) -> str:
    return "-" if age_s is None else f"{seconds(age_s)} ago"


def _lag(lag: int | None) -> Any:
    if lag is None:
        return Text("all", style=WARN)
    return Text(str(lag), style=WARN) if lag else "0"


def _stale(stale: dict[str, Any] | None) -> Any:
    if not stale:
        return ""
    return Text(f"{seconds(stale['age_s'])}: {one_line(stale['cause'], 60)}", style=BAD)
