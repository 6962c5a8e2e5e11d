"""Rows that are looked at together are those that are looked at one by one."""

import pytest
from hypothesis import given, strategies as st

from congress_dse.datasources import values

CELLS = st.one_of(
    st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.just("\ud800"), st.binary()
)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2) | st.tuples(CELLS, CELLS)))
def test_together_rows_are_what_they_are_one_by_one(lists):
    found = values.ordinary(lists, 2)
    if found is not None:
        wanted = {values.row(items) for items in lists}
        assert {tuple(map(repr, row)) for row in found} == {tuple(map(repr, row)) for row in wanted}


@pytest.mark.parametrize(
    "lists", [[], [["a", 1]], [("a", 1.5), ["é", -(2**63)]], values.Cut(["a", 1, "b", 2], 2)]
)
def test_ordinary_rows_are_taken_together(lists):
    assert values.ordinary(lists, 2) == set(map(tuple, lists))


def test_rows_of_another_width_are_not_what_was_cut():
    assert values.ordinary(values.Cut(["a", "b", "c"], 3), 2) is None
    assert values.Cut(["a", "b", "c", "d"], 2) == (("a", "b"), ("c", "d"))


@pytest.mark.parametrize(
    "odd",
    [
        ["a"],
        ["a", None],
        ["a", True],
        ["a", float("nan")],
        ["a", float("inf")],
        ["a", 2**63],
        ["a", -(2**63) - 1],
        ["a", 10**400],
        ["a", "\udc80"],
        ["a", b"b"],
        ["a", ["b"]],
        "ab",
        {"a": 1, "b": 2},
    ],
)
def test_what_is_not_ordinary_is_left_to_be_looked_at(odd):
    assert values.ordinary([["a", "b"], odd], 2) is None
