"""Follow a table: its rows, and then what is added and removed, until Ctrl-C."""

import argparse
import json
import secrets
import sys
import time
from typing import Any

from rich.text import Text

from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import BAD, DIM, GOOD
from congress_dse.exceptions import ControlError

Fact = dict[str, Any]
EVERY_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    common.add_name(parser, "service", "service", "the service that has the table")
    common.add_name(parser, "table", "table", "the table")
    parser.add_argument("--changes", type=int, default=0, metavar="N", help="end after N changes")
    parser.add_argument("--every", type=float, default=EVERY_S, metavar="S", help="look each S s")


def run(args: argparse.Namespace) -> int:
    """Look again and again; return the exit code."""
    control, console = common.control(args), showing.console()
    asked = {"service": args.service, "table": args.table, "ticket": secrets.token_hex(8)}
    shown = 0
    try:
        while not args.changes or shown <= args.changes:
            change = _change(control, asked)
            if change is not None:
                shown += 1
                if args.json:
                    sys.stdout.write(json.dumps(change, ensure_ascii=False) + "\n")
                    sys.stdout.flush()
                else:
                    for line in lines(change):
                        console.print(line, soft_wrap=True)
            if not args.changes or shown <= args.changes:
                time.sleep(args.every)
    except ControlError as error:
        sys.stderr.write(f"congress-dse: {error}\n")
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 0
    return 0


def lines(change: Fact) -> list[Text]:
    """One change as lines: what was removed, and what was added."""
    about = f"{change['service']}:{change['table']} version {change['version']}, "
    head = f"{about}{change['total']} rows"
    if change["cut"]:
        head += f"; {change['cut']} more that changed are not shown"
    told = [Text(head, style=DIM)]
    told += [Text("  - " + _row(row), style=BAD) for row in change["removed"]]
    told += [Text("  + " + _row(row), style=GOOD) for row in change["added"]]
    return told


def _change(control: str, asked: Fact) -> Fact | None:
    found = asking.inquire(control, "changes", **asked)
    if not found["results"]:
        silent = [one["worker"] for one in found["asked"] if not one["answered"]]
        if silent:
            return None  # who has it, perhaps, does not answer now
        raise ControlError(f"no table {asked['service']}:{asked['table']}")
    change: Fact = found["results"][0]
    return None if change.get("same") else change


def _row(row: list[Any]) -> str:
    return "  ".join(str(value) for value in row)
