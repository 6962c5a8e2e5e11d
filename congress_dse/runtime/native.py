"""Native threads beside a hub, for calls that would block it; and modules that nobody patched.

Threads are made as they are needed, and end when they have had nothing to do for a while. They are
daemons: one that hangs for ever ends with the process. How many one source may have is for the
source to say.
"""

import _thread
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from congress_dse.exceptions import EngineError
from congress_dse.runtime import clock

IDLE_S = 30.0
THREADS_MAX = 256

start_new_thread = _thread.start_new_thread
allocate_lock = _thread.allocate_lock
_get_ident = threading.get_native_id  # the one identity that no patch changes


def unpatched(name: str) -> ModuleType:
    """The module `name`, using the system's own sockets, locks and time: here every module does."""
    return import_module(name)


class Threads:
    """A pool; `native_thread` has ``start_new_thread`` and ``allocate_lock`` of the system."""

    def __init__(self, waiter: Callable[[], Any], native_thread: Any) -> None:
        self._waiter = waiter
        self._native = native_thread
        self._idle: deque[_Worker] = deque()
        self.count = 0

    def call(self, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Make a call in a thread, and wait for what it answers or raises."""
        job = _Job(self._waiter(), call, args)
        try:
            self._idle.pop().give(job)
        except IndexError:
            self._start(job)
        clock.held.add(job)
        try:
            job.done.wait()
        except BaseException as error:
            job.abandon(error)
            raise
        finally:
            clock.held.discard(job)
        if job.error is not None:
            raise job.error
        return job.result

    def _start(self, job: "_Job") -> None:
        if self.count >= THREADS_MAX:
            raise EngineError(f"{self.count} native threads are busy: no further blocking call")
        self.count += 1
        worker = _Worker(self, self._native.allocate_lock())
        worker.job = job
        self._native.start_new_thread(worker.run, ())

    def rest(self, worker: "_Worker") -> None:
        """A thread has nothing to do."""
        self._idle.append(worker)

    def leave(self, worker: "_Worker") -> bool:
        """A thread had nothing to do for long; whether it may end: it was given nothing."""
        try:
            self._idle.remove(worker)
        except ValueError:
            return False
        self.count -= 1
        return True


class _Job:
    __slots__ = ("abandoned", "args", "call", "done", "error", "lock", "result")

    def __init__(self, done: Any, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.done = done
        self.call = call
        self.args = args
        self.result: Any = None
        self.error: BaseException | None = None
        self.abandoned: BaseException | None = None
        self.lock: Any = None

    def abandon(self, error: BaseException) -> None:
        """Nobody waits for the answer any more: a wait of ours inside the call raises `error`."""
        self.abandoned = error
        lock = self.lock
        if lock is not None:
            with contextlib.suppress(RuntimeError):
                lock.release()

    def do(self) -> None:
        _at_work[_get_ident()] = self
        try:
            self.result = self.call(*self.args)
        except BaseException as error:
            self.error = error
        del _at_work[_get_ident()]
        self.done.send()


_at_work: dict[int, _Job] = {}


def wait_natively(lock: Any, timeout_s: float | None) -> None:
    """Wait, in a native thread, for a lock that is held; raises what ended the caller's errand.

    A thread cannot be killed, but whoever waits in it for something of ours can be told.
    """
    job = _at_work.get(_get_ident())
    if job is not None:
        job.lock = lock
        if job.abandoned is not None:
            raise job.abandoned
    try:
        lock.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s))
    finally:
        if job is not None:
            job.lock = None
    if job is not None and job.abandoned is not None:
        raise job.abandoned


class _Worker:
    """One thread."""

    def __init__(self, pool: Threads, lock: Any) -> None:
        self._pool = pool
        self._lock = lock
        self._lock.acquire()
        self.job: _Job | None = None

    def give(self, job: _Job) -> None:
        """Have a job done."""
        self.job = job
        self._lock.release()

    def run(self) -> None:
        while True:
            job, self.job = self.job, None
            if job is not None:
                job.do()
                del job
                self._pool.rest(self)
            if not self._lock.acquire(timeout=IDLE_S) and self._pool.leave(self):
                return
