"""Rows: one version of a table, shared by reference and never copied per subscriber.

The newest version holds the rows; an older one holds what changed from it to the next. So a
version that nobody reads again costs its change, a reader of an old version pays for one copy, and
an update never pays for the size of the table (after Baker, "Shallow binding makes functional
arrays fast", 1991).
"""

import weakref
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Set as AbstractSet
from operator import itemgetter
from typing import Any, NamedTuple

TRAIL_MIN = 1000  # changes that an old version still in use may trail before it gets its own copy

Number = tuple[int, type]  # the place of a column, and the type of numbers in it

_NUMBERS = frozenset({bool, int, float, complex})  # equal across types: (1,) == (True,) == (1.0,)


class Delta(NamedTuple):
    """A change of a table that its driver knows: publish it instead of the whole table."""

    added: Iterable[tuple[Any, ...]] = ()
    removed: Iterable[tuple[Any, ...]] = ()


class Rows(AbstractSet[Any]):
    """A set of tuples that does not change; the usual operators answer with plain sets."""

    __slots__ = ("__weakref__", "_added", "_next", "_removed", "_rows", "_trail", "version")

    def __init__(self, rows: Iterable[Any] = (), version: int = 0) -> None:
        self._rows: set[Any] | None = set(rows)
        self._next: Rows | None = None
        self._added: AbstractSet[Any] = frozenset()
        self._removed: AbstractSet[Any] = frozenset()
        self._trail: _Trail | None = _Trail()
        self.version = version

    def rows(self) -> set[Any]:
        """The rows as a set that is ours: to read at once, not to keep or change."""
        if self._rows is None:
            self._copy()
        assert self._rows is not None
        return self._rows

    def next(self, added: AbstractSet[Any], removed: AbstractSet[Any], version: int) -> "Rows":
        """The version after this one; costs the size of the change. Only the newest has a next."""
        rows = self._rows
        assert rows is not None
        assert self._trail is not None
        made = Rows.__new__(Rows)
        rows -= removed
        rows |= added
        made._rows, made._next, made._trail, made.version = rows, None, self._trail, version
        made._added = made._removed = frozenset()
        self._rows, self._next, self._added, self._removed = None, made, added, removed
        self._trail.left(self, len(added) + len(removed), len(rows))
        self._trail = None
        return made

    def superseded(self) -> bool:
        """Whether a newer version is known."""
        return self._next is not None

    def latest(
        self, added: AbstractSet[Any], removed: AbstractSet[Any]
    ) -> tuple["Rows", set[Any], set[Any]]:
        """The newest version, and the net change: `added`, `removed` and all that followed."""
        node, plus, minus = self, set(added), {row: row for row in removed}
        while node._next is not None:
            for row in node._removed:
                if row in plus:
                    plus.discard(row)
                else:
                    minus[row] = row
            for row in node._added:
                if row in minus and _same(minus[row], row):
                    del minus[row]
                else:
                    plus.add(row)
            node = node._next
        return node, plus, set(minus)

    def _copy(self) -> None:
        """Build this version's own rows from the nearest newer version that has some."""
        steps: list[Rows] = []
        node = self
        while node._rows is None:
            assert node._next is not None
            steps.append(node)
            node = node._next
        rows = set(node._rows)
        for step in reversed(steps):
            rows -= step._added
            rows |= step._removed
        self._rows = rows

    def __contains__(self, row: object) -> bool:
        return row in self.rows()

    def __iter__(self) -> Iterator[Any]:
        # A copy: the next version changes the set in place, perhaps while the reader waits.
        return iter(list(self.rows()))

    def __len__(self) -> int:
        return len(self.rows())

    def __repr__(self) -> str:
        return f"Rows({self.rows()!r})"

    def __eq__(self, other: object) -> bool:
        return bool(self.rows() == plain(other))

    __hash__ = None  # type: ignore[assignment]

    def __sub__(self, other: Any) -> set[Any]:
        return self.rows().__sub__(plain(other))

    def __rsub__(self, other: Any) -> set[Any]:
        return set(other) - self.rows()

    def __and__(self, other: Any) -> set[Any]:
        return self.rows().__and__(plain(other))

    def __or__(self, other: Any) -> set[Any]:
        return self.rows().__or__(plain(other))

    def __xor__(self, other: Any) -> set[Any]:
        return self.rows().__xor__(plain(other))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__


class _Trail:
    """The old versions still in use: each gets its own copy once it trails by a table's worth."""

    __slots__ = ("changes", "left_behind")

    def __init__(self) -> None:
        self.changes = 0
        self.left_behind: deque[tuple[weakref.ref[Rows], int]] = deque()

    def left(self, version: Rows, size: int, rows: int) -> None:
        self.left_behind.append((weakref.ref(version), self.changes))
        self.changes += size
        while self.left_behind:
            held, since = self.left_behind[0]
            old = held()
            if old is not None and old._rows is None:
                if self.changes - since <= max(rows, TRAIL_MIN):
                    return
                old._copy()
                old._next = None
            self.left_behind.popleft()


def plain(data: Any) -> Any:
    """The set behind `data` where it is one version of a table."""
    return data.rows() if isinstance(data, Rows) else data


def as_rows(data: Any) -> AbstractSet[Any] | None:
    """`data` as a set of rows, or None for what is no table: a table is a set of tuples."""
    if isinstance(data, Rows):
        return data.rows()
    if isinstance(data, (set, frozenset)) and set(map(type, data)) <= {tuple}:
        return data
    if isinstance(data, (set, frozenset)) and all(isinstance(row, tuple) for row in data):
        return data
    return None


def difference(
    before: AbstractSet[Any], after: AbstractSet[Any], numbers: AbstractSet[Number] | None = None
) -> tuple[set[Any], set[Any]]:
    """What `after` adds to `before` and what it lacks; rows that differ only in type do differ.

    `numbers` are those of `before` where they are known.
    """
    added = set(after - before)
    # One difference tells both ways how many, and most often that there are none to look for.
    shrunk = len(before) + len(added) != len(after)
    removed = set(before - after) if shrunk else set()
    known = numbers_of(before) if numbers is None else numbers
    # A row of `after` that equals one of `before` can have numbers only where that one has.
    if _mixed(known | _numbers_in(after, {at for at, _ in known})):
        _retype(before, after, added, removed)
    return added, removed


def change(
    before: AbstractSet[Any], delta: Delta, numbers: AbstractSet[Number]
) -> tuple[set[Any], set[Any]]:
    """What `delta` really adds to `before` and takes from it; `numbers` are those of both."""
    plus = set(delta.added)
    added = plus - before
    removed = {row for row in delta.removed if row in before and row not in plus}
    if _mixed(numbers | numbers_of(removed)):
        removed = {_stored(before, row) for row in removed}
        for new in plus - added:
            old = _stored(before, new)
            if not _same(old, new):
                added.add(new)
                removed.add(old)
    return added, removed


def numbers_of(rows: Collection[Any]) -> set[Number]:
    """Where `rows` have numbers, and of which types: values of two of them can be equal."""
    return _numbers_in(rows, range(max(map(len, rows), default=0)))


def _numbers_in(rows: Collection[Any], places: Iterable[int]) -> set[Number]:
    found: set[Number] = set()
    for at in places:
        try:
            types = set(map(type, map(itemgetter(at), rows)))
        except IndexError:  # rows of different length
            types = {type(row[at]) for row in rows if at < len(row)}
        found.update((at, kind) for kind in types & _NUMBERS)
    return found


def _mixed(numbers: AbstractSet[Number]) -> bool:
    """Whether a column holds numbers of two types, so that equal rows may still differ."""
    return len({at for at, _ in numbers}) < len(numbers)


class _Probe:
    """Equal to one row; remembers which object of a set it was equal to."""

    __slots__ = ("found", "row")

    def __init__(self, row: Any) -> None:
        self.row = self.found = row

    def __hash__(self) -> int:
        return hash(self.row)

    def __eq__(self, other: object) -> bool:
        self.found = other
        return bool(self.row == other)


def _stored(rows: AbstractSet[Any], row: Any) -> Any:
    """The row in `rows` that is equal to `row`, which is known to be there."""
    probe = _Probe(row)
    return probe.found if probe in rows else row


def _same(one: Any, other: Any) -> bool:
    """Whether equal rows are equal in type, too."""
    return one is other or tuple(map(type, one)) == tuple(map(type, other))


def _retype(
    before: AbstractSet[Any], after: AbstractSet[Any], added: set[Any], removed: set[Any]
) -> None:
    """Count a row that is equal to one of `before`, but of other types, as a change."""
    now = {row: row for row in after}
    for old in before:
        new = now.get(old)
        if new is not None and not _same(old, new):
            added.add(new)
            removed.add(old)
