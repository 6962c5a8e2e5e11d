"""What the one process of the debug mode can be asked over its control socket.

Each order is taken in the native thread that asks. What can be answered there is, so that it is
also while the hub is blocked; the rest is queued for the hub's next turn.
"""

import logging
import os
import time
from _thread import start_new_thread
from collections.abc import Callable
from typing import Any, Protocol

from congress_dse.exceptions import NoSuchWorker
from congress_dse.manager.answer import Answer
from congress_dse.manager.hubwatch import HubWatch
from congress_dse.manager.inquiry import Inquiry, answered, deadline, row
from congress_dse.manager.life import Life
from congress_dse.manager.lines import Message
from congress_dse.manager.port import Loop

METRICS = "metrics"
STOP_NOW_S = 1.0  # for a hub to obey, before the process is ended without it
EXIT_AT_ONCE = 1
STACKS_MAX = 200_000  # characters of stacks in one answer

_native_sleep = time.sleep  # kept before anything patches it


class Host(Protocol):
    """What an order needs of the process."""

    loop: Loop
    watch: HubWatch

    def lives(self) -> list[Life]:
        """The lives that are led here."""
        ...

    def inquire_in_turn(self, order: Message, inquiry: Inquiry) -> None:
        """Have an inquiry answered in the hub's turn."""
        ...

    def queue(self, request: Message, answer: Answer | None = None) -> None:
        """Have `request` acted upon in the hub's next turn."""

    def names(self) -> list[str]:
        """The lives that are led here."""
        ...


def _stop(host: Host, request: Message, answer: Answer) -> None:
    host.queue({"from": "request", **request})
    answer.set_result({"state": "stopping"})


def _stop_now(host: Host, request: Message, answer: Answer) -> None:
    _stop(host, request, answer)
    start_new_thread(_end_without_the_hub, ())


def _end_without_the_hub() -> None:
    _native_sleep(STOP_NOW_S)
    os._exit(EXIT_AT_ONCE)


def _reload(host: Host, request: Message, answer: Answer) -> None:
    if request.get("wait"):
        host.queue({"from": "request", **request}, answer)
    else:
        host.queue({"from": "request", **request})
        answer.set_result({"cause": ""})


def _level(_host: Host, request: Message, answer: Answer) -> None:
    level = str(request["level"]).upper()
    logging.getLogger().setLevel(level)
    answer.set_result({"level": level})


def _stacks(host: Host, request: Message, answer: Answer) -> None:
    name, known = request["name"], host.names()
    if name not in known and f"{name}.0" not in known:
        raise NoSuchWorker(f"{name} does not run here, there are: {', '.join(known)}")
    answer.set_result(host.loop.stacks()[-STACKS_MAX:])


def _metrics(host: Host, request: Message, answer: Answer) -> None:
    """As a master's: here is but one life to sum over."""

    def summed(rows: list[Message]) -> Message:
        counters = [s for r in rows for s in r["answer"].get("counters", ())]
        return {"counters": counters, "gauges": [], "workers": rows}

    _ask_all(host, {**request, "what": METRICS}, answer, summed)


def _inquire(host: Host, request: Message, answer: Answer) -> None:
    _ask_all(host, request, answer, list)


def _ask_all(
    host: Host, request: Message, answer: Answer, told: Callable[[list[Message]], Any]
) -> None:
    now = time.monotonic()
    lives = [life for life in host.lives() if request.get("worker") in {None, "", life.name}]
    rows = {at: row(life.name, os.getpid(), "ready", now) for at, life in enumerate(lives)}
    inquiry = Inquiry(answer, deadline(request), rows, set(rows), told)
    order = {"what": request["what"], "args": request.get("args"), "id": "inquiry"}
    if request.get("turn"):
        host.inquire_in_turn(order, inquiry)
        return
    for at, life in enumerate(lives):
        inquiry.heard(at, answered(life, host.watch, order), time.monotonic())
    inquiry.over(time.monotonic())


def _no_workers(_host: Host, request: Message, _answer: Answer) -> None:
    raise NoSuchWorker(
        f"{request['command']}: there are no workers, everything runs in one process "
        "(debug mode, workers = 0)"
    )


ORDERS: dict[str, Callable[[Any, Message, Answer], None]] = {
    "stop": _stop,
    "stop-now": _stop_now,
    "reload": _reload,
    "level": _level,
    "stacks": _stacks,
    "inquire": _inquire,
    "metrics": _metrics,
    "resize": _no_workers,
    "restart": _no_workers,
    "drain": _no_workers,
    "replay": _no_workers,
}
