"""The clock of all deadlines, in seconds: the system's monotonic one, or a virtual one of tests.

Virtual time stands still while anything runs, and leaps to the next timer when all wait: an hour
of timers takes as long as what they call. It is chosen for the whole process, by the environment
variable ``CONGRESS_DSE_VIRTUAL_TIME``, before the first import of the engine.
"""

import os
from collections.abc import Callable
from time import monotonic
from typing import Any

VARIABLE = "CONGRESS_DSE_VIRTUAL_TIME"

_leapt_s = 0.0
HELD_S = 0.005

held: set[object] = set()  # what is done in native threads: until it is, time passes as it does


def leap(seconds: float) -> None:
    """Let `seconds` pass; what waits for nothing but time calls it instead of waiting."""
    global _leapt_s  # noqa: PLW0603 - a process has one time
    _leapt_s += max(0.0, seconds)


def leaping(wait: Callable[[float | None], Any], pending: Callable[[], Any]) -> Callable[..., Any]:
    """`wait(timeout_s)` of a hub, made to leap over the time where nothing else is to be done.

    `pending` says whether the wait has brought something, of which its answer does not tell.
    """

    def leaping_wait(timeout_s: float | None = None) -> Any:
        if timeout_s is None or timeout_s <= 0:
            return wait(timeout_s)
        answer = wait(HELD_S if held else 0)
        if not answer and not pending() and not held:
            leap(timeout_s)
        return answer

    return leaping_wait


def _virtual() -> float:
    return monotonic() + _leapt_s


def be_virtual() -> None:
    """Make the time of this process virtual; before anything else of the engine is imported."""
    global now, virtual
    now, virtual = _virtual, True


virtual = os.environ.get(VARIABLE, "") not in {"", "0"}
now: Callable[[], float] = _virtual if virtual else monotonic
