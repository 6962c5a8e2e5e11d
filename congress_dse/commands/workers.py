"""Show the workers, or change them: ``set NAME N``, ``restart NAME[.N]``, ``drain NAME.N``."""

import argparse

from congress_dse import exceptions
from congress_dse.commands import common
from congress_dse.manager import commands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    parser.add_argument("action", nargs="?", choices=["set", "restart", "drain"])
    parser.add_argument("name", nargs="?", help="a service, or one worker such as engine.0")
    parser.add_argument("number", nargs="?", type=int, help="how many workers, for set")


def run(args: argparse.Namespace) -> int:
    """Ask the master; return the exit code."""
    if args.action and (not args.name or (args.action == "set") != (args.number is not None)):
        raise exceptions.ConfigError("give: set NAME N, restart NAME[.N], or drain NAME.N")
    return commands.workers(
        common.control(args),
        resize=(args.name, args.number) if args.action == "set" else None,
        restart=args.name if args.action == "restart" else "",
        drain=args.name if args.action == "drain" else "",
        as_json=args.json,
    )
