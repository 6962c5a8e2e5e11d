"""The wire: types come back as they went, and nothing that comes from outside does harm."""

import random
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from congress_dse.exceptions import WireError
from congress_dse.links import wire

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(fold=0)),
    st.decimals(allow_nan=False),
    st.uuids(),
)
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner), max_leaves=5)
VALUES = st.recursive(
    st.one_of(SCALARS, st.frozensets(HASHABLE, max_size=3), st.sets(HASHABLE, max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(SCALARS, inner, max_size=3),
    ),
    max_leaves=10,
)


def shape(value):
    """A value with the types of all that is in it; equal ones have the same text, too."""
    if isinstance(value, dict):
        return dict, sorted((repr(shape(k)), repr(shape(v))) for k, v in value.items())
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(shape(v)) for v in value)
    if isinstance(value, list | tuple):
        return type(value), [shape(v) for v in value]
    return type(value), repr(value)


@given(VALUES)
def test_a_value_comes_back_in_the_types_that_it_had(value):
    assert shape(wire.decode(wire.encode(["x", value]))[1]) == shape(value)


@given(st.sets(st.one_of(st.tuples(), st.tuples(SCALARS), st.tuples(SCALARS, HASHABLE))))
def test_rows_of_any_width_come_back(rows):
    back = wire.unflat(wire.decode(wire.encode(["x", wire.flat(rows)]))[1])
    assert shape(back) == shape(rows)


@pytest.mark.parametrize("stranger", [object(), 1j, range(3), ValueError("x")])
def test_what_cannot_travel_is_named(stranger):
    with pytest.raises(WireError, match=type(stranger).__name__):
        wire.encode(["x", [stranger]])


def test_nesting_is_bounded_in_both_directions():
    deep = ()
    for _ in range(wire.DEPTH_MAX + 2):
        deep = (deep,)
    with pytest.raises(WireError, match="nested deeper"):
        wire.decode(wire.encode(["x", deep]))
    very_deep: list = []
    for _ in range(5000):
        very_deep = [very_deep]
    with pytest.raises(WireError):
        wire.encode(["x", very_deep])
    with pytest.raises(WireError):
        wire.decode(b"\x91" * 5000 + b"\xc0")


def test_a_frame_that_is_too_long_is_refused_before_it_is_read():
    with pytest.raises(WireError, match="frame of 4294967295 bytes"):
        wire.Frames().feed(b"\xff\xff\xff\xff")


def test_frames_come_whole_however_the_stream_is_cut():
    sent = [b"", b"a", b"b" * 70_000, b"c"]
    stream = b"".join(map(wire.frame, sent))
    for step in (1, 3, 4096, len(stream)):
        frames = wire.Frames()
        cuts = (stream[at : at + step] for at in range(0, len(stream), step))
        assert [frame for cut in cuts for frame in frames.feed(cut)] == sent


def test_a_large_message_travels_in_parts_and_others_pass_between_them():
    large = wire.encode(["large", b"x" * (3 * wire.CHUNK_B)])
    pieces = wire.parts(large, 7)
    assert len(pieces) == 4
    messages = wire.Messages()
    found = [messages.take(piece) for piece in (pieces[0], wire.encode(["small"]), *pieces[1:])]
    assert [m and m[0] for m in found] == [None, "small", None, None, "large"]


@pytest.mark.parametrize(
    "message", [["part"], ["part", 1, 1, b""], ["part", "1", True, b""], ["part", 1, True, "x"]]
)
def test_a_part_that_is_none_is_refused(message):
    with pytest.raises(WireError):
        wire.Messages().take(wire.encode(message))


def test_parts_that_never_end_are_bounded():
    messages = wire.Messages()
    for number in range(wire.PARTIAL_MAX + 1):
        messages.take(wire.encode(["part", number, True, b"x"]))
    with pytest.raises(WireError, match="messages"):
        messages.take(wire.encode(["part", -1, True, b"x"]))


def test_garbage_raises_nothing_but_our_own_error():
    chance = random.Random(7)
    value = [
        "pub",
        {"a": (1, {2.5})},
        Decimal(1),
        uuid.uuid4(),
        date(2026, 1, 1),
        datetime.now(UTC),
    ]
    good = wire.encode(value)
    refused = 0
    for _ in range(20_000):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 5)):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        try:
            wire.decode(bytes(bad))
        except WireError:
            refused += 1
    assert refused > 1000
