"""The hub of a worker under asyncio: a service's hooks may be coroutine functions.

A plain hook is called beside the loop, where it may wait for what the engine waits for.
"""

import asyncio
import traceback
from collections.abc import Callable
from socket import socket

from congress_dse.runtime import aio, heap
from congress_dse.stacks import thread_stacks


class WorkerLoop:
    """One event loop, which beats."""

    def __init__(self) -> None:
        self._loop = aio.loop()
        self._timer: asyncio.TimerHandle | None = None
        self._over: aio.Waiter | None = None

    def beside(
        self, call: Callable[[], object], done: Callable[[BaseException | None], object]
    ) -> None:
        """Run `call` beside the loop; what it answers is awaited if it can be."""
        aio.spawn(_attempt, call, done)

    def run(self, wake: socket, turn: Callable[[], float | None]) -> None:
        """Turn until there is nothing more to do."""
        over = aio.Waiter()

        def once() -> None:
            if self._timer is not None:
                self._timer.cancel()
            wait_s = turn()
            if wait_s is None:
                over.send()
            else:
                self._timer = self._loop.call_later(wait_s, once)

        self._loop.add_reader(wake, once)
        self._loop.call_soon(once)
        over.wait()
        self._loop.remove_reader(wake)

    def stacks(self) -> str:
        """The stacks of all threads, and of all tasks and greenlets that wait."""
        parts = [thread_stacks()]
        for task in asyncio.all_tasks(self._loop):
            frames = task.get_stack()
            lines = [line for frame in frames for line in traceback.format_stack(frame, limit=1)]
            parts.append(f"{task.get_name()}:\n{''.join(lines)}")
        for thing in heap.greenlets():
            if thing.gr_frame is not None:
                stack = "".join(traceback.format_stack(thing.gr_frame))
                parts.append(f"greenlet {id(thing):#x}:\n{stack}")
        return "\n".join(parts)


def _attempt(call: Callable[[], object], done: Callable[[BaseException | None], object]) -> None:
    try:
        aio.coroutines.finish(call())
    except BaseException as error:
        done(error)
    else:
        done(None)
