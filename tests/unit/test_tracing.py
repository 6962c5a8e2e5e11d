"""The headers of a trace context, read as their contract has it."""

import pytest

from congress_dse.tracing import Trace, read

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("parent", "state", "trace"),
    [
        (GOOD, None, Trace(GOOD)),
        (f" {GOOD} ", "vendor=1, other=2", Trace(GOOD, "vendor=1, other=2")),
        (
            f"cc-{TRACE}-{SPAN}-01-what-is-to-come",
            "",
            Trace(f"cc-{TRACE}-{SPAN}-01-what-is-to-come"),
        ),
        (GOOD, "v=" + "1" * 600, Trace(GOOD)),
        (GOOD, "v=\x00", Trace(GOOD)),
        (None, "vendor=1", None),
        ("", "", None),
        (f"ff-{TRACE}-{SPAN}-01", "", None),
        (f"00-{TRACE}-{SPAN}-01-more", "", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", "", None),
        (f"00-{'0' * 32}-{SPAN}-01", "", None),
        (f"00-{TRACE}-{'0' * 16}-01", "", None),
        (f"00-{TRACE}-{SPAN}", "", None),
        (f"{GOOD}, {GOOD}", "", None),
    ],
)
def test_a_context_that_breaks_the_contract_is_none_at_all(parent, state, trace):
    assert read(parent, state) == trace
