"""Waiting for sockets on eventlet."""

from typing import Any

import eventlet
from eventlet import hubs


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
