"""The clock of all deadlines, in seconds: the system's monotonic one, or a virtual one of tests.

Virtual time stands still while anything runs, and leaps to the next timer when all wait: an hour
of timers takes as long as what they call. Who waits at a socket waits for somebody else's work, so
time passes as it does until nothing has come of it for `HOPE_S`. It is chosen for the whole
process, by the environment variable ``CONGRESS_DSE_VIRTUAL_TIME``, before the first import of the
engine.
"""

import os
from collections.abc import Callable
from time import monotonic
from typing import Any

VARIABLE = "CONGRESS_DSE_VIRTUAL_TIME"

_leapt_s = 0.0
HELD_S = 0.005
HOPE_S = 1.0  # of real time, for which what waits at files may be under way

held: set[object] = set()  # what is done in native threads: until it is, time passes as it does


def leap(seconds: float) -> None:
    """Let `seconds` pass; what waits for nothing but time calls it instead of waiting."""
    global _leapt_s  # noqa: PLW0603 - a process has one time
    _leapt_s += max(0.0, seconds)


def leaping(
    wait: Callable[[float | None], Any],
    pending: Callable[[], Any],
    files: Callable[[], frozenset[int]],
) -> Callable[..., Any]:
    """`wait(timeout_s)` of a hub, made to leap over the time where nothing else is to be done.

    `pending` says whether the wait has brought something, of which its answer does not tell, and
    `files` at which descriptors somebody waits, beside the hub itself.
    """
    hope = _Hope()

    def leaping_wait(timeout_s: float | None = None) -> Any:
        if timeout_s is None or timeout_s <= 0:
            answer = wait(timeout_s)
        else:
            stands_still = held or hope.at(files())
            answer = wait(HELD_S if stands_still else 0)
            if not answer and not pending() and not stands_still and not held:
                leap(timeout_s)
        if answer or pending():
            hope.anew()
        return answer

    return leaping_wait


class _Hope:
    """Whether something may come at the files at which somebody waits."""

    def __init__(self) -> None:
        self._files: frozenset[int] = frozenset()
        self._since = 0.0

    def anew(self) -> None:
        """Something has come: more may."""
        self._since = monotonic()

    def at(self, files: frozenset[int]) -> bool:
        if files - self._files:
            self.anew()
        self._files = files
        return bool(files) and monotonic() - self._since < HOPE_S


def _virtual() -> float:
    return monotonic() + _leapt_s


def be_virtual() -> None:
    """Make the time of this process virtual; before anything else of the engine is imported."""
    global now, virtual
    now, virtual = _virtual, True


virtual = os.environ.get(VARIABLE, "") not in {"", "0"}
now: Callable[[], float] = _virtual if virtual else monotonic
