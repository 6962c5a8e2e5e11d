"""Coroutines: awaited by whoever may wait, on the one asyncio loop of the process's hub.

A greenlet that waits for a coroutine, and is killed or has no time left, takes the coroutine with
it: its task is cancelled, and its cleanup is waited for, up to `DRAIN_S`. What has not ended by
then is a straggler, and is told.
"""

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from types import CoroutineType, coroutine
from typing import Any

from greenlet import GreenletExit

from congress_dse.runtime.clock import now
from congress_dse.runtime.waiting import Waiter

LOG = logging.getLogger(__name__)
DRAIN_S = 2.0  # that the cleanup of a cancelled coroutine may take


def is_awaitable(value: Any) -> bool:
    """Whether `value` is a coroutine, a future, or anything else that can be awaited."""
    cls = type(value)
    return cls is CoroutineType or hasattr(cls, "__await__")


class Coroutines:
    """The coroutines of one process, on the loop that `loop` answers with."""

    def __init__(
        self,
        loop: Callable[[], asyncio.AbstractEventLoop],
        waiter: Callable[..., Waiter],
        in_loop: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._waiter = waiter
        self.in_loop = in_loop
        self._owners: dict[Any, Any] = {}
        self.draining: set[Any] = set()  # cancelled, and at their cleanup
        self.stragglers: set[Any] = set()  # cancelled, and not over in time

    def finish(self, answer: Any, owner: Any = None) -> Any:
        """Wait for `answer` if it can be awaited, as a part of the turn of `owner`; its result.

        Where nobody can wait it goes on alone, and its failure is logged.
        """
        if answer is None or not is_awaitable(answer):
            return answer
        if self.in_loop():
            self._alone(answer)
            return None
        waiter = self._waiter()
        if waiter.foreign():
            return self._from_thread(answer, waiter)
        return self.wait(self.task(answer), owner)

    def finish_turn(self, answer: Any, owner: Any) -> Any:
        """The same as `finish`, for who is known to be in the turn of `owner`, and may wait."""
        if type(answer) is not CoroutineType:
            return self.finish(answer, owner)
        waiter = self._waiter(owner._ready)
        told = _telling(answer, waiter.send)
        told.send(None)
        task = asyncio.Task(told, loop=self._loop(), name=owner.name)
        return self._wait(waiter.park, task, owner)

    def task(self, awaitable: Awaitable[Any]) -> asyncio.Future[Any]:
        """The future of an awaitable; a coroutine becomes a task of the loop."""
        loop = self._loop()
        if type(awaitable) is CoroutineType:
            return asyncio.Task(awaitable, loop=loop)
        if asyncio.isfuture(awaitable):
            return awaitable
        return asyncio.Task(_awaiting(awaitable), loop=loop)

    def wait(self, future: asyncio.Future[Any], owner: Any = None) -> Any:
        """Wait for a future of the loop; answer or raise what it does."""
        waiter = self._waiter()
        future.add_done_callback(waiter.send)
        return self._wait(waiter.wait, future, owner)

    def _wait(self, wait: Callable[[], Any], future: asyncio.Future[Any], owner: Any) -> Any:
        if owner is not None:
            self._owners[future] = owner
        try:
            wait()
        except BaseException:
            self._end(future)
            raise
        finally:
            if owner is not None:
                del self._owners[future]
        if owner is not None and owner._owed:
            owner._settle()
        return future.result()

    def owner(self) -> Any:
        """The actor whose turn the caller's task is, if it is one's; called in the loop."""
        if not self._owners:
            return None
        task = asyncio.current_task(self._loop())
        return self._owners.get(task)

    def owned_by(self, actor: Any) -> asyncio.Future[Any] | None:
        """The task that is the present turn of `actor`."""
        return next((task for task, owner in list(self._owners.items()) if owner is actor), None)

    def running(self, actor: Any) -> bool:
        """Whether a coroutine that is the turn of `actor` runs at this moment; from any thread."""
        task = self.owned_by(actor)
        return isinstance(task, asyncio.Task) and getattr(task.get_coro(), "cr_running", False)

    def stack(self, actor: Any) -> traceback.StackSummary:
        """Where an actor's turn waits, in a coroutine or in a greenlet; empty without a turn."""
        task = self.owned_by(actor)
        if isinstance(task, asyncio.Task):
            return stack_of(task)
        frame = actor.gr_frame
        return traceback.StackSummary() if frame is None else traceback.extract_stack(frame)

    def _end(self, future: asyncio.Future[Any]) -> None:
        """Cancel a task, and wait for its cleanup: what it holds is let go before we go on."""
        if future.done():
            _look(future)
            return
        future.cancel()
        drained, end = self._waiter(), now() + DRAIN_S
        future.add_done_callback(drained.send)
        self.draining.add(future)
        try:
            while not future.done() and now() < end:
                with contextlib.suppress(GreenletExit):  # killed again: it is ending already
                    drained.wait(max(0.0, end - now()))
        finally:
            self.draining.discard(future)
            if future.done():
                _look(future)
            else:
                self.stragglers.add(future)
                future.add_done_callback(self._arrived)
                LOG.warning("%r has not ended %g s after it was cancelled", future, DRAIN_S)

    def _arrived(self, future: asyncio.Future[Any]) -> None:
        self.stragglers.discard(future)
        _look(future)

    def _from_thread(self, awaitable: Awaitable[Any], waiter: Waiter) -> Any:
        """Have it awaited on the loop, and wait for it in the native thread that asks."""
        made: list[asyncio.Future[Any]] = []

        def start() -> None:
            made.append(self.task(awaitable))
            made[0].add_done_callback(waiter.send)

        def give_up() -> None:
            made[0].cancel()
            made[0].add_done_callback(_look)

        waiter.from_thread(start)
        try:
            waiter.wait()
        except BaseException:
            waiter.from_thread(give_up)
            raise
        return waiter.value.result()

    def _alone(self, awaitable: Awaitable[Any]) -> None:
        task = self.task(awaitable)
        self.stragglers.add(task)
        task.add_done_callback(self._told)

    def _told(self, future: asyncio.Future[Any]) -> None:
        self.stragglers.discard(future)
        if not future.cancelled() and future.exception() is not None:
            LOG.error("a coroutine that nobody waited for failed", exc_info=future.exception())


def stack_of(task: "asyncio.Task[Any]") -> traceback.StackSummary:
    """Where a task waits: its coroutine, and what that awaits, down to the innermost."""
    frames: list[tuple[Any, int]] = []
    inner: Any = task.get_coro()
    while inner is not None:
        frame = getattr(inner, "cr_frame", None)
        if frame is not None and inner.cr_code is not _telling.__code__:
            frames.append((frame, frame.f_lineno))
        inner = getattr(inner, "cr_await", None)
    return traceback.StackSummary.extract(frames)


async def _telling(awaited: Coroutine[Any, Any, Any], tell: Callable[[], None]) -> Any:
    """Await a coroutine, and tell: a callback of the task would cost a call of the loop each time.

    It is begun before a task has it, so that it tells of a cancellation that comes first, too.
    """
    try:
        try:
            await _at_once()
        except BaseException:
            awaited.close()
            raise
        return await awaited
    finally:
        tell()


@coroutine
def _at_once() -> Iterator[None]:
    yield


async def _awaiting(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _look(future: asyncio.Future[Any]) -> None:
    """Take the outcome of what nobody waits for any more, so that asyncio does not miss it."""
    if not future.cancelled():
        future.exception()


class Interop:
    """Between greenlets and futures, under the names of aioeventlet."""

    def __init__(self, coroutines: Coroutines, loop: Callable[[], Any]) -> None:
        self._coroutines = coroutines
        self._loop = loop

    def yield_future(
        self, future: Awaitable[Any] | Coroutine[Any, Any, Any], loop: Any = None
    ) -> Any:
        """Wait, in a greenlet or a native thread, for a future or coroutine; its result or error.

        Killed while it waits, it cancels the future and waits for its cleanup. Raises TypeError
        for what is neither, ValueError for a loop, or the future of a loop, that is not this
        process's, and RuntimeError in the loop's own greenlet, which cannot wait for itself.
        """
        own = self._loop()
        if not (asyncio.isfuture(future) or asyncio.iscoroutine(future)):
            raise TypeError(f"a future or a coroutine is needed, not {type(future).__name__}")
        if loop is not None and loop is not own:
            self._close(future)
            raise ValueError("another loop than the one that runs in this process's hub")
        if asyncio.isfuture(future) and future.get_loop() is not own:
            raise ValueError("the future belongs to another loop than this process's hub runs")
        if self._coroutines.in_loop():
            self._close(future)
            raise RuntimeError("the loop's own greenlet cannot wait for the loop; await instead")
        return self._coroutines.finish(future)

    def future_of(self, loop: Any = None) -> asyncio.Future[Any]:
        """A future of the loop of this process; raises ValueError for another one."""
        own = self._loop()
        if loop is not None and loop is not own:
            raise ValueError("another loop than the one that runs in this process's hub")
        return asyncio.Future(loop=own)

    @staticmethod
    def _close(future: Any) -> None:
        if asyncio.iscoroutine(future):
            future.close()


def bring(future: asyncio.Future[Any], call: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Make a call, and give what comes of it to a future, unless that was cancelled."""
    try:
        result = call(*args, **named)
    except Exception as error:
        if not future.done():
            future.set_exception(error)
    except BaseException as error:
        if not future.done():
            future.cancel() if _is_exit(error) else future.set_exception(error)
    else:
        if not future.done():
            future.set_result(result)
        return result
    return None


def bring_first_run(future: asyncio.Future[Any], thread: Any) -> None:
    """Give what comes of a greenlet that has not begun to a future; raises RuntimeError else."""
    if thread.dead or thread:
        raise RuntimeError("the greenlet is over" if thread.dead else "the greenlet runs already")
    call = thread.run
    thread.run = lambda *args, **named: bring(future, call, *args, **named)


def _is_exit(error: BaseException) -> bool:
    return isinstance(error, GreenletExit)
