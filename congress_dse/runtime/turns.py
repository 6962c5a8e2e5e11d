"""Turns: what an actor is in every runtime: messages one at a time, timers, and what it owns.

The runtime says how an actor gets its turn, waits in it and ends; a message leaves the mailbox only
in the reader's own turn, so a reader that is killed while it waits, or while it is being woken,
loses none.
"""

import asyncio
import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from congress_dse.d6message import d6msg
from congress_dse.runtime.clock import now
from congress_dse.runtime.mailbox import Mailbox
from congress_dse.runtime.runqueue import Alarm, Hub, RunQueue
from congress_dse.runtime.timers import Timer, Timers
from congress_dse.tracing import here

_OURS = str(Path(__file__).parent.parent)
_ASYNCIO = str(Path(asyncio.__file__).parent)


class Turns:
    """The half of an actor that is the same in every runtime.

    The subclass says in `receive` what a message does and in `failed` what its failure does; both
    run in the actor's own turn.
    """

    inbox: Any
    name: str
    running: bool
    dead: bool

    # What the code of a service may raise and live on, what ends it, and whose code is not its own.
    failures_are: ClassVar[tuple[type[BaseException], ...]]
    killed_is: ClassVar[type[BaseException]]
    not_its_own: ClassVar[tuple[str, ...]] = (_OURS, _ASYNCIO)

    _hub: Hub
    _ready: RunQueue

    def _be_idle(self) -> None:
        """Set up, before the first turn."""
        self.begun = False
        self.cause: BaseException | None = None
        self._alarm: Alarm | None = None
        self._timers: Timers | None = None
        self._owned: dict[Any, None] = {}
        self._owed: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self.in_hand: d6msg | None = None
        self.unfinished: d6msg | None = None
        self.in_hand_since = 0.0
        self.handled = self.failures = 0
        self.waited_s = self.mailbox_s = self.handler_s = 0.0

    def receive(self, msg: d6msg) -> None:
        """What a message does to the service."""
        raise NotImplementedError

    def failed(self, msg: d6msg, error: BaseException) -> bool:
        """What the failure of a message does: return whether the service goes on."""
        raise NotImplementedError

    def begin(self) -> None:
        """Start; called once, when the constructors of all subclasses have returned."""
        inbox, wake = self.inbox, partial(self._ready.add, self)  # type: ignore[arg-type]
        if isinstance(inbox, Mailbox):
            inbox.wake = wake
            inbox.idle = not len(inbox)
            if not inbox.idle:
                wake()
        elif inbox is not None:
            wake()

    def after(self, delay_s: float, call: Callable[..., Any], *args: Any) -> Timer:
        """Call `call(*args)` in the actor's own turn, `delay_s` from now."""
        if self._timers is None:
            self._timers = Timers(self._arm)
        timer = self._timers.add(now() + delay_s, call, *args)
        self._arm()
        return timer

    def due(self) -> float | None:
        """When time matters next to this actor, or None."""
        return None if self._timers is None else self._timers.due()

    def tick(self, at: float) -> None:
        """Make the calls that are due at `at`."""
        if self._timers is not None:
            try:
                for call, args in self._timers.pop(at):
                    self.finish(call(*args))
            finally:
                self._arm()

    def finish(self, answer: Any) -> Any:
        """What a call of the service's own code answered; a coroutine is awaited in this turn."""
        raise NotImplementedError

    def put_off(self, call: Callable[..., Any], *args: Any) -> None:
        """Call `call(*args)`, which may wait, when the coroutine of this turn is over.

        For what a coroutine began and cannot wait for: the next message comes after it.
        """
        self._owed.append((call, args))

    def _settle(self) -> None:
        """Make the calls that were put off to the end of the coroutine."""
        while self._owed:
            call, args = self._owed.popleft()
            call(*args)

    def spawn(self, call: Callable[..., Any], *args: Any) -> Any:
        """Run `call(*args)` beside the actor; it ends with this actor at the latest."""
        thread = self._spawned(here.carried(call) if here.used else call, *args)
        self._owned[thread] = None
        thread.link(self._owned.pop, None)
        return thread

    def at_rest(self) -> bool:
        """Whether the actor has nothing to do and waits for a message, or never had any."""
        idle = isinstance(self.inbox, Mailbox) and self.inbox.idle
        return self.dead or self.inbox is None or (idle and (self._has_no_turn() or not self.begun))

    def release(self) -> None:
        """Let go of all that the actor owns: timers, what it spawned, the alarm."""
        if self._timers is not None:
            self._timers.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        for thread in list(self._owned):
            if not self._is_current(thread):
                thread.kill()
        self._ready.rest()

    def on_their_way(self) -> list[Any]:
        """What it had spawned, was told to end and has not ended yet; without the caller."""
        return [thread for thread in self._owned if not self._is_current(thread)]

    def stack(self) -> traceback.StackSummary:
        """Where the actor's turn waits, in a coroutine or in a greenlet; empty without a turn."""
        return self._stack()

    def top_frame(self) -> str:
        """Where the actor is at this moment, as ``file:line in function``."""
        stack = self._stack()
        return readable(stack, self.not_its_own) if stack else ""

    def _arm(self) -> None:
        """See to it that the hub wakes the actor when its first timer is due."""
        if self._ready.foreign():
            self._ready.from_thread(self._arm)
            return
        due = self.due()
        if self._alarm is not None:
            if due is not None and self._alarm.at <= due:
                return
            self._alarm.cancel()
            self._alarm = None
        if due is not None:
            timer = self._hub.schedule_call_global(max(0.0, due - now()), self._ring)
            self._alarm = Alarm(timer, due)

    def _ring(self) -> None:
        self._alarm = None
        if self.inbox is None:
            self._spawned(self.tick, now())
        else:
            self.inbox.put(d6msg(type="tick"))

    def _take_turns(self, mailbox: Mailbox) -> bool:  # noqa: C901,PLR0912,PLR0915
        """Handle what waits; return whether there is more, and it is the others' turn.

        All of it is done for each message of each service, so it makes no call that it can do
        without.
        """
        control, waiting, queue = mailbox.control, mailbox.waiting, self._ready
        begun = now()
        while self.running:
            if control:
                since, msg = control.popleft()
            elif waiting:
                since, msg = waiting.popleft()
                if mailbox.room:
                    mailbox.make_room()
            else:
                entry = mailbox.take()
                if entry is None:
                    return False
                since, msg = entry
            self.in_hand = msg
            self.in_hand_since = begun
            self.waited_s = waited_s = begun - since
            if waited_s > 0.0:  # from a native thread it may have come since we looked at the clock
                self.mailbox_s += waited_s
            try:
                self.receive(msg)
            except self.failures_are as error:
                self.failures += 1
                if not self.failed(msg, error):
                    raise
            except self.killed_is:
                self.unfinished = msg
                raise
            finally:
                self.in_hand = None
                self.handled += 1
                ended = now()
                self.handler_s += ended - begun
            begun = ended
            queue.left -= 1
            if queue.left <= 0 and not mailbox.empty():
                return True
        return False

    # What the runtime brings.

    def _spawned(self, call: Callable[..., Any], *args: Any) -> Any:
        raise NotImplementedError

    def _is_current(self, thread: Any) -> bool:
        raise NotImplementedError

    def _has_no_turn(self) -> bool:
        raise NotImplementedError

    def _stack(self) -> traceback.StackSummary:
        raise NotImplementedError


def readable(stack: traceback.StackSummary, not_its_own: tuple[str, ...]) -> str:
    """The innermost frame that is the service's own, not the hub's or ours."""
    own = [f for f in stack if not f.filename.startswith(not_its_own)]
    last = (own or stack)[-1]
    return f"{last.filename}:{last.lineno} in {last.name}"
