"""Timers: what a service wants to do later, earliest first; a pure machine over one clock."""

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Any

_order = itertools.count().__next__


class Timer:
    """One call at one time; `cancel` takes it back."""

    __slots__ = ("_timers", "args", "at", "call")

    def __init__(
        self, timers: "Timers", at: float, call: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self._timers = timers
        self.at = at
        self.call: Callable[..., Any] | None = call
        self.args = args

    def cancel(self) -> None:
        """Do not call; a timer that has fired, or was cancelled, is left alone."""
        if self.call is not None:
            self.call, self.args = None, ()
            self._timers.cancelled()


class Timers:
    """A heap of timers; the host asks `due` and brings the time to `pop`."""

    __slots__ = ("_cancelled", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._cancelled = 0

    def add(self, at: float, call: Callable[..., Any], *args: Any) -> Timer:
        """Call `call(*args)` at `at` (seconds of the host's monotonic clock)."""
        timer = Timer(self, at, call, args)
        heapq.heappush(self._heap, (at, _order(), timer))
        return timer

    def due(self) -> float | None:
        """When time matters next, or None."""
        while self._heap and self._heap[0][2].call is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0][0] if self._heap else None

    def pop(self, now: float) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
        """The calls that are due at `now`, earliest first; each is taken out when it is reached.

        So one that an earlier call cancels is not made, and what follows one that fails stays due.
        """
        while (at := self.due()) is not None and at <= now:
            timer = heapq.heappop(self._heap)[2]
            if timer.call is not None:
                call, timer.call = timer.call, None
                yield call, timer.args

    def clear(self) -> None:
        """Cancel every timer."""
        for _, _, timer in self._heap:
            timer.call, timer.args = None, ()
        self._heap, self._cancelled = [], 0

    def cancelled(self) -> None:
        """Note a cancelled timer; when they are the most, drop them all."""
        self._cancelled += 1
        if self._cancelled > 64 and self._cancelled * 2 > len(self._heap):
            self._heap = [item for item in self._heap if item[2].call is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled
