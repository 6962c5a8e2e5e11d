"""Show the master, its services, their workers, the last reload and what is parked."""

import argparse

from congress_dse.commands import common
from congress_dse.manager import commands

add_arguments = common.add_control


def run(args: argparse.Namespace) -> int:
    """Ask the master; return the exit code."""
    return commands.status(common.control(args), as_json=args.json)
