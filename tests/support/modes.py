"""What tests that run on every runtime need to know of the one they run on."""

import asyncio
import gc
import importlib.util
import os
from collections.abc import Iterable
from typing import Any

import pytest

from congress_dse.runtime import choice, chosen as runtime

GREEN = runtime.NAME == "green"
EVENTLET = runtime.NAME in {"green", "mixed"}
UVLOOP = runtime.NAME == "uvloop"
on_eventlet = pytest.mark.skipif(not EVENTLET, reason="of eventlet alone")


def each(runtimes: Iterable[str] = choice.RUNTIMES) -> list[Any]:
    """Runtimes as parameters of a test; uvloop is left out where it is not installed."""
    lacking = importlib.util.find_spec("uvloop") is None and not os.environ.get("CI")
    skipped = pytest.mark.skipif(lacking, reason="uvloop is not installed")
    return [pytest.param(r, marks=skipped) if r == choice.UVLOOP else r for r in runtimes]


def others() -> list[Any]:
    """The runtimes that these tests do not run on."""
    return each(r for r in choice.RUNTIMES if r != runtime.NAME)


def time_limit() -> BaseException:
    """What a service's own time limit raises: no Exception."""
    if not EVENTLET:
        return asyncio.CancelledError("a time limit")
    from eventlet import Timeout

    return Timeout(None)


def wake_ups(seconds: float) -> int:
    """How often the hub wakes while nobody does anything; the end of the wait is one.

    The system tells: a thread that waits gives up the processor of its own will.
    """
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "RUSAGE_THREAD"):
        pytest.skip("the system counts no threads")
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    runtime.sleep(seconds)
    return int(resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before)


def loop_timers(loop: Any) -> list[Any]:
    """The timers of a loop of asyncio that will fire; uvloop shows its own to the collector."""
    if not UVLOOP:
        return [timer for timer in loop._scheduled if not timer.cancelled()]
    kept = [thing for thing in gc.get_referents(loop) if type(thing) is set]
    timers = [one for each in kept for one in each if type(one).__name__ == "TimerHandle"]
    return [timer for timer in timers if timer.when() > loop.time()]  # others are at their call
