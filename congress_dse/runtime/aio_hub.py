"""A hub of greenlets on plain asyncio: greenlets wait, the loop runs, coroutines are awaited.

The loop runs in a greenlet of its own, or in the one in which a running loop was found: whoever
waits switches to it, and its callbacks switch back. No eventlet, and no thread but this one.

From where they may switch back is a matter of the loop. asyncio's own is Python throughout. One in
C, as uvloop's, keeps on its stack what its other calls write to: libuv has there the queue of the
timers that are due, and to cancel one of them writes to its neighbours. A greenlet that runs has
its own stack in that very place. So nobody is switched to from the timers of such a loop, or from
its sockets, but only from what `call_soon` calls: libuv has nothing of the kind there.
"""

import asyncio
import inspect
import math
from _thread import get_ident
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from typing import Any

from greenlet import getcurrent, greenlet

from congress_dse import exceptions
from congress_dse.runtime import choice, clock

FOREVER_S = 1e9


def make_virtual(loop: Any) -> None:
    """Put a loop under virtual time: what would wait for a timer alone leaps to it."""
    loop.time = clock.now
    selector, own = loop._selector, {loop._ssock.fileno()}  # noqa: SLF001 - no other way in
    selector.select = clock.leaping(
        selector.select, lambda: False, lambda: frozenset(selector.get_map()) - own
    )


class Hub:
    """The hub of one thread."""

    def __init__(self) -> None:
        self.thread = get_ident()
        try:
            self.loop = asyncio.get_running_loop()
        except RuntimeError:
            self.loop = _new_loop()
            asyncio.set_event_loop(self.loop)
            self.own = True
            self.greenlet = greenlet(self._run)
        else:
            self.own = False
            self.greenlet = getcurrent()
        self.in_python = isinstance(self.loop, asyncio.BaseEventLoop)

    def switch(self) -> Any:
        """Let others run until somebody switches back."""
        if self.own and self.greenlet.dead:
            self.greenlet = greenlet(self._run)
        return self.greenlet.switch()

    def schedule_call_global(
        self, seconds: float, call: Callable[..., Any], *args: Any, **_named: Any
    ) -> Any:
        """Make a call in the hub's greenlet; it must not wait. Answers what can be cancelled."""
        if seconds <= 0:
            return self.loop.call_soon(call, *args)
        if self.in_python:
            return self.loop.call_later(seconds, call, *args)
        return Later(self.loop, seconds, call, args)

    def inside(self) -> bool:
        """Whether the caller runs in the loop, as coroutines and callbacks do."""
        return getcurrent() is self.greenlet

    def throw(self, target: Any, error: BaseException) -> None:
        """Raise `error` in a greenlet that waits; called in the hub's own.

        At once, but a moment later for a callback of a loop in C, which may not switch.
        """
        if self.in_python or asyncio.current_task(self.loop) is not None:
            target.throw(error)
        else:
            self.loop.call_soon(_throw_late, target, error)

    def ended(self) -> bool:
        """Whether the loop is over: one that was found running, most often."""
        return self.loop.is_closed()

    def _run(self) -> None:
        run_on(self.loop)


def run_on(loop: asyncio.AbstractEventLoop, over: Callable[[], bool] = lambda: False) -> None:
    """Run a loop until it is stopped, or `over`; a task that exits is over, and nothing else.

    Asyncio gives the SystemExit of a task to whoever waits for it, and then ends the loop by it:
    with the loop all services of the process would end.
    """
    while True:
        try:
            loop.run_forever()
        except SystemExit as error:
            if over() or not _of_a_task(error):
                raise
        else:
            return


def _of_a_task(error: BaseException) -> bool:
    """Whether what came out of a loop was raised in a coroutine, and not in a plain callback."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_flags & inspect.CO_COROUTINE:
            return True
        trace = trace.tb_next
    return False


def _throw_late(target: Any, error: BaseException) -> None:
    if not target.dead:
        target.throw(error)


class Later:
    """A timer of a loop in C, whose call is made where it may switch, and never too early.

    Such a loop rounds to milliseconds, up or down: who comes early sets the rest as a new timer,
    and again. So the end is the first whole millisecond of the clock that is not before it.
    """

    __slots__ = ("_handle", "_loop")

    def __init__(
        self, loop: Any, seconds: float, call: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self._loop = loop
        begun_s = monotonic()
        whole_ms = math.ceil((begun_s + min(seconds, FOREVER_S)) * 1000) - int(begun_s * 1000)
        self._handle = loop.call_later(whole_ms / 1000, self._ring, call, args)

    def cancel(self) -> None:
        """Call not, also where it is the next to be called."""
        self._handle.cancel()

    def _ring(self, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._handle = self._loop.call_soon(call, *args)


def _new_loop() -> asyncio.AbstractEventLoop:
    if choice.chosen() == choice.UVLOOP:
        if clock.virtual:
            raise exceptions.ConfigError("uvloop has no virtual time; choose asyncio for it")
        loop: asyncio.AbstractEventLoop = import_module("uvloop").new_event_loop()
        return loop
    if clock.virtual:
        virtual = asyncio.SelectorEventLoop()
        make_virtual(virtual)
        return virtual
    return asyncio.new_event_loop()


class Hubs:
    """The hub of the process; the threads beside it have none."""

    present: Hub | None = None


def get_hub() -> Hub:
    """The hub of this process; made by the first who asks."""
    hub = Hubs.present
    if hub is None or hub.ended():
        hub = Hubs.present = Hub()
    return hub
