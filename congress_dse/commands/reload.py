"""Have a running engine read its configuration again."""

import argparse

from congress_dse.commands import common
from congress_dse.manager import commands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    parser.add_argument(
        "--wait", action="store_true", help="answer when it serves, or with why it does not"
    )


def run(args: argparse.Namespace) -> int:
    """Tell the master; return the exit code."""
    return commands.reload(common.control(args), wait=args.wait, as_json=args.json)
