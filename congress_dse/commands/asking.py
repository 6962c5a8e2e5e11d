"""Asking a running engine over its control socket: each worker answers natively, in time."""

import argparse
from typing import Any

from congress_dse import merging
from congress_dse.commands import common
from congress_dse.exceptions import ControlError
from congress_dse.manager.control import ask

WITHIN_S = 0.8  # for a worker to answer its master
MASTER_S = 1.5  # for the master itself

Said = dict[str, Any]


def inquire(control: str, what: str, turn: bool = False, **args: Any) -> Said:
    """What every worker says, each fact with its ``worker``; ``asked`` has who was asked.

    Raises ControlError where there is no engine.
    """
    pids = args.pop("pids", None)
    request = {"command": "inquire", "what": what, "args": args, "within_s": WITHIN_S}
    answers = ask(control, {**request, "turn": turn, "pids": pids}, MASTER_S)
    merged: Said = {"results": []}
    for one in answers:
        for name, facts in one.pop("answer").items():
            told = [{"worker": one["worker"], **fact} for fact in facts]
            merged.setdefault(name, []).extend(told)
    merged["asked"] = answers
    return merged


def tables(control: str) -> Said:
    """Every table, with who follows it and how far each has come."""
    found = inquire(control, "tables")
    subscriptions = [{"node": s["worker"], **s} for s in found.pop("subscriptions", [])]
    return {**found, "results": merging.lagging(found["results"], subscriptions)}


def waits(control: str) -> Said:
    """Who waits for whom, and the circles among them."""
    return merging.waiting(inquire(control, "waits"))


def acted(control: str, what: str, letter: str) -> bool:
    """Do something with a dead letter, in the turn of the worker that has it; False for none."""
    node, _, number = letter.rpartition("~")
    pid = node.partition("@")[0].rpartition(".")[2]
    if not (pid.isdigit() and number.isdigit()):
        raise ControlError(f"{letter!r} is the id of no dead letter; dead-letters lists them")
    found = inquire(control, what, turn=True, pids=[int(pid)], number=int(number))
    for one in found["asked"]:
        if not one["answered"]:
            raise ControlError(f"{one['worker']}: {one['cause']}")
    return any(done for fact in found["results"] for k, done in fact.items() if k != "worker")


def names(args: argparse.Namespace, kind: str) -> list[str]:
    """The names of a kind, ``service``, ``table`` or ``worker``, for completion; none in doubt."""
    control = common.control(args)
    try:
        if kind == "worker":
            return [worker["name"] for worker in ask(control, {"command": "workers"}, WITHIN_S)]
        facts = inquire(control, "tables" if kind == "table" else "services")["results"]
    except ControlError:
        return []
    return sorted({str(fact[kind]) for fact in facts})
