"""The benchmarks start: what they say is for who runs them on a quiet machine."""

import pytest

from benchmarks import child


@pytest.mark.parametrize("subject", ["ours.tell", "ours.ask", "ours.spawn"])
def test_the_engine_s_own_are_measured(subject):
    assert child.measured(subject, 10)["wall_s"] > 0
