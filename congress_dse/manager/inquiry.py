"""Inquiries: what a master asks its workers about themselves, and what they answer in time.

A worker answers in a native thread, so a blocked hub is no hindrance, and is told of. What may only
be done in the hub's turn (`turn`) waits for it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from congress_dse.manager.hubwatch import HubWatch
from congress_dse.manager.life import Life
from congress_dse.manager.lines import LINE_MAX_B, Message, encode

WITHIN_S = 1.0


class Gives(Protocol):
    """Where an answer goes."""

    def set_result(self, result: Any) -> None:
        """Give the answer."""


@dataclass
class Inquiry:
    """One question to several workers, by their serial numbers."""

    answer: Gives
    until: float
    rows: dict[int, Message]
    open: set[int] = field(default_factory=set)
    told: Callable[[list[Message]], Any] = list  # what who asked is given of the rows

    def heard(self, serial: int, message: Message, now: float) -> None:
        """A worker has answered."""
        if serial in self.open:
            self.open.discard(serial)
            row = self.rows[serial]
            row |= {k: message[k] for k in ("answer", "blocked_s", "stack", "cause")}
            row |= {"answered": not message["cause"], "took_s": round(now - row["took_s"], 4)}

    def lost(self, serial: int) -> None:
        """A worker is gone."""
        if serial in self.open:
            self.open.discard(serial)
            self.rows[serial] |= {"cause": "it ended", "took_s": 0.0}

    def over(self, now: float) -> bool:
        """Whether nobody is to answer any more; if so, who asked has been told."""
        if self.open and now < self.until:
            return False
        for serial in self.open:
            self.rows[serial] |= {"cause": "no answer", "took_s": None}
        self.answer.set_result(self.told(list(self.rows.values())))
        return True


def row(worker: str, pid: int | None, state: str, now: float) -> Message:
    """What is said of a worker that was asked, before it answers; `took_s` is when, meanwhile."""
    return {
        "worker": worker,
        "pid": pid,
        "state": state,
        "answered": False,
        "took_s": now,
        "blocked_s": 0.0,
        "stack": "",
        "cause": "",
        "answer": {},
    }


def answered(life: Life, watch: HubWatch, order: Message) -> Message:
    """A worker's answer, made in a native thread; also says whether the hub is blocked."""
    blocked_s = watch.blocked_s()
    message = {"blocked_s": round(blocked_s, 3), "stack": watch.stack() if blocked_s else ""}
    return {**message, **said(life, order)}


def said(life: Life, order: Message) -> Message:
    """What the service of a life says; an error, or too long an answer, is said as a cause."""
    try:
        answer = life.inquire(order)
    except Exception as error:  # noqa: BLE001 (who asked is told, whatever it is)
        return {"answer": {}, "cause": f"{type(error).__name__}: {error}"}
    size_b = len(encode(answer))
    if size_b > LINE_MAX_B // 2:
        return {"answer": {}, "cause": f"the answer has {size_b} bytes, which is too much"}
    return {"answer": answer, "cause": ""}


def deadline(request: Message) -> float:
    """Until when an answer is waited for."""
    return time.monotonic() + float(request.get("within_s") or WITHIN_S)
