"""A hub of greenlets on plain asyncio: greenlets wait, the loop runs, coroutines are awaited.

The loop runs in a greenlet of its own, or in the one in which a running loop was found: whoever
waits switches to it, and its callbacks switch back. No eventlet, and no thread but this one.
"""

import asyncio
import inspect
import os
from _thread import get_ident
from collections.abc import Callable
from importlib import import_module
from typing import Any

from greenlet import getcurrent, greenlet

from congress_dse.runtime import clock

UVLOOP = "CONGRESS_DSE_UVLOOP"  # set it to have the loop of the package uvloop


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
        return self.loop.call_later(seconds, call, *args)

    def inside(self) -> bool:
        """Whether the caller runs in the loop, as coroutines and callbacks do."""
        return getcurrent() is self.greenlet

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


def _new_loop() -> asyncio.AbstractEventLoop:
    if clock.virtual:
        virtual = asyncio.SelectorEventLoop()
        make_virtual(virtual)
        return virtual
    if os.environ.get(UVLOOP, "") not in {"", "0"}:
        loop: asyncio.AbstractEventLoop = import_module("uvloop").new_event_loop()
        return loop
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
