"""Show the dead letters, or do something: ``show ID``, ``replay ID|all``, ``discard ID|all``."""

import argparse
import json
import sys
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from congress_dse import exceptions
from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import Column, one_line, seconds

Fact = dict[str, Any]
COLUMNS = [
    Column("ID", "id"),
    Column("AGE", lambda m: seconds(m["age_s"]), number=True),
    Column("REASON", lambda m: one_line(m["reason"], 40)),
    Column("TO", lambda m: m["receiver"] or m["key"]),
    Column("FROM", "sender"),
    Column("TYPE", "type"),
    Column("ABOUT", "dataindex"),
    Column("TRIES", "attempts", number=True),
    Column("BODY", lambda m: one_line(m["body"], 60), long=True),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    parser.add_argument("action", nargs="?", choices=["show", "replay", "discard"])
    parser.add_argument("id", nargs="?", help="of one letter, or: all")
    parser.add_argument("--reason", help="those with this reason alone")


def run(args: argparse.Namespace) -> int:
    """Ask, or act; return the exit code."""
    if args.action and not args.id:
        raise exceptions.ConfigError(f"give: {args.action} ID")
    control = common.control(args)
    if args.action in {"replay", "discard"}:
        return act(control, args)
    if args.action == "show":
        return showing.run(args, lambda: _one(listed(control, args), args.id), detailed)
    return showing.run(args, lambda: listed(control, args), shown)


def listed(control: str, args: argparse.Namespace) -> Fact:
    """The letters that are wanted, newest first."""
    told = asking.inquire(control, "dead-letters")
    found = [m for m in told["results"] if args.reason in {None, m["reason"]}]
    return {**told, "results": sorted(found, key=lambda m: m["age_s"])}


def act(control: str, args: argparse.Namespace) -> int:
    """Replay or discard one letter, or all; say how many it were."""
    try:
        ids = [args.id]
        if args.id == "all":
            ids = [letter["id"] for letter in reversed(listed(control, args)["results"])]
        done = [id_ for id_ in ids if asking.acted(control, args.action, id_)]
    except exceptions.ControlError as error:
        sys.stderr.write(f"congress-dse: {error}\n")
        return 1
    word = {"replay": "replayed", "discard": "discarded"}[args.action]
    text = json.dumps({word: done}) if args.json else f"{word}: {len(done)}"
    sys.stdout.write(text + "\n")
    return 0 if args.id == "all" or done else 1


def shown(told: Fact) -> RenderableType:
    """The letters as a table."""
    return showing.whole(told, showing.table(COLUMNS, told["results"], "no dead letter"))


def detailed(told: Fact) -> RenderableType:
    """One letter with its body and stack."""
    (letter,) = told["results"]
    lines = [f"{k}: {v}" for k, v in letter.items() if k not in {"stack", "worker"} and v != ""]
    return Text("\n".join([*lines, letter["stack"].rstrip()]).rstrip())


def _one(told: Fact, id_: str) -> Fact:
    found = [letter for letter in told["results"] if letter["id"] == id_]
    if not found:
        raise exceptions.ControlError(f"there is no dead letter {id_!r}")
    return {**told, "results": found}
