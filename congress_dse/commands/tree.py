"""Show the supervision: the master, its workers, and the groups and services in each."""

import argparse
from typing import Any

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import BAD, DIM, WARN, one_line, seconds, state
from congress_dse.manager.control import ask

Fact = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_control(parser)
    parser.add_argument("--all", action="store_true", help="also what every worker has of its own")


def run(args: argparse.Namespace) -> int:
    """Ask, and show; return the exit code."""
    control = common.control(args)
    return showing.run(args, lambda: asked(control), lambda told: shown(told, args.all))


def asked(control: str) -> Fact:
    """The tree of every worker, and the master above them."""
    found = asking.inquire(control, "tree")
    return {**found, "master": ask(control, {"command": "status"}, asking.MASTER_S)}


def shown(told: Fact, every: bool = False) -> RenderableType:
    """The tree as it stands."""
    master = told["master"]
    mode = master.get("mode", "master")
    root = Tree(f"{mode} [dim]pid {master['pid']}[/dim] {master['state']}", guide_style=DIM)
    for name, service in master["services"].items():
        pool = root.add(f"{name}: {service['ready']} of {service['wanted']} workers ready")
        for worker in [w for w in master["workers"] if w["service"] == name]:
            _worker(pool, worker, told, master.get("ends", []), every)
    return showing.whole(told, root)


def _worker(pool: Tree, worker: Fact, told: Fact, ends: list[Fact], every: bool) -> None:
    text = Text.assemble(
        worker["name"],
        (f" pid {worker['pid']} ", DIM),
        state(_at_present(worker, told["asked"])),
        (f" generation {worker['generation']}, up {seconds(worker['started_s_ago'])}", DIM),
    )
    mine = [end for end in ends if end["name"] == worker["name"]]
    died = [end for end in mine if not end["asked"]]
    if mine:
        text.append(f", {len(mine)} before it", DIM)
    if died:
        text.append(f", last death: {one_line(died[-1]['why'], 60)}", WARN)
    branch = pool.add(text)
    for cage in [c for c in told["results"] if c["worker"] == worker["name"]]:
        for group in cage["groups"]:
            _group(branch, group, every)


def _at_present(worker: Fact, asked: list[Fact]) -> str:
    """The state of a worker, which its master may take for better than it is."""
    for one in asked:
        if one["pid"] == worker["pid"] and (one["blocked_s"] or not one["answered"]):
            return "blocked" if one["answered"] else "silent"
    return str(worker["state"])


def _group(branch: Tree, group: Fact, every: bool) -> None:
    children = [c for c in group["children"] if every or c["kind"] != "own"]
    if group["group"]:
        about = f"group {group['group']} ({group['strategy']}, {group['intensity']} deaths in "
        text = Text(about + f"{seconds(group['period_s'])})")
        if group["failure"]:
            text.append(f" {group['failure']}", BAD)
        branch = branch.add(text)
    for child in children:
        branch.add(_child(child))


def _child(child: Fact) -> Text:
    text = Text.assemble(child["name"], " ", state(child["state"]))
    text.append(f" {child['class'].rpartition('.')[2]}, up {seconds(child['up_s'])}", DIM)
    if child["restarts"]:
        text.append(f", {child['restarts']} restarts", WARN)
    if child["last_error"]:
        text.append(f", last of {one_line(child['last_error'], 80)}", WARN)
    return text
