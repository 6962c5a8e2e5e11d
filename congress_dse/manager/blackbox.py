"""A file that tells of a worker's last moments, written by native code alone."""

import faulthandler
import os
from pathlib import Path

STACKS_AT = 0.8  # of the liveness limit without a heartbeat, a watchdog writes the stacks


class BlackBox:
    """The worker's side: fatal errors write their stacks here, and so does a blocked hub.

    The watchdog is a thread in C without the interpreter's lock; each heartbeat sets it back.
    """

    def __init__(self, path: str, liveness_s: float) -> None:
        # Unbuffered and kept for the life of the process: native code writes to the descriptor.
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115
        self._limit_s = STACKS_AT * liveness_s
        faulthandler.enable(self._file)

    def beat(self) -> None:
        """Set the watchdog back, and forget a delay that is over."""
        if self._limit_s > 0:
            self._file.seek(0)
            self._file.truncate()
            faulthandler.dump_traceback_later(self._limit_s, file=self._file)

    def close(self) -> None:
        """Stop watching."""
        faulthandler.cancel_dump_traceback_later()
        faulthandler.disable()
        self._file.close()


def read(path: str) -> str:
    """What the box at `path` holds, by the master; nothing if it was never opened."""
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


def discard(path: str) -> None:
    """Remove the box at `path`."""
    try:
        os.unlink(path)
    except OSError:
        return
