"""Show the stacks of one worker, threads and greenthreads, also while its hub is blocked."""

import argparse

from congress_dse.commands import common
from congress_dse.manager import commands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    parser.add_argument("name", help="one worker, such as engine.0")


def run(args: argparse.Namespace) -> int:
    """Ask the worker by its master; return the exit code."""
    return commands.stacks(common.control(args), args.name, as_json=args.json)
