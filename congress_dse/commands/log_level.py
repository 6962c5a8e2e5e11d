"""Set the level of the log, in the master and in its workers."""

import argparse

from congress_dse.commands import common
from congress_dse.manager import commands

LEVELS = ["debug", "info", "warning", "error"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    parser.add_argument("level", choices=LEVELS)


def run(args: argparse.Namespace) -> int:
    """Tell the master; return the exit code."""
    return commands.level(common.control(args), args.level, as_json=args.json)
