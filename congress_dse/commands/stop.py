"""Stop a running engine: gracefully, or at once."""

import argparse

from congress_dse.commands import common
from congress_dse.manager import commands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    parser.add_argument("--now", action="store_true", help="at once: kill the workers")


def run(args: argparse.Namespace) -> int:
    """Tell the master; return the exit code."""
    return commands.stop(common.control(args), now=args.now, as_json=args.json)
