"""Show every link: its state, what crossed it, what waits for it, and the tables on it."""

import argparse
from typing import Any

from rich.console import RenderableType

from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import Column, seconds, size, state

Fact = dict[str, Any]


def _waits(link: Fact) -> str:
    if "waiting_b" in link:
        return size(link["waiting_b"])
    return f"{link['outbox']} messages" if "outbox" in link else ""


COLUMNS = [
    Column("LINK", "link"),
    Column("WORKER", "worker"),
    Column("KIND", lambda k: k.get("kind", "")),
    Column("STATE", lambda k: state(str(k.get("state", "")))),
    Column("FOR", lambda k: seconds(k.get("since_s")), number=True),
    Column("HEARD", lambda k: seconds(k.get("heard_s")), number=True),
    Column("SENT", lambda k: size(k["sent_b"]) if "sent_b" in k else "", number=True),
    Column("RECEIVED", lambda k: size(k["received_b"]) if "received_b" in k else "", number=True),
    Column("WAITS", _waits, number=True),
    Column("OUT", lambda k: len(k["followed_there"]), number=True),
    Column("IN", lambda k: len(k["followed_here"]), number=True),
    Column("ASKS", "open_requests", number=True),
    Column("LATE", "late_answers", number=True),
    Column("ERROR", lambda k: k.get("error") or k.get("last_error") or "", long=True),
]

add_arguments = common.add_control


def run(args: argparse.Namespace) -> int:
    """Ask, and show; return the exit code."""
    control = common.control(args)
    return showing.run(args, lambda: asking.inquire(control, "links"), shown)


def shown(told: Fact) -> RenderableType:
    """The links as a table."""
    return showing.whole(told, showing.table(COLUMNS, told["results"], "no link"))
