"""Show the workers, or change them: ``set NAME N``, ``restart NAME[.N]``, ``drain NAME.N``."""

import argparse
from typing import Any

from rich.console import RenderableType

from congress_dse import exceptions
from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import Column, one_line, seconds
from congress_dse.manager import commands
from congress_dse.manager.control import ask

COLUMNS = [
    Column("WORKER", "name"),
    Column("PID", "pid", number=True),
    Column("ENDED", lambda e: f"{seconds(e['ended_s_ago'])} ago", number=True),
    Column("LIVED", lambda e: seconds(e["lived_s"]), number=True),
    Column("REQUESTS", "requests", number=True),
    Column("EXIT", "exit_code", number=True),
    Column("ASKED", lambda e: "yes" if e["asked"] else "no"),
    Column("WHY", lambda e: one_line(e["cause"] or e["why"], 150), long=True),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    parser.add_argument("action", nargs="?", choices=["set", "restart", "drain"])
    parser.add_argument("name", nargs="?", help="a service, or one worker such as engine.0")
    parser.add_argument("number", nargs="?", type=int, help="how many workers, for set")
    parser.add_argument("--ends", action="store_true", help="those that ended, and why")


def run(args: argparse.Namespace) -> int:
    """Ask the master; return the exit code."""
    if args.ends:
        control = common.control(args)
        return showing.run(args, lambda: ended(control), shown)
    if args.action and (not args.name or (args.action == "set") != (args.number is not None)):
        raise exceptions.ConfigError("give: set NAME N, restart NAME[.N], or drain NAME.N")
    return commands.workers(
        common.control(args),
        resize=(args.name, args.number) if args.action == "set" else None,
        restart=args.name if args.action == "restart" else "",
        drain=args.name if args.action == "drain" else "",
        as_json=args.json,
    )


def ended(control: str) -> dict[str, Any]:
    """The workers that ended, the last one last."""
    return {"results": ask(control, {"command": "status"}, asking.MASTER_S).get("ends", [])}


def shown(told: dict[str, Any]) -> RenderableType:
    """Those that ended, as a table."""
    return showing.table(COLUMNS, told["results"], "no worker has ended")
