"""HubWatch: whether the hub of this process turns, as a native thread sees it."""

import sys
import time
import traceback
from _thread import get_ident
from collections.abc import Callable

PATIENCE_S = 0.15  # for a hub that was woken to turn
LOOK_S = 0.002
STACK_MAX = 20_000  # characters
_native_sleep = time.sleep  # kept before anything patches it


class HubWatch:
    """Counts the turns of the hub; made in the hub's own thread."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self.thread = get_ident()
        self._wake = wake
        self._turns = 0
        self._silent_since: float | None = None

    def turned(self) -> None:
        """The hub has turned; called by its loop."""
        self._turns += 1
        self._silent_since = None

    def blocked_s(self) -> float:
        """For how long it has been known that the hub does not turn; 0.0 where it does.

        Wakes the hub and waits natively for `PATIENCE_S` at most; called from a native thread.
        """
        before, began = self._turns, time.monotonic()
        self._wake()
        while time.monotonic() - began < PATIENCE_S:
            if self._turns != before:
                return 0.0
            _native_sleep(LOOK_S)
        if self._silent_since is None:
            self._silent_since = began
        return time.monotonic() - self._silent_since

    def stack(self) -> str:
        """Where the hub's thread is at this moment."""
        frame = sys._current_frames().get(self.thread)  # noqa: SLF001 (there is no other way in)
        return "" if frame is None else "".join(traceback.format_stack(frame))[-STACK_MAX:]
