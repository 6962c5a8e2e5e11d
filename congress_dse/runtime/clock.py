"""The clock of all deadlines, in seconds: the system's monotonic one, or a virtual one of tests.

Virtual time stands still while anything runs, and leaps to the next timer when all wait: an hour
of timers takes as long as what they call. It is chosen for the whole process, by the environment
variable ``CONGRESS_DSE_VIRTUAL_TIME``, before the first import of the engine.
"""

import os
from collections.abc import Callable
from time import monotonic

VARIABLE = "CONGRESS_DSE_VIRTUAL_TIME"

_leapt_s = 0.0


def leap(seconds: float) -> None:
    """Let `seconds` pass; what waits for nothing but time calls it instead of waiting."""
    global _leapt_s  # noqa: PLW0603 - a process has one time
    _leapt_s += max(0.0, seconds)


def _virtual() -> float:
    return monotonic() + _leapt_s


virtual = os.environ.get(VARIABLE, "") not in {"", "0"}
now: Callable[[], float] = _virtual if virtual else monotonic
