"""Show work that ended its workers three times, or give one piece of it out again."""

import argparse

from congress_dse import exceptions
from congress_dse.commands import common
from congress_dse.manager import commands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    parser.add_argument("action", nargs="?", choices=["replay"])
    parser.add_argument("name", nargs="?", help="the service")
    parser.add_argument("key", nargs="?", help="the key of the work")


def run(args: argparse.Namespace) -> int:
    """Ask the master; return the exit code."""
    if args.action and not args.key:
        raise exceptions.ConfigError("give: replay NAME KEY")
    replay = (args.name, args.key) if args.action else None
    return commands.parked(common.control(args), replay=replay, as_json=args.json)
