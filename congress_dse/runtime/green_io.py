"""Waiting for sockets on eventlet, and the way in for native threads."""

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

import eventlet
from eventlet import hubs, patcher


def wait_io(sock: Any, write: bool = False, timeout_s: float | None = None) -> bool:
    """Wait until a non-blocking socket can be read or written; return whether it was in time."""
    if timeout_s is None:
        hubs.trampoline(sock, read=not write, write=write)
        return True
    late = eventlet.Timeout(timeout_s)
    try:
        hubs.trampoline(sock, read=not write, write=write)
    except eventlet.Timeout as error:
        if error is not late:
            raise
        return False
    finally:
        late.cancel()
    return True


class watch_io:  # noqa: N801 - it is called as a function is
    """Have `call()` made by the hub whenever a socket can be read, until `stop`; it must not wait.

    Whoever stops it does so before the socket is closed.
    """

    def __init__(self, sock: Any, call: Callable[[], Any]) -> None:
        self._hub = hub = hubs.get_hub()
        fd = sock.fileno()
        hub.mark_as_reopened(fd)  # whoever still waits for another file of this number has lost it
        self._listener = hub.add(hub.READ, fd, lambda _fd: call(), _nobody, _nobody)

    def stop(self) -> None:
        """Make the call no more."""
        self._hub.remove(self._listener)


class WayIn:
    """How other threads have calls made in the thread of a hub that has no words for it.

    The hub watches one socket; a byte on it means that calls wait.
    """

    def __init__(self, hub: Any) -> None:
        self._calls: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._read, self._write = patcher.original("socket").socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self.fd = self._read.fileno()
        hub.add(hub.READ, self.fd, self._make_calls, _nobody, _nobody)

    def call(self, call: Callable[..., Any], *args: Any) -> None:
        """Have a call made; from any thread."""
        self._calls.append((call, args))
        with contextlib.suppress(BlockingIOError):  # bytes enough are under way
            self._write.send(b".")

    def _make_calls(self, _fd: Any) -> None:
        with contextlib.suppress(BlockingIOError):
            self._read.recv(65536)
        calls = self._calls
        for _ in range(len(calls)):
            call, args = calls.popleft()
            call(*args)


def _nobody(*_args: Any) -> None:
    """What is called at the end of a file descriptor that never ends."""
