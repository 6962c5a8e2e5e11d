"""Show the engine as it lives, again and again: nodes, services, sources; Ctrl-C ends it."""

import argparse
import sys
import time
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from congress_dse.commands import asking, common, nodes, services, showing, sources
from congress_dse.commands.showing import DIM
from congress_dse.exceptions import ControlError

Fact = dict[str, Any]
EVERY_S = 1.0
SERVICES = 15  # that are shown at a terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    parser.add_argument("--once", action="store_true", help="show it once; so does a pipe")
    parser.add_argument("--every", type=float, default=EVERY_S, metavar="S", help="each S seconds")
    parser.add_argument("--all", action="store_true", help="also what every worker has of its own")


def run(args: argparse.Namespace) -> int:
    """Ask, and show; return the exit code."""
    control = common.control(args)
    args.kind = args.state = None
    if args.once or args.json or not sys.stdout.isatty():
        return showing.run(args, lambda: asked(control, args), shown)
    try:
        with Live(screen=True, auto_refresh=False, console=showing.console()) as live:
            while True:
                live.update(_seen(control, args), refresh=True)
                time.sleep(args.every)
    except KeyboardInterrupt:
        return 0


def asked(control: str, args: argparse.Namespace) -> Fact:
    """All at once, so that a blocked worker is waited for once."""
    told = asking.inquire(control, "overview")
    every = services.kept({"results": told.pop("services", [])}, args)["results"]
    return {
        **nodes.with_states(told),
        "services": every,
        "sources": told.get("sources", []),
    }


def shown(told: Fact) -> RenderableType:
    """Nodes, the services that wait most, and the sources."""
    few = told["services"][:SERVICES]
    left = len(told["services"]) - len(few)
    more = [Text(f"and {left} services more", style=DIM)] if left > 0 else []
    return showing.whole(
        told,
        showing.table(nodes.COLUMNS, told["results"], "no node"),
        "",
        showing.table(services.COLUMNS, few, "no service"),
        *more,
        "",
        showing.table(sources.COLUMNS, told["sources"], "no source"),
    )


def _seen(control: str, args: argparse.Namespace) -> RenderableType:
    try:
        told = asked(control, args)
    except ControlError as error:
        return Text(str(error), style=showing.BAD)
    return Group(
        Text(time.strftime("congress-dse top  %H:%M:%S  Ctrl-C ends"), style=DIM), shown(told)
    )
