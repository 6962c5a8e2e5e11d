"""Endings: what a service does and waits for at its end, each with its deadline."""

import logging
from typing import Any

from congress_dse import deepsix, exceptions
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)

CLEANUP_S = 2.0
DRAIN_S = 2.5  # of a service that was killed, for the cleanup of its coroutine
LEAST_S = 0.5  # for the cleanup of what was cancelled at the very end
DRAIN_LOOK_S = 0.005


def clean_up(service: Any, name: str) -> None:
    """Call a service's ``cleanup`` if it has one, with a deadline; what it raises ends nothing."""
    if not hasattr(service, "cleanup"):
        return
    late = exceptions.EngineError(f"{name}: cleanup took over {CLEANUP_S:g} s")
    try:
        with runtime.deadline(CLEANUP_S, late):
            runtime.finish(service.cleanup())
    except BaseException as error:
        runtime.failure(error)
        LOG.exception("%s: cleanup failed", name)


def drain(service: Any) -> None:
    """Wait for what a service had spawned and is at its cleanup, as polls and actions are."""
    if not isinstance(service, deepsix.deepSix) or not runtime.may_wait():
        return
    end = runtime.now() + DRAIN_S
    for thread in service.on_their_way():
        if not runtime.wait_dead(thread, max(0.0, end - runtime.now())):
            LOG.warning("%s: what it had spawned has not ended in %g s", service.name, DRAIN_S)
            return


def drain_coroutines(end: float) -> None:
    """Wait for the cleanup of the coroutines that were cancelled, and name those that go on."""
    end = max(end, runtime.now() + LEAST_S)
    while runtime.coroutines.draining and runtime.may_wait() and runtime.now() < end:
        runtime.sleep(DRAIN_LOOK_S)
    for task in [*runtime.coroutines.draining, *runtime.coroutines.stragglers]:
        LOG.warning("%r goes on beyond the end of the bus", task)
