"""Show every link of the engine's workers with its state, and where each key of the bus leads."""

import argparse

from congress_dse.commands import common
from congress_dse.manager import commands

add_arguments = common.add_control


def run(args: argparse.Namespace) -> int:
    """Ask the workers, by their master; return the exit code."""
    return commands.routes(common.control(args), as_json=args.json)
