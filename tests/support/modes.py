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
    """Runtimes as parameters of a test; those whose library is not installed are left out."""
    return [pytest.param(name, marks=_unless(choice.NEEDS.get(name, ""))) for name in runtimes]


def _unless(library: str) -> Any:
    lacking = library and importlib.util.find_spec(library) is None
    # A run without eventlet is on purpose.
    expected = library != "eventlet" and os.environ.get("CI")
    return pytest.mark.skipif(bool(lacking and not expected), reason=f"{library} is not installed")


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
