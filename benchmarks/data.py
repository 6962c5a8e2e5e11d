"""data: the router's lookups and a large table's changes, beside the plain way of having them."""

import random
from collections.abc import Callable
from typing import Any

from benchmarks.meter import Meter
from congress_dse.amqprouter import CACHE_MAX, routeTable
from congress_dse.dataobj import pubData
from congress_dse.rows import Delta

SEED = 1
LOOKUPS = 40_000
ROWS = 100_000
CHANGES = 5  # rows that come, and as many that go: a delta of 10


def _table(bindings: int) -> tuple[routeTable, list[str]]:
    """A router, and keys of services of which each is bound once."""
    draw = random.Random(SEED)
    table = routeTable()
    for number in range(bindings):
        table.add(f"other.{draw.randrange(1000)}.{number}", number)
    keys = [f"mine.{number}" for number in range(100)]
    for key in keys:
        table.add(key, key)
    return table, keys


def lookup_kept(bindings: int, meter: Meter) -> None:
    table, keys = _table(bindings)
    _look_up(table, keys, Meter())
    _look_up(table, keys, meter)


def lookup_walked(bindings: int, meter: Meter) -> None:
    """Every lookup is of a key that was not asked for before; a wild binding matches it."""
    table, _ = _table(bindings)
    table.add("fresh.*", "somebody")
    assert LOOKUPS < CACHE_MAX
    _look_up(table, [f"fresh.{number}" for number in range(LOOKUPS)], meter)


def _look_up(table: routeTable, keys: list[str], meter: Meter) -> None:
    routes = table.routes
    asked = keys * (LOOKUPS // len(keys))
    with meter:
        for key in asked:
            routes(key)


def _rows(many: int) -> set[tuple[Any, ...]]:
    draw = random.Random(SEED)
    return {(number, f"name-{draw.randrange(10**6)}", "up") for number in range(many)}


def delta_given(many: int, meter: Meter) -> None:
    _changes(many, meter, lambda table, _, delta: table.update(delta))


def delta_given_unfollowed(many: int, meter: Meter) -> None:
    _changes(many, meter, lambda table, _, delta: table.update(delta), followed=False)


def whole_given(many: int, meter: Meter) -> None:
    _changes(many, meter, lambda table, rows, _: table.update(rows))


def whole_given_unfollowed(many: int, meter: Meter) -> None:
    _changes(many, meter, lambda table, rows, _: table.update(rows), followed=False)


def _changes(
    many: int, meter: Meter, publish: Callable[[pubData, Any, Delta], Any], followed: bool = True
) -> None:
    table, rows = pubData("t"), _rows(ROWS)
    if followed:
        table.addsubscriber("s", "push", "id")
    table.update(set(rows))
    steps = _steps(rows, many + 1)
    publish(table, *steps[0])
    with meter:
        for whole, delta in steps[1:]:
            publish(table, whole, delta)


def plain(many: int, meter: Meter) -> None:
    """What it takes without numbered deltas: both differences, and a copy for the subscriber."""
    rows = _rows(ROWS)
    steps = _steps(rows, many + 1)
    before = steps[0][0]
    with meter:
        for whole, _ in steps[1:]:
            _ = whole - before, before - whole, set(whole)
            before = whole


def _steps(rows: set[Any], many: int) -> list[tuple[set[Any], Delta]]:
    """The table after each change, and the change."""
    made = []
    for step in range(many):
        added = {(ROWS + step * CHANGES + n, "new", "up") for n in range(CHANGES)}
        removed = set(list(rows)[:CHANGES])
        rows = (rows - removed) | added
        made.append((rows, Delta(added, removed)))
    return made
