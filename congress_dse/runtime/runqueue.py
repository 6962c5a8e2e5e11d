"""RunQueue: whoever is ready, in the order of becoming ready, and who waits with a deadline.

All that are ready on one hub stand in one queue, drained in bounded batches by one call of the hub,
so timers and sockets have their turn and an idle engine makes no wake-ups. Deadlines are many and
seldom met: they share one timer of the hub, set to the earliest. A native thread adds by way of
the hub, which it wakes.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from congress_dse.runtime.clock import now
from congress_dse.runtime.timers import Timer, Timers

BATCH = 256  # turns between two looks at sockets and timers; keeps timers within 0.3 ms


class Ready(Protocol):
    """What can stand in the queue."""

    def resume(self) -> None:
        """Go on; called in the hub's greenlet."""


class Hub(Protocol):
    """What runs greenlets, as eventlet's hubs are called."""

    greenlet: Any

    def switch(self) -> Any:
        """Let others run until somebody switches back."""

    def schedule_call_global(
        self, seconds: float, call: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Make a call in the hub's greenlet; it must not wait. Answers what can be cancelled."""


class Attention(Protocol):
    """Who watches over the queue from a native thread; see `watchdog`."""

    asleep: bool
    active: bool

    def wake(self) -> None:
        """The queue has something to do again."""


class RunQueue:
    """The queue of one hub, of the thread with the identity `thread`."""

    __slots__ = (
        "_alarm",
        "_get_ident",
        "_hub",
        "_scheduled",
        "_timers",
        "attention",
        "from_thread",
        "left",
        "ready",
        "thread",
    )

    def __init__(
        self,
        hub: Hub,
        get_ident: Callable[[], int],
        from_thread: Callable[..., Any],
    ) -> None:
        self._hub = hub
        self._get_ident = get_ident
        self.thread = get_ident()
        self.from_thread = from_thread
        self.ready: deque[Any] = deque()
        self.left = 0
        self.attention: Attention | None = None
        self._scheduled = False
        self._timers = Timers()
        self._alarm: Any = None

    def foreign(self) -> bool:
        """Whether the caller is another thread than the hub's."""
        return self._get_ident() != self.thread

    def add(self, ready: Ready) -> None:
        """Have `ready` resumed; from any thread."""
        self.ready.append(ready)
        if not self._scheduled:  # looked at after the queue has it, see `drained`
            self._schedule()

    def _schedule(self) -> None:
        """Have the hub drain the queue."""
        if self._get_ident() != self.thread:
            self.from_thread(self._schedule)
        elif not self._scheduled:
            self._scheduled = True
            self._hub.schedule_call_global(0, self.drain)

    def drain(self) -> None:
        """Resume those that are ready, a batch at most."""
        self.attend()
        ready, self.left = self.ready, BATCH
        try:
            while ready and self.left > 0:
                self.left -= 1
                ready.popleft().resume()
        finally:
            self.left = 0
            self.drained()

    def attend(self) -> None:
        """Tell who watches that something happens."""
        attention = self.attention
        if attention is not None:
            attention.active = True
            if attention.asleep:
                attention.wake()

    def drained(self) -> None:
        """A batch is over: let the hub look at the rest of the world before the next."""
        # In this order: a native thread adds first and looks then, so one sees the other.
        self._scheduled = False
        if self.ready:
            self._scheduled = True
            self._hub.schedule_call_global(0, self.drain)

    def park(self) -> None:
        """Let others run until somebody resumes the caller."""
        self._hub.switch()

    def after(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Make `call` from the hub's greenlet, `delay_s` from now."""
        timer = self._timers.add(now() + delay_s, call)
        if self._alarm is None or timer.at < self._alarm.at:
            self._arm(timer.at)
        return timer

    def rest(self) -> None:
        """Set no alarm when nobody waits with a deadline any more."""
        if self._alarm is not None and self._timers.due() is None:
            self._alarm.cancel()
            self._alarm = None

    def _arm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        alarm = self._hub.schedule_call_global(max(0.0, at - now()), self._ring)
        self._alarm = Alarm(alarm, at)

    def _ring(self) -> None:
        self._alarm = None
        for call, args in self._timers.pop(now()):
            call(*args)
        due = self._timers.due()
        if due is not None and self._alarm is None:
            self._arm(due)


class Alarm:
    """A timer of the hub, and when it rings."""

    __slots__ = ("_timer", "at")

    def __init__(self, timer: Any, at: float) -> None:
        self._timer = timer
        self.at = at

    def cancel(self) -> None:
        """Ring not."""
        self._timer.cancel()
