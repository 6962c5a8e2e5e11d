"""Show every node: its process, mailboxes, dead letters, and the nodes that it knows."""

import argparse
from typing import Any

from rich.console import RenderableType

from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import Column, seconds, size, state

Fact = dict[str, Any]
COLUMNS = [
    Column("WORKER", "worker"),
    Column("PID", "pid", number=True),
    Column("STATE", lambda n: state(n["state"])),
    Column("UP", lambda n: seconds(n.get("up_s")), number=True),
    Column("CPU", lambda n: seconds(n.get("cpu_s")), number=True),
    Column("MEMORY", lambda n: size(n.get("rss_b")), number=True),
    Column("SERVICES", lambda n: n.get("services"), number=True),
    Column("WAIT", lambda n: n.get("depth"), number=True),
    Column("OLDEST", lambda n: seconds(n.get("oldest_s")), number=True),
    Column("HANDLED", lambda n: n.get("handled"), number=True),
    Column("FAILED", lambda n: n.get("failed"), number=True),
    Column("ASKS", lambda n: n.get("open_asks"), number=True),
    Column("LETTERS", lambda n: n.get("dead_letters", {}).get("kept"), number=True),
    Column("LINKS", lambda n: len(n.get("links", ())), number=True),
]
KNOWN = [
    Column("FAR NODE", "node"),
    Column("KNOWN BY", "worker"),
    Column("HEARD", lambda n: f"{seconds(n['heard_s'])} ago", number=True),
    Column("SERVICES", lambda n: len(n["services"]), number=True),
]

add_arguments = common.add_control


def run(args: argparse.Namespace) -> int:
    """Ask, and show; return the exit code."""
    control = common.control(args)
    return showing.run(args, lambda: with_states(asking.inquire(control, "nodes")), shown)


def with_states(told: Fact) -> Fact:
    """A result for each that was asked, also for who said nothing, with its state."""
    said = {fact["worker"]: fact for fact in told["results"]}
    found = [{**said.get(one["worker"], {}), **_state(one)} for one in told["asked"]]
    return {**told, "results": found}


def shown(told: Fact) -> RenderableType:
    """The nodes as a table, and below those of other engines."""
    parts: list[RenderableType] = [showing.table(COLUMNS, told["results"], "no node")]
    own = {fact.get("node") for fact in told["results"]}
    far = [fact for fact in told.get("known", ()) if fact["node"] not in own]
    if far:
        parts += ["", showing.table(KNOWN, far)]
    return showing.whole(told, *parts)


def _state(one: Fact) -> Fact:
    word = "silent" if not one["answered"] else "blocked" if one["blocked_s"] else one["state"]
    return {"worker": one["worker"], "pid": one["pid"], "state": word}
