"""Show the stack of one service, or all stacks of one worker, also while its hub is blocked."""

import argparse
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import seconds
from congress_dse.exceptions import ControlError
from congress_dse.manager.control import ask

Fact = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    common.add_name(parser, "name", "service", "a service, or a worker such as engine.0")


def run(args: argparse.Namespace) -> int:
    """Ask, and show; return the exit code."""
    control = common.control(args)
    return showing.run(args, lambda: asked(control, args.name), shown)


def asked(control: str, name: str) -> Fact:
    """The stacks that go by this name; raises ControlError for a name that nobody has."""
    workers = [w["name"] for w in ask(control, {"command": "workers"}, asking.MASTER_S)]
    if name in workers:
        text = ask(control, {"command": "stacks", "name": name}, asking.MASTER_S)
        return {"results": [{"worker": name, "stack": text}], "asked": []}
    found = asking.inquire(control, "stack", name=name)
    if not found["results"]:
        silent = [one["worker"] for one in found["asked"] if not one["answered"]]
        hint = f"; silent: {', '.join(silent)}" if silent else ""
        raise ControlError(f"no service and no worker {name!r}{hint}")
    return found


def shown(told: Fact) -> RenderableType:
    """The stacks as they are, under what is in hand."""
    parts: list[RenderableType] = []
    for one in told["results"]:
        if "service" in one:
            parts.append(Text(_head(one), style="bold"))
        parts.append(
            Text(one["stack"].rstrip() or "no stack: it has nothing in hand, or has ended")
        )
    return showing.whole(told, *parts)


def _head(one: Fact) -> str:
    head = f"{one['service']} at {one['worker']}: {one['depth']} messages wait"
    if one["running"]:
        head += ", runs at this moment"
    if one["in_hand"]:
        head += f", {seconds(one['in_hand_s'])} with {one['in_hand']}"
    return head
