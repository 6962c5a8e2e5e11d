"""What tests that run on every runtime need to know of the one they run on."""

import asyncio
from typing import Any

import pytest

from congress_dse.runtime import chosen as runtime

GREEN = runtime.NAME == "green"
EVENTLET = runtime.NAME != "asyncio"
on_eventlet = pytest.mark.skipif(not EVENTLET, reason="of eventlet alone")


def time_limit() -> BaseException:
    """What a service's own time limit raises: no Exception."""
    if not EVENTLET:
        return asyncio.CancelledError("a time limit")
    from eventlet import Timeout

    return Timeout(None)


def waits() -> Any:
    """(the object whose method waits for the world, the name of that)."""
    if not GREEN:
        return runtime.loop()._selector, "select"
    from eventlet import hubs

    return hubs.get_hub(), "wait"
