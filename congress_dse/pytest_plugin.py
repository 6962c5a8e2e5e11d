"""A pytest plugin for those who write services and drivers: a bus to try them on, in any runtime.

``--dse-runtime`` (or ``dse_runtime`` of the configuration file) says on which runtime the tests
run, ``--dse-virtual-time`` that time leaps over what nobody works in: an hour of polls takes as
long as the polls. Both are for the whole process, so they are told before the tests are loaded.

Fixtures: `dse_bus`, a bus that leaves nothing behind; `dse_wait_for(condition)`; `dse_sleep`. The
class `DriverConformance` is a suite that every driver should pass; a subclass names the driver.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from congress_dse.runtime import choice, clock

WITHIN_S = 20.0
GAP_S = 1.0  # for which a poll may hold up others: more is a blocking call that nobody marked


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of this plugin."""
    group = parser.getgroup("congress_dse")
    group.addoption("--dse-runtime", choices=choice.RUNTIMES, help="the runtime of the tests")
    group.addoption(
        "--dse-virtual-time", action="store_true", help="leap over time that nobody works in"
    )
    parser.addini(
        "dse_runtime", f"the runtime of the tests: {', '.join(choice.RUNTIMES)}", default=""
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Choose, before any test or conftest imports the engine."""
    options = early_config.known_args_namespace
    wanted = options.dse_runtime or early_config.getini("dse_runtime")
    if wanted:
        os.environ[choice.VARIABLE] = wanted
    if options.dse_virtual_time:
        os.environ[clock.VARIABLE] = "1"
        clock.be_virtual()


@pytest.fixture
def dse_sleep() -> Callable[[float], None]:
    """Let others run for so many seconds."""
    from congress_dse.runtime import chosen

    return chosen.sleep


@pytest.fixture
def dse_wait_for() -> Callable[..., Any]:
    """Let others run until a condition is true; answers what it says, fails when it is late."""
    from congress_dse.runtime import chosen

    def wait(condition: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
        end = chosen.now() + within_s
        while not (value := condition()):
            if chosen.now() > end:
                pytest.fail(f"not within {within_s:g} s")
            chosen.sleep(0.005)
        return value

    return wait


@pytest.fixture
def dse_bus() -> Iterator[Any]:
    """A bus of the test's own; at the end every service has to stop, and none to be killed."""
    from congress_dse.d6cage import d6Cage
    from congress_dse.runtime import chosen

    cage = d6Cage(name="dse-bus")
    yield cage
    killed = cage.d6stop()
    assert not killed, f"killed, being late: {', '.join(killed)}"
    left = [task for task in chosen.coroutines.stragglers if not task.done()]
    assert not left, f"coroutines that have not ended: {left}"


class DriverConformance:
    """What is asked of every polling driver; a subclass sets `driver` and `args`."""

    driver: ClassVar[Any]
    args: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def source(self, dse_bus: Any, dse_wait_for: Callable[..., Any]) -> Any:
        """The driver on a bus, after its first poll."""
        made = dse_bus.createservice("source", factory=self.driver, args=dict(self.args))
        dse_wait_for(lambda: made.number_of_updates)
        return made

    def test_it_is_read_without_a_fault(self, source: Any) -> None:
        assert source.last_error is None
        assert not source.stale

    def test_its_rows_are_tuples_of_scalars(self, source: Any) -> None:
        scalars = (str, int, float, bool, type(None))
        for table, rows in source.state.items():
            for row in rows:
                assert isinstance(row, tuple), (table, row)
                assert all(isinstance(value, scalars) for value in row), (table, row)

    def test_its_poll_holds_up_nobody(
        self, source: Any, dse_wait_for: Callable[..., Any], dse_sleep: Callable[[float], None]
    ) -> None:
        from congress_dse.runtime import chosen

        gaps: list[float] = []

        def beat() -> None:
            while True:
                begun = chosen.now()
                dse_sleep(0.01)
                gaps.append(chosen.now() - begun)

        beating, before = chosen.spawn(beat), source.number_of_updates
        source.request_refresh()
        dse_wait_for(lambda: source.number_of_updates > before)
        beating.kill()
        assert max(gaps, default=0.0) < GAP_S, "a blocking call that nobody marked"

    def test_it_ends_in_mid_poll(self, dse_bus: Any, dse_sleep: Callable[[float], None]) -> None:
        dse_bus.createservice("source", factory=self.driver, args=dict(self.args))
        dse_sleep(0)
        dse_bus.deleteservice("source")
        assert dse_bus.service_object("source") is None

    def test_its_next_life_reads_the_same(
        self, dse_bus: Any, source: Any, dse_wait_for: Callable[..., Any]
    ) -> None:
        tables = set(source.state)
        source.kill()
        dse_wait_for(lambda: dse_bus.service_object("source") is not source)
        again = dse_wait_for(
            lambda: (one := dse_bus.service_object("source")).number_of_updates and one
        )
        assert set(again.state) == tables
