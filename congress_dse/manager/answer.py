"""An answer that a native thread waits for, in a process that may be patched meanwhile.

The lock is the native one also then, since this module is loaded before and keeps what it found.
"""

from _thread import TIMEOUT_MAX, allocate_lock
from typing import Any


class Answer:
    """One result or error, given once; what comes later is ignored."""

    def __init__(self) -> None:
        self._given = allocate_lock()
        self._given.acquire()
        self._done = False
        self._result: Any = None
        self._error: BaseException | None = None

    def set_result(self, result: Any) -> None:
        """Give the result."""
        self._give(result, None)

    def set_exception(self, error: BaseException) -> None:
        """Give what `result` is to raise."""
        self._give(None, error)

    def result(self, timeout: float | None = None) -> Any:
        """Wait natively, and answer the result or raise the error; TimeoutError if none came."""
        limit_s = TIMEOUT_MAX if timeout is None else min(max(0.0, timeout), TIMEOUT_MAX)
        if not self._given.acquire(timeout=limit_s):
            raise TimeoutError(f"no answer in {timeout} s")
        self._given.release()
        if self._error is not None:
            raise self._error
        return self._result

    def _give(self, result: Any, error: BaseException | None) -> None:
        if not self._done:
            self._done, self._result, self._error = True, result, error
            self._given.release()
