"""What is wrong with a translator: every fault in one reading, each with its path.

A fault is a line such as ``servers.field-translators[3](addresses).translator.in-list: is 'yes';
allowed: True or False``. What has no fault is compiled, and not checked again.
"""

import difflib
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from congress_dse.datasources.dialect import (
    ALLOWED,
    FIELD_TRANSLATOR_PARAMS,
    FIELD_TRANSLATORS,
    FIELDNAME,
    HDICT,
    ID_COL,
    LIST,
    PARAMS,
    PARENT_KEY,
    REQUIRED,
    TABLE_NAME,
    TRANSLATION_TYPE,
    TRANSLATOR,
    VALID_TRANSLATION_TYPES,
    VALUE,
    Translator,
    lent,
)


def read(translator: Any, taken: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The faults of a root translator, and its doubts: what fails only if an object comes to it.

    Each is a line: path, what is wrong, what is allowed. `taken` are the tables in use, each with
    the path that fills it.
    """
    reading = _Reading(taken)
    reading.root(translator)
    return reading.faults, reading.doubts


def root_name(translator: Any) -> str:
    """What the paths inside a root translator begin with: its table, where it has one."""
    table = translator.get(TABLE_NAME) if isinstance(translator, Mapping) else None
    return table if isinstance(table, str) and table else "translator"


def no_such_column(key: str, columns: Iterable[str]) -> str:
    """What is wrong with a ``parent-key`` that its parent, which lends `columns`, has not."""
    allowed = ", ".join(columns) or "nothing, for this parent lends no column"
    return f"{key!r} is no column of its parent; allowed: {allowed}"


TABLES = ", ".join(kind for kind in PARAMS if kind != VALUE)


class _Reading:
    """One walk through a translator, writing down the faults."""

    def __init__(self, taken: Mapping[str, str]) -> None:
        self.faults: list[str] = []
        self.doubts: list[str] = []
        self._tables = dict(taken)
        self._open: set[int] = set()  # the translators around this one: none may be inside itself

    def root(self, translator: Any) -> None:
        path = root_name(translator)
        if not isinstance(translator, Mapping):
            self._fault(path, f"is {reprlib.repr(translator)}", ALLOWED[TRANSLATOR][1])
        elif translator.get(TRANSLATION_TYPE) == VALUE:
            self._fault(f"{path}.{TRANSLATION_TYPE}", "is VALUE, which fills no table", TABLES)
        else:
            self._translator(translator, path, None)

    def _fault(self, path: str, wrong: str, allowed: str) -> None:
        self.faults.append(f"{path}: {wrong}; allowed: {allowed}")

    def _translator(self, translator: Translator, path: str, outer: Translator | None) -> None:
        kind = translator.get(TRANSLATION_TYPE)
        if kind not in VALID_TRANSLATION_TYPES:
            only = {word: translator[word] for word in (TRANSLATION_TYPE,) if word in translator}
            self._params(only, path, "a translator", (TRANSLATION_TYPE,), (TRANSLATION_TYPE,))
            return
        self._params(translator, path, kind, PARAMS[kind], REQUIRED[kind])
        if kind != VALUE:
            self._table(translator, path)
            self._joint(translator, path, outer)
            self._inner(translator, path)

    def _params(
        self,
        params: Translator,
        path: str,
        kind: str,
        known: Sequence[str],
        required: Sequence[str],
    ) -> None:
        for name in sorted(set(params) - set(known), key=repr):
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            self._fault(f"{path}.{name}", f"is no word of {kind}{hint}", ", ".join(known))
        for name in required:
            if name not in params:
                self._fault(f"{path}.{name}", "is missing", ALLOWED[name][1])
        for name in known:
            if name in params and not ALLOWED[name][0](params[name]):
                self._fault(f"{path}.{name}", f"is {reprlib.repr(params[name])}", ALLOWED[name][1])

    def _table(self, translator: Translator, path: str) -> None:
        table = translator.get(TABLE_NAME)
        if not isinstance(table, str):
            return
        if table in self._tables:
            wrong = f"{table!r} is filled by {self._tables[table]} already"
            self._fault(f"{path}.{TABLE_NAME}", wrong, "a name that no other translator has")
        self._tables.setdefault(table, path)

    def _joint(self, translator: Translator, path: str, outer: Translator | None) -> None:
        """Check what joins these rows to those of `outer`; a root's parent comes with the call."""
        key = translator.get(PARENT_KEY)
        if key is not None and ID_COL in translator:
            self._fault(f"{path}.{PARENT_KEY}", f"stands beside {ID_COL}", "one of the two")
        if outer is None:
            return
        if outer[TRANSLATION_TYPE] == LIST and ID_COL not in translator:
            self._fault(f"{path}.{ID_COL}", "is missing inside a LIST", ALLOWED[ID_COL][1])
        elif isinstance(key, str) and key not in lent(outer):
            # Congress registers these, and fails when a row wants the column.
            self.doubts.append(f"{path}.{PARENT_KEY}: {no_such_column(key, lent(outer))}")

    def _inner(self, translator: Translator, path: str) -> None:
        if id(translator) in self._open:
            self._fault(path, "contains itself", "translators that end")
            return
        self._open.add(id(translator))
        if translator[TRANSLATION_TYPE] == HDICT:
            self._fields(translator, path)
        elif isinstance(translator.get(TRANSLATOR), Mapping):
            self._translator(translator[TRANSLATOR], f"{path}.{TRANSLATOR}", translator)
        self._open.discard(id(translator))

    def _fields(self, translator: Translator, path: str) -> None:
        listed = translator.get(FIELD_TRANSLATORS)
        if not ALLOWED[FIELD_TRANSLATORS][0](listed):
            return
        for at, field in enumerate(listed or ()):
            here = f"{path}.{FIELD_TRANSLATORS}[{at}]"
            if not isinstance(field, Mapping):
                self._fault(here, f"is {reprlib.repr(field)}", "a field translator (a dict)")
                continue
            here += f"({field[FIELDNAME]})" if ALLOWED[FIELDNAME][0](field.get(FIELDNAME)) else ""
            self._params(field, here, "a field", FIELD_TRANSLATOR_PARAMS, (FIELDNAME, TRANSLATOR))
            if isinstance(field.get(TRANSLATOR), Mapping):
                self._translator(field[TRANSLATOR], f"{here}.{TRANSLATOR}", translator)
