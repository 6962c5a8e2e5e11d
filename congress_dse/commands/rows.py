"""Show the rows of a table, of one version."""

import argparse
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import DIM, Column
from congress_dse.exceptions import ControlError

Fact = dict[str, Any]
LIMIT = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    common.add_name(parser, "service", "service", "the service that has the table")
    common.add_name(parser, "table", "table", "the table")
    parser.add_argument(
        "--limit", type=int, default=LIMIT, metavar="N", help=f"rows; {LIMIT} by default, 0: all"
    )


def run(args: argparse.Namespace) -> int:
    """Ask, and show; return the exit code."""
    control = common.control(args)
    return showing.run(args, lambda: read(control, args), shown)


def read(control: str, args: argparse.Namespace) -> Fact:
    """The rows, page by page; raises ControlError for a table that is not there."""
    page = _page(control, args, args.limit, "")
    rows = page["rows"]
    while page["marker"] and (not args.limit or len(rows) < args.limit):
        left = args.limit - len(rows) if args.limit else 0
        page = _page(control, args, left, page["marker"])
        rows += page["rows"]
    return {**page, "rows": rows}


def shown(told: Fact) -> RenderableType:
    """The rows as a table, in order."""
    width = max((len(row) for row in told["rows"]), default=0)
    heads = [*told["columns"], *(f"c{at}" for at in range(len(told["columns"]), width))]
    rows = sorted(told["rows"], key=lambda row: [(str(type(v)), v) for v in row])
    facts = [{str(at): value for at, value in enumerate(row)} for row in rows]
    columns = [Column(head.upper(), _nth(at)) for at, head in enumerate(heads)]
    about = f"{told['service']}:{told['table']} version {told['version']}, "
    count = f"{len(rows)} of {told['total']} rows"
    return showing.whole(
        told, showing.table(columns, facts, "no row"), Text(about + count, style=DIM)
    )


def _nth(at: int) -> Any:
    return lambda row: row.get(str(at))


def _page(control: str, args: argparse.Namespace, limit: int, marker: str) -> Fact:
    where = {"service": args.service, "table": args.table}
    found = asking.inquire(control, "rows", **where, limit=limit, marker=marker)
    if not found["results"]:
        silent = [one["worker"] for one in found["asked"] if not one["answered"]]
        hint = f"; silent: {', '.join(silent)}" if silent else ""
        raise ControlError(f"no table {args.service}:{args.table}{hint}")
    page: Fact = found["results"][0]
    if page.get("gone"):
        raise ControlError("the table has changed too often while it was read: once more")
    return {**page, "asked": found["asked"]}
