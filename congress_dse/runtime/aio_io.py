"""Waiting for sockets on plain asyncio."""

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
