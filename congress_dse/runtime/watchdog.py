"""A watchdog: names who blocks the hub, while he does.

It lives in a native thread. While anything happens it has the hub answer now and then; where no
answer comes within the patience, the stack of the hub's thread tells which service is at what line.
While nothing happens it sleeps, and costs an idle engine nothing.
"""

import logging
import sys
import time
import traceback
from types import FrameType
from typing import Any, NamedTuple

from congress_dse.runtime.runqueue import RunQueue
from congress_dse.runtime.turns import Turns

LOG = logging.getLogger(__name__)

LOOK_S = 0.2
PATIENCE_S = 1.0
IDLE_LOOKS = 10  # without any turn, after which the watchdog sleeps until there is one
STACK_MAX = 20_000  # characters
ELSEWHERE = ""  # the name of a block that is no service's


class Culprit(NamedTuple):
    """Who blocks the hub: a service, its method, and the line."""

    service: str
    method: str
    line: str
    stack: str


class Watchdog:
    """Watches one run queue; `native` has the system's own threads and locks."""

    asleep = False
    active = True

    def __init__(self, queue: RunQueue, native: Any, patience_s: float = PATIENCE_S) -> None:
        self._queue = queue
        self._native = native
        self._patience_s = patience_s
        self._gate = native.allocate_lock()
        self._gate.acquire()
        self._pauses = native.allocate_lock()
        self._pauses.acquire()
        self._answers = 0
        self.over = False
        self.blocks: dict[str, int] = {}

    def start(self) -> None:
        """Watch from now on."""
        self._queue.attention = self
        self._native.start_new_thread(self._watch, ())

    def stop(self) -> None:
        """Watch no more."""
        self.over = True
        if self._queue.attention is self:
            self._queue.attention = None
        self.wake()

    def wake(self) -> None:
        """Something happens again."""
        if self.asleep:
            self.asleep = False
            self._gate.release()

    def _watch(self) -> None:
        quiet = 0
        while not self.over:
            quiet = 0 if self.active else quiet + 1
            self.active = False
            if quiet > IDLE_LOOKS:
                self._sleep()
                quiet = 0
            try:
                self._look()
            except RuntimeError:
                return  # the loop is closed: there is nothing to watch any more

    def _sleep(self) -> None:
        self.asleep = True
        if self.active or self.over:  # it has just begun again
            self.wake()
        self._gate.acquire()

    def _look(self) -> None:
        """Ask the hub for an answer, and wait for it; tell who is at it where none comes."""
        before, asked, told = self._answers, time.monotonic(), False
        self._queue.from_thread(self._answer)
        while not self.over:
            self._pause()
            waited_s = time.monotonic() - asked
            if self._answers != before:
                if told:
                    LOG.warning("the hub turns again after %.1f s", waited_s)
                return
            if waited_s >= self._patience_s and not told:
                told = True
                self._tell(waited_s)

    def _answer(self) -> None:
        self._answers += 1

    def _pause(self) -> None:
        self._pauses.acquire(timeout=LOOK_S)

    def _tell(self, waited_s: float) -> None:
        frame = sys._current_frames().get(self._queue.thread)  # noqa: SLF001 - no other way in
        if frame is None:
            return
        found = culprit(frame)
        self.blocks[found.service] = self.blocks.get(found.service, 0) + 1
        who = f"{found.service}: {found.method}" if found.service else found.method
        LOG.warning(
            "%s has blocked the hub for %.1f s, at %s; nobody else has his turn\n%s",
            who,
            waited_s,
            found.line,
            found.stack,
        )


def culprit(frame: FrameType) -> Culprit:
    """Who runs in `frame`: the innermost method of a service there is, or else the frame itself."""
    stack = "".join(traceback.format_stack(frame))[-STACK_MAX:]
    inner: FrameType | None = frame
    while inner is not None:
        owner = inner.f_locals.get("self")
        if isinstance(owner, Turns) and inner.f_code.co_name not in _OF_OURS:
            method = f"{type(owner).__name__}.{inner.f_code.co_name}"
            return Culprit(str(owner.name), method, _line(inner), stack)
        inner = inner.f_back
    return Culprit(ELSEWHERE, frame.f_code.co_name, _line(frame), stack)


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


_OF_OURS = frozenset(vars(Turns))
