"""Waiting: one value for one waiter, and a lock whose owner may wait while it has it.

Whoever waits lets others run. In a native thread, which is no hub's, waiting is the system's own.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from congress_dse.runtime.native import wait_natively
from congress_dse.runtime.runqueue import RunQueue


class Waiter:
    """One value, waited for by one greenlet or thread; any thread may bring it."""

    __slots__ = ("_error", "_lock", "_ready", "_who", "done", "value")
    switches = True
    _parked = False  # it is not to be switched to, but resumed

    # What the runtime of the process brings.
    queue: Callable[[], RunQueue]
    native_lock: Callable[[], Any]
    may_wait: Callable[[], bool]

    def __init__(self, queue: RunQueue | None = None) -> None:
        self._ready = self.queue() if queue is None else queue
        self._who: Any = None
        self._lock: Any = None
        self._error: BaseException | None = None
        self.done = False
        self.value: Any = None

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for `send`; return whether it came in time. Raises what `throw` was given."""
        if not self.done:
            if self._ready.foreign():
                self._wait_natively(timeout_s)
            else:
                self._wait(timeout_s)
        if self._error is not None:
            raise self._error
        return self.done

    def foreign(self) -> bool:
        """Whether the caller is a native thread beside that of the hub."""
        return self._ready.foreign()

    def from_thread(self, call: Callable[[], Any]) -> None:
        """Have a call made in the thread of the hub."""
        self._ready.from_thread(call)

    def send(self, value: Any = None) -> None:
        """Bring the value; a second one is ignored."""
        if not self.done:
            self.value, self.done = value, True
            if self._who is not None:
                self._ready.add(self)
            elif self._lock is not None:
                self._release()

    def throw(self, error: BaseException) -> None:
        """Make `wait` raise `error`."""
        if not self.done:
            self._error = error
            self.send()

    def resume(self) -> None:
        if self._who is not None:
            self._who.switch()

    def _wait(self, timeout_s: float | None) -> None:
        if not self.may_wait():
            raise RuntimeError("the hub itself cannot wait; wait in a greenthread, or await")
        if timeout_s is None:
            self.park()
            return
        timer = self._ready.after(timeout_s, self.resume)
        try:
            self.park()
        finally:
            timer.cancel()

    def park(self) -> None:
        """Wait for `send`, or for being resumed; for a greenlet of the hub's that may wait."""
        self._who = getcurrent()
        try:
            if not self.done:  # a native thread may have brought it meanwhile
                self._ready.park()
        finally:
            self._who = None

    def _wait_natively(self, timeout_s: float | None) -> None:
        self._lock = self.native_lock()
        self._lock.acquire()
        if not self.done:
            wait_natively(self._lock, timeout_s)

    def _release(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            return  # it waits no more


class Lock:
    """A lock that is handed on in the order of asking; its owner may wait while it has it."""

    waiter: Callable[[], Waiter]
    native_lock: Callable[[], Any]

    def __init__(self) -> None:
        self._guard = self.native_lock()  # held for no longer than a look at the two below
        self._held = False
        self._waiting: deque[Waiter] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            waiter = type(self).waiter()
            self._waiting.append(waiter)
        try:
            waiter.wait()
        except BaseException:
            with self._guard:
                handed_on = waiter not in self._waiting
                if not handed_on:
                    self._waiting.remove(waiter)
            if handed_on:
                self.__exit__()
            raise

    def __exit__(self, *_exc: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().send()
            else:
                self._held = False
