"""The hub of a worker under asyncio: a service's hooks may be coroutine functions."""

import asyncio
import inspect
import traceback
from collections.abc import Callable
from socket import socket

from congress_dse.stacks import thread_stacks


class WorkerLoop:
    """One event loop, which beats."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def beside(
        self, call: Callable[[], object], done: Callable[[BaseException | None], object]
    ) -> None:
        """Run `call` in a task; what it answers is awaited if it can be."""
        task = self._loop.create_task(_attempt(call, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def run(self, wake: socket, turn: Callable[[], float | None]) -> None:
        """Turn until there is nothing more to do."""

        def once() -> None:
            if self._timer is not None:
                self._timer.cancel()
            wait_s = turn()
            if wait_s is None:
                self._loop.stop()
            else:
                self._timer = self._loop.call_later(wait_s, once)

        self._loop.add_reader(wake, once)
        self._loop.call_soon(once)
        self._loop.run_forever()
        self._loop.close()

    def stacks(self) -> str:
        """The stacks of all threads and of all tasks that wait."""
        parts = [thread_stacks()]
        for task in tuple(self._tasks):
            frames = task.get_stack()
            lines = [line for frame in frames for line in traceback.format_stack(frame, limit=1)]
            parts.append(f"{task.get_name()}:\n{''.join(lines)}")
        return "\n".join(parts)


async def _attempt(
    call: Callable[[], object], done: Callable[[BaseException | None], object]
) -> None:
    try:
        answer = call()
        if inspect.isawaitable(answer):
            await answer
    except BaseException as error:
        done(error)
    else:
        done(None)
