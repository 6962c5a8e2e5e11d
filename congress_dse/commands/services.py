"""Show every service: its mailbox, what it does, its restarts; those that wait most come first."""

import argparse
from typing import Any

from rich.console import RenderableType

from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import Column, one_line, seconds, state

COLUMNS = [
    Column("SERVICE", "service"),
    Column("WORKER", "worker"),
    Column("STATE", lambda s: state(s["state"])),
    Column("WAIT", "depth", number=True),
    Column("OLDEST", lambda s: seconds(s["oldest_s"]), number=True),
    Column("HANDLED", "handled", number=True),
    Column("FAILED", "failed", number=True),
    Column("DROPPED", lambda s: s["dropped"] + s["coalesced"], number=True),
    Column("RESTARTS", "restarts", number=True),
    Column("UP", lambda s: seconds(s["up_s"]), number=True),
    Column("IN HAND", lambda s: one_line(_hand(s), 50), long=True),
    Column("LAST ERROR", lambda s: one_line(s["last_error"], 60), long=True),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    parser.add_argument("--all", action="store_true", help="also what every worker has of its own")
    parser.add_argument("--kind", choices=["source", "service", "cage", "own"], help="these alone")
    parser.add_argument("--state", help="those in this state alone: idle, busy, waiting, down, ...")


def run(args: argparse.Namespace) -> int:
    """Ask, and show; return the exit code."""
    control = common.control(args)
    return showing.run(args, lambda: kept(asking.inquire(control, "services"), args), shown)


def kept(told: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """The services that are wanted, those that wait most first."""
    hidden = set() if args.all or args.kind else {"own", "cage"}
    found = [
        s
        for s in told["results"]
        if s["kind"] not in hidden
        and args.kind in {None, s["kind"]}
        and args.state in {None, s["state"]}
    ]
    found.sort(key=lambda s: (-s["depth"], -s["oldest_s"], s["service"], s["worker"]))
    return {**told, "results": found}


def shown(told: dict[str, Any]) -> RenderableType:
    """The services as a table."""
    return showing.whole(told, showing.table(COLUMNS, told["results"], "no service"))


def _hand(service: dict[str, Any]) -> str:
    hand = service["in_hand"].partition(" id ")[0].removeprefix("<")
    return f"{seconds(service['in_hand_s'])} {hand}" if hand else ""
