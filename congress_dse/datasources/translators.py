"""The translators of a driver: registered once, then from objects to rows, tables and columns.

A root translator fills a table of its own name and those of the translators inside it; all of them
are replaced together when its objects are read again. `convert` serves a translator that is
not registered, as Congress's drivers call it from their classes.
"""

import functools
import hashlib
import logging
import marshal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from congress_dse.datasources import dialect
from congress_dse.datasources.dialect import Translator
from congress_dse.datasources.schema import Columns, schema_of
from congress_dse.datasources.translation import Row, Rows, compiled
from congress_dse.datasources.validation import read, root_name
from congress_dse.exceptions import InvalidTranslator

LOG = logging.getLogger(__name__)

TRANSLATIONS_KEPT = 512  # of translators that are used unregistered; a driver has about ten


class Same:
    """An object by identity: equal to itself alone, and alive for as long as it is compared."""

    __slots__ = ("it",)

    def __init__(self, it: object) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.it is other.it

    def __hash__(self) -> int:
        return id(self.it)


class Translation:
    """One root translator, checked and compiled; what changes in the dict later has no effect."""

    def __init__(self, translator: Translator, taken: Mapping[str, str] | None = None) -> None:
        """Raise InvalidTranslator with every fault; `taken` says which root fills which table."""
        wrong, doubts = read(translator, taken or {})
        if wrong:
            many = "1 fault" if len(wrong) == 1 else f"{len(wrong)} faults"
            raise InvalidTranslator("\n  ".join([f"{root_name(translator)}: {many}", *wrong]))
        for doubt in doubts:
            LOG.warning("%s", doubt)
        self.translator = translator
        self.root: str = translator[dialect.TABLE_NAME]
        self.tables = tuple(dialect.tables(translator))
        self.columns = schema_of(translator)
        self._objects = translator.get(dialect.OBJECTS_EXTRACT_FN)
        self._parent_key = translator.get(dialect.PARENT_KEY)
        self._plan = compiled(translator, {self._parent_key: 0} if self._parent_key else {})

    def convert(self, objects: Any) -> Rows:
        """The rows of all objects, each with its table; rows that repeat are repeated."""
        rows: Rows = []
        at = 0
        try:
            for obj in objects if self._objects is None else self._objects(objects):
                if obj is not None:
                    self._plan(obj, self._lent(None), rows)
                at += 1
        except Exception as error:
            error.add_note(f"while translating {self.root}, object {at}")
            raise
        return rows

    def convert_obj(self, obj: Any, parent: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
        """The rows of one object, or None for None, and its id, or None.

        `parent` has the columns that a ``parent-key`` of the root may name.
        """
        if obj is None:
            return None, None
        rows: Rows = []
        ident = self._plan(obj, self._lent(parent), rows)
        return rows, ident

    def _lent(self, parent: Mapping[str, Any] | None) -> Row:
        if self._parent_key is None:
            return ()
        if not parent:
            path = f"{self.root}.{dialect.PARENT_KEY}"
            raise InvalidTranslator(f"{path}: a root has no parent; allowed: with a parent's row")
        return (parent[self._parent_key],)


class Translators:
    """The translators that one driver has registered, oldest first."""

    def __init__(self, translators: Iterable[Translator] = ()) -> None:
        self._roots: dict[str, Translation] = {}
        self._filled_by: dict[str, str] = {}
        for translator in translators:
            self.register(translator)

    def register(self, translator: Translator) -> Translation:
        """Add one; raise InvalidTranslator, and stay as before, if it has a fault."""
        translation = Translation(translator, self._filled_by)
        self._roots[translation.root] = translation
        self._filled_by.update(dict.fromkeys(translation.tables, translation.root))
        return translation

    def __iter__(self) -> Iterator[Translator]:
        return (translation.translator for translation in self._roots.values())

    def __len__(self) -> int:
        return len(self._roots)

    def get(self, root: str) -> Translation | None:
        """The translation whose root table this is."""
        return self._roots.get(root)

    def tables(self, root: str | None = None) -> tuple[str, ...]:
        """The tables that `root` fills, itself first; without it, all of them."""
        return tuple(self._filled_by) if root is None else self._roots[root].tables

    def schema(self) -> dict[str, Columns]:
        """Each table's columns, in Congress's form; the caller may change what it gets."""
        return {
            table: tuple(col if isinstance(col, str) else col.copy() for col in columns)
            for translation in self._roots.values()
            for table, columns in translation.columns.items()
        }

    def columns(self, table: str) -> tuple[str, ...]:
        """The names of a table's columns, in order; KeyError if no translator fills it."""
        columns = self._roots[self._filled_by[table]].columns[table]
        return tuple(col if isinstance(col, str) else col["name"] for col in columns)

    def convert(self, objects: Any, root: str) -> Rows:
        """The rows of `objects` through the translator of this root."""
        return self._roots[root].convert(objects)

    def state(self, root: str, rows: Iterable[tuple[str, Row]]) -> dict[str, set[Row]]:
        """What all tables of this root hold after `rows` came, also those that got none."""
        return gathered(rows, self._roots[root].tables)


def gathered(rows: Iterable[tuple[str, Row]], tables: Iterable[str]) -> dict[str, set[Row]]:
    """The rows by table, for exactly these tables; rows of others are dropped with a warning."""
    state: dict[str, set[Row]] = {table: set() for table in tables}
    strangers: dict[str, int] = {}
    for table, row in rows:
        if table in state:
            state[table].add(row)
        else:
            strangers[table] = strangers.get(table, 0) + 1
    for table, many in strangers.items():
        LOG.warning("table %s: %d rows dropped, for no translator fills it", table, many)
    return state


def convert(objects: Any, translator: Translator) -> Rows:
    """As `Translation.convert`, for a translator that need not be registered."""
    return translation_of(translator).convert(objects)


def convert_obj(
    obj: Any, translator: Translator, parent: Mapping[str, Any] | None = None
) -> tuple[Any, Any]:
    """As `Translation.convert_obj`, for a translator that need not be registered."""
    return translation_of(translator).convert_obj(obj, parent)


def schema(translators: Iterable[Translator]) -> dict[str, Columns]:
    """The tables and columns of these translators, which need not be registered."""
    return Translators(translators).schema()


def translation_of(translator: Translator) -> Translation:
    """The translation of this very dict, compiled at its first use."""
    return _translation(Same(translator))


@functools.lru_cache(maxsize=TRANSLATIONS_KEPT)
def _translation(same: Same) -> Translation:
    translator: Any = same.it
    return Translation(translator)


def fingerprint(raw: Any) -> bytes | Same:
    """What to compare before raw data is translated again: equal means nothing has changed.

    Plain data (None, bool, numbers, text, bytes, and lists, tuples, dicts of these) is compared by
    its content, types included: True is not 1. All else is compared by identity, as in Congress.
    """
    whole = type(raw) is list
    digest = hashlib.blake2b(b"list" if whole else b"data", digest_size=16)
    try:
        for part in raw if whole else (raw,):
            # From version 3 on, marshal writes references, and equal data would look different.
            digest.update(marshal.dumps(part, 2))
    except ValueError:
        return Same(raw)
    return digest.digest()
