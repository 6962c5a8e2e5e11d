"""Waiting for sockets on plain asyncio."""

from collections.abc import Callable
from typing import Any

from congress_dse.runtime.aio import Waiter
from congress_dse.runtime.aio_hub import get_hub


def wait_io(sock: Any, write: bool = False, timeout_s: float | None = None) -> bool:
    """Wait until a non-blocking socket can be read or written; return whether it was in time."""
    waiter, used = Waiter(), get_hub().loop
    fd = sock if isinstance(sock, int) else sock.fileno()
    add, remove = (
        (used.add_writer, used.remove_writer) if write else (used.add_reader, used.remove_reader)
    )
    add(fd, waiter.send)
    try:
        return waiter.wait(timeout_s)
    finally:
        remove(fd)


class watch_io:  # noqa: N801 - it is called as a function is
    """Have `call()` made by the loop whenever a socket can be read, until `stop`.

    Whoever stops it does so before the socket is closed.
    """

    def __init__(self, sock: Any, call: Callable[[], Any]) -> None:
        self._loop, self._fd = get_hub().loop, sock.fileno()
        self._loop.add_reader(self._fd, call)

    def stop(self) -> None:
        """Make the call no more."""
        self._loop.remove_reader(self._fd)
