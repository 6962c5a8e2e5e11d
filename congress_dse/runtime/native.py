"""Native threads beside a hub, for calls that would block it; and modules that nobody patched.

Threads are made as they are needed, and end when they have had nothing to do for a while. They are
daemons: one that hangs for ever ends with the process. How many one source may have is for the
source to say.
"""

import _thread
from collections import deque
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from congress_dse.exceptions import EngineError

IDLE_S = 30.0
THREADS_MAX = 256

start_new_thread = _thread.start_new_thread
allocate_lock = _thread.allocate_lock


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
        job.done.wait()
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
    __slots__ = ("args", "call", "done", "error", "result")

    def __init__(self, done: Any, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.done = done
        self.call = call
        self.args = args
        self.result: Any = None
        self.error: BaseException | None = None

    def do(self) -> None:
        try:
            self.result = self.call(*self.args)
        except BaseException as error:
            self.error = error
        self.done.send()


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
