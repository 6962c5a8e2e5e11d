"""The router against a slow reading of AMQP 0-9-1, and its counts, cache and bad keys."""

import pytest
from hypothesis import given, settings, strategies as st

from congress_dse import exceptions
from congress_dse.amqprouter import CACHE_MAX, routeTable

words = st.sampled_from(["a", "b", "c", ""])
keys = st.lists(words, max_size=5).map(".".join)
patterns = st.lists(st.sampled_from(["a", "b", "c", "", "*", "#"]), max_size=5).map(".".join)


def matches(pattern, key):
    """The specification, word by word: ``*`` is one word, ``#`` zero or more."""
    if not pattern:
        return not key
    if pattern[0] == "#":
        return any(matches(pattern[1:], key[at:]) for at in range(len(key) + 1))
    return bool(key) and pattern[0] in {"*", key[0]} and matches(pattern[1:], key[1:])


def split(text):
    return text.split(".") if text else []


def slowly(bound, key):
    return {d for d, p in bound if matches(split(p), split(key))}


steps = st.lists(st.tuples(st.booleans(), patterns, st.integers(0, 2), keys), max_size=25)


@settings(max_examples=1000, deadline=None)
@given(steps)
def test_a_history_of_bindings_routes_as_the_specification_says(history):
    table, bound = routeTable(), []
    for add, pattern, destination, key in history:
        if add:
            table.add(pattern, destination)
            bound.append((destination, pattern))
        else:
            table.remove(pattern, destination)
            if (destination, pattern) in bound:
                bound.remove((destination, pattern))
        assert table.lookup(key) == slowly(bound, key)
        assert len(table) == len(bound)
    for destination, pattern in bound:
        table.remove(pattern, destination)
    assert len(table) == 0
    assert not table._root.children


@pytest.mark.parametrize(
    ("pattern", "hits", "misses"),
    [
        ("#", ["", "a", "a.b.c"], []),
        ("*", ["a"], ["", "a.b"]),
        ("a.#", ["a", "a.b", "a.b.c"], ["b", "ab"]),
        ("#.b.c", ["b.c", "a.b.c", "a.b.b.c"], ["b", "a.c"]),
        ("a.*.c", ["a.b.c", "a..c"], ["a.c", "a.b.b.c"]),
        ("#.#", ["", "a", "a.b"], []),
        ("*.#.*", ["a.b", "a.b.c"], ["a", ""]),
        ("a", ["a"], ["A", "a.", ".a", "a.a"]),
    ],
)
def test_a_pattern_reaches_what_it_should_and_no_more(pattern, hits, misses):
    table = routeTable()
    table.add(pattern, "d")
    assert all(table.lookup(key) == {"d"} for key in hits)
    assert all(table.lookup(key) == set() for key in misses)


def test_a_binding_that_was_added_twice_is_removed_twice():
    table = routeTable()
    table.add("a", "d")
    table.add(["a", "b"], "d")
    table.remove("a", "d")
    assert table.lookup("a") == {"d"}
    table.remove(["a", "b"], "d")
    assert table.lookup("a") == table.lookup("b") == set()
    table.remove("a", "d")
    assert len(table) == 0


def test_an_answer_belongs_to_the_caller_and_is_new_after_each_change():
    table = routeTable()
    table.add("a", 1)
    table.lookup("a").add("mine")
    assert table.lookup("a") == {1}
    table.add("#", 2)
    assert table.lookup("a") == {1, 2}
    table.remove("#", 2)
    assert table.lookup("a") == {1}


def test_the_answers_kept_are_bounded():
    table = routeTable()
    for n in range(CACHE_MAX + 10):
        table.routes(f"k{n}")
    assert table.statistics()["cached"] <= CACHE_MAX


@pytest.mark.parametrize("bad", [None, 5, b"a", ("a",), ["a"], "k" * 256, "ä" * 128])
def test_a_key_that_is_none_is_refused_and_nothing_changes(bad):
    table = routeTable()
    table.add("a", 1)
    with pytest.raises(exceptions.InvalidKey):
        table.lookup(bad)
    with pytest.raises(exceptions.InvalidKey):
        table.add(["fine", bad], 2)
    assert table.lookup("fine") == set()
    assert table.lookup("a") == {1}
    assert len(table) == 1


def test_a_key_of_255_bytes_is_one():
    table = routeTable()
    table.add("k" * 255, 1)
    assert table.lookup("k" * 255) == {1}
