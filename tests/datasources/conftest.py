"""What the tests of drivers share: a cage of their own, and waiting for a condition."""

import pytest

from congress_dse.d6cage import d6Cage
from congress_dse.runtime import chosen as runtime

WAIT_S = 20.0


def wait_for(condition, timeout_s=WAIT_S):
    """Wait until `condition()` is true, and return what it was; the hub runs meanwhile."""
    end = runtime.now() + timeout_s
    while not (found := condition()):
        assert runtime.now() < end, f"not within {timeout_s:g} s: {condition}"
        runtime.sleep(0.005)
    return found


@pytest.fixture
def cage():
    made = d6Cage("bus")
    yield made
    made.d6stop()
