"""One JSON object a line, in whatever pieces it comes."""

import pytest
from hypothesis import given, strategies as st

from congress_dse.manager.lines import Lines, encode

MESSAGES = st.lists(st.dictionaries(st.text(max_size=5), st.text() | st.integers()), max_size=8)


@given(MESSAGES, st.lists(st.integers(0, 200)))
def test_messages_come_whole_and_in_order_however_they_are_cut(messages, cuts):
    data = b"".join(map(encode, messages))
    lines = Lines()
    found = []
    for cut in cuts:
        found += lines.feed(data[:cut])
        data = data[cut:]
    assert found + lines.feed(data) == messages


@pytest.mark.parametrize("data", [b"no json\n", b"[1]\n", b"\xff\n"])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        Lines().feed(data)
