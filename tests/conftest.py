"""Fixtures of every test: a bus that leaves nothing behind, and waiting for a condition."""

import gc
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_timeout

from congress_dse.runtime import choice

if choice.NEEDS.get(choice.chosen()) != "eventlet":
    assert not [name for name in sys.modules if name.partition(".")[0] == "eventlet"]
    sys.modules["eventlet"] = None  # type: ignore[assignment]

from congress_dse import d6cage, deepsix
from congress_dse.runtime import chosen as runtime
from tests.support import modes
from tests.support.rabbit import RabbitNode

# A limit fails its test by a signal where the main thread runs it, else it ends the whole run with
# nothing told: to a patched `threading` the main thread is another one as soon as there is a hub.
pytest_timeout.threading = runtime.unpatched("threading")

WITHIN_S = 20.0  # generous: on a loaded machine a condition comes late, not never

_number = itertools.count(1)


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Let the others run until `condition()` is true; fail when it is not within `within_s`."""

    def wait(condition: Callable[[], Any], within_s: float = WITHIN_S) -> None:
        end = runtime.now() + within_s
        while not condition():
            assert runtime.now() < end, f"not within {within_s} s"
            runtime.sleep(0.002)

    return wait


@pytest.fixture
def settle(wait_for: Any) -> Callable[[Any], None]:
    """Let a bus and all its services handle what is queued, until each of them is at rest."""

    def at_rest(cage: Any) -> bool:
        entries = list(cage.services.values())
        services = [e["object"] for e in entries if isinstance(e.get("object"), deepsix.deepSix)]
        return all(service.at_rest() for service in [cage, *services])

    return lambda cage: wait_for(lambda: at_rest(cage))


@pytest.fixture
def nothing_left(wait_for: Any) -> Iterator[None]:
    """Whatever runs inside leaves no greenthread alive and no timer set."""
    threads, timers = _threads(), _timers()
    yield
    left: set[Any] = set()

    def clean() -> bool:
        left.clear()
        left.update(_threads() - threads, _timers() - timers)
        return not left

    try:
        wait_for(clean, within_s=5)
    except AssertionError:
        pytest.fail(f"left behind: {left}")


@pytest.fixture
def host(nothing_left: None) -> Iterator[Any]:
    """A bus apart from the process's own; it is stopped at the end, and leaves nothing behind."""
    cage = d6cage.d6Cage(name=f"cage-{next(_number)}")
    yield cage
    cage.d6stop()
    assert len(cage.table) == 0
    assert not cage.services


@pytest.fixture(scope="module")
def rabbit_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A RabbitMQ of the tests of one module, which may do to it what they like and undo it."""
    with RabbitNode(tmp_path_factory.mktemp("rabbit")) as node:
        yield node


def _threads() -> set[Any]:
    """The greenthreads that have begun and not ended."""
    if not modes.EVENTLET:
        from congress_dse.runtime.aio import Thread

        return {t for t in gc.get_objects() if isinstance(t, Thread) and t}
    from eventlet.greenthread import GreenThread

    return {t for t in gc.get_objects() if isinstance(t, GreenThread) and t}


def _timers() -> set[Any]:
    """The timers of the hub that will fire."""
    if not modes.EVENTLET:
        return set(modes.loop_timers(runtime.loop()))
    from eventlet import hubs

    hub = hubs.get_hub()
    return {timer for _, timer in [*hub.timers, *hub.next_timers] if not timer.called}
