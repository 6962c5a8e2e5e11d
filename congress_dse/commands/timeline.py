"""Show what happened to the engine, from its database: also when no engine runs."""

import argparse
import sys
from importlib import import_module
from typing import Any

from rich.console import RenderableType

from congress_dse import config
from congress_dse.commands import common, showing
from congress_dse.commands.showing import Column, one_line, state

TIMELINE = "congress_dse.timeline"
COLUMNS = [
    Column("WHEN", lambda e: e["at"].replace("T", " ").removesuffix("+00:00")),
    Column("LEVEL", lambda e: state(e["level"])),
    Column("KIND", "kind"),
    Column("WORKER", "worker"),
    Column("SUBJECT", "subject"),
    Column("WHAT", lambda e: one_line(e["text"], 110), long=True),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_config_file(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="the newest N events")
    parser.add_argument("--kind", default="", help="of this kind alone, such as worker-died")
    parser.add_argument("--before", type=int, default=0, metavar="ID", help="before this event")


def run(args: argparse.Namespace) -> int:
    """Read, and show, the newest last; return the exit code."""
    url = config.database(config.read(args.config_file))
    try:
        timeline = import_module(TIMELINE).Timeline(url)
        events = timeline.read(args.limit, args.before, args.kind)
    except Exception as error:  # noqa: BLE001 (whatever a database raises)
        sys.stderr.write(f"congress-dse: the database: {one_line(str(error), 300)}\n")
        return 1
    return showing.run(args, lambda: {"results": events}, shown)


def shown(told: dict[str, Any]) -> RenderableType:
    """The events as a table; times are UTC."""
    return showing.table(COLUMNS, reversed(told["results"]), "nothing is known to have happened")
