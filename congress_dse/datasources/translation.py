"""Outside objects become rows: a translator is compiled once into functions, and these only run.

Each table's function is a ``Plan``. It takes an object, the cells that its parent lends, and the
rows so far; it appends rows and answers with the object's id, or None where the table has none.
Rows of inner tables come before the row that they belong to, as in Congress.

Nothing is checked here: only a valid translator is compiled.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from operator import itemgetter
from typing import Any

from congress_dse.datasources.cells import NO_ID, cell, cell_twice, hash_of
from congress_dse.datasources.dialect import (
    DICT_SELECTOR,
    DOT_SELECTOR,
    EXTRACT_FN,
    FIELD_TRANSLATORS,
    FIELDNAME,
    HDICT,
    ID_COL,
    IN_LIST,
    KEY_COL,
    LIST,
    OBJECTS_EXTRACT_FN,
    PARENT_KEY,
    SELECTOR_TYPE,
    TABLE_NAME,
    TRANSLATION_TYPE,
    TRANSLATOR,
    VALUE,
    VDICT,
    Translator,
    column,
    fills_column,
    id_name,
    parent_name,
)
from congress_dse.datasources.validation import no_such_column
from congress_dse.exceptions import InvalidTranslator

Row = tuple[Any, ...]
Rows = list[tuple[str, Row]]
Plan = Callable[[Any, Sequence[Any], Rows], Any]
Identify = Callable[[Any, Collection[Any]], Any]
Scope = Mapping[str, int]  # the columns that the parent lends: where each stands in its cells


def compiled(translator: Translator, scope: Scope) -> Plan:
    """The plan of a valid translator that is no VALUE; `scope` has its parent's columns."""
    if PARENT_KEY in translator and translator[PARENT_KEY] not in scope:
        return _orphan(translator, scope)
    plans = {HDICT: _hdict, VDICT: _vdict, LIST: _list}
    return plans[translator[TRANSLATION_TYPE]](translator, scope)


def _orphan(translator: Translator, scope: Scope) -> Plan:
    """The plan of a table whose parent lacks the column it asks for: no row can be made."""
    path = f"{translator[TABLE_NAME]}.{PARENT_KEY}"
    wrong = no_such_column(translator[PARENT_KEY], filter(None, scope))
    one = translator[TRANSLATION_TYPE] == HDICT and not translator.get(IN_LIST)

    def orphan(objs: Any, _parent: Sequence[Any], _out: Rows) -> Any:
        if one or any(True for _ in objs):
            raise InvalidTranslator(f"{path}: {wrong}")

    return orphan


def _inner(translator: Translator, scope: Scope) -> Plan:
    """The plan of an inner table as its parent calls it: what is absent gets `NO_ID`."""
    plan, extract = compiled(translator, scope), translator.get(OBJECTS_EXTRACT_FN)

    def inner(value: Any, parent: Sequence[Any], out: Rows) -> Any:
        if value is None:
            return NO_ID
        if extract is not None:
            value = extract(value)
        return None if value is None else plan(value, parent, out)

    return inner


def _identify(translator: Translator) -> Identify | None:
    """How the table makes ids from an object and its cells; None if it makes none."""
    made_by = translator.get(ID_COL)
    if not callable(made_by):
        return None if made_by is None else lambda _, cells: hash_of(cells)

    def identify(obj: Any, _: Collection[Any]) -> Any:
        ident = made_by(obj)
        if not isinstance(ident, str | int | float):
            path, kind = f"{translator[TABLE_NAME]}.{ID_COL}", type(ident).__name__
            raise InvalidTranslator(f"{path}: the function gave {kind}; allowed: text or a number")
        return ident

    return identify


def _head(translator: Translator, scope: Scope) -> Callable[[Any, Sequence[Any]], Row]:
    """The first column of a VDICT's or LIST's rows: the id, the parent's key, or none."""
    if ID_COL in translator:
        return lambda ident, _: (ident,)
    if PARENT_KEY in translator:
        at = scope[translator[PARENT_KEY]]
        return lambda _, parent: (parent[at],)
    return lambda _, __: ()


def _list(translator: Translator, scope: Scope) -> Plan:
    if translator[TRANSLATOR][TRANSLATION_TYPE] != VALUE:
        return _list_of_tables(translator, scope)
    table, extract = translator[TABLE_NAME], translator[TRANSLATOR].get(EXTRACT_FN)
    identify, head = _identify(translator), _head(translator, scope)

    def values(objs: Any, parent: Sequence[Any], out: Rows) -> Any:
        cells = [cell(obj if extract is None else extract(obj)) for obj in objs]
        ident = identify(objs, cells) if identify else None
        first = head(ident, parent)
        out += [(table, (*first, value)) for value in cells]
        return ident

    return values


def _list_of_tables(translator: Translator, scope: Scope) -> Plan:
    table, inner = translator[TABLE_NAME], translator[TRANSLATOR]
    plan, extract = compiled(inner, {}), inner.get(OBJECTS_EXTRACT_FN)
    identify, head = _identify(translator), _head(translator, scope)

    def elements(objs: Any, parent: Sequence[Any], out: Rows) -> Any:
        idents, last = [], None
        for obj in objs:
            last = obj if extract is None or obj is None else extract(obj)
            ident = None if last is None else plan(last, (), out)
            idents.append(NO_ID if ident is None else ident)
        # Congress gives an id function the last element, not the list; drivers count on it.
        own = (identify(last, idents) if idents else NO_ID) if identify else None
        first = head(own, parent)
        out += [(table, (*first, ident)) for ident in idents]
        return own

    return elements


def _vdict(translator: Translator, scope: Scope) -> Plan:
    if translator[TRANSLATOR][TRANSLATION_TYPE] != VALUE:
        return _vdict_of_tables(translator, scope)
    table, extract = translator[TABLE_NAME], translator[TRANSLATOR].get(EXTRACT_FN)
    identify, head = _identify(translator), _head(translator, scope)

    def pairs(obj: Any, parent: Sequence[Any], out: Rows) -> Any:
        rows = [
            (cell(key), cell(value if extract is None else extract(value)))
            for key, value in obj.items()
        ]
        ident = identify(obj, rows) if identify else None
        first = head(ident, parent)
        out += [(table, first + row) for row in rows]
        return ident

    return pairs


def _vdict_of_tables(translator: Translator, scope: Scope) -> Plan:
    table, named = translator[TABLE_NAME], ID_COL in translator[TRANSLATOR]
    lent = {id_name(translator) or "": 1, translator[KEY_COL]: 0}
    inner = _inner(translator[TRANSLATOR], lent)
    identify, head = _identify(translator), _head(translator, scope)

    def pairs(obj: Any, parent: Sequence[Any], out: Rows) -> Any:
        # Keys stay as they are: Congress makes cells of them only beside a VALUE.
        rows: list[Row] = [(key,) for key in obj]
        if named:
            rows = [(key, inner(value, (), out)) for key, value in obj.items()]
        ident = identify(obj, rows) if identify else None
        if not named:
            for key, value in obj.items():
                inner(value, (key, ident), out)
        first = head(ident, parent)
        out += [(table, first + row) for row in rows]
        return ident

    return pairs


def _hdict(translator: Translator, scope: Scope) -> Plan:
    one = _hdict_row(translator, scope)
    if not translator.get(IN_LIST):
        return one

    def each(objs: Any, parent: Sequence[Any], out: Rows) -> Any:
        ident = None
        for obj in objs:
            ident = one(obj, parent, out)
        return ident  # the last one's, as in Congress

    return each


class _Shape:
    """Where an HDICT's cells stand: values, the parent's key, ids of inner tables, the own id."""

    def __init__(self, translator: Translator) -> None:
        fields = translator[FIELD_TRANSLATORS]
        last = [field for field in fields if PARENT_KEY in field[TRANSLATOR]]
        first = [field for field in fields if PARENT_KEY not in field[TRANSLATOR]]
        self.values = [f for f in first if f[TRANSLATOR][TRANSLATION_TYPE] == VALUE]
        self.before = [f for f in first if f[TRANSLATOR][TRANSLATION_TYPE] != VALUE]
        self.after = last  # they are lent what the others have filled
        parent = parent_name(translator)
        self.at: dict[str, int] = {} if parent is None else {parent: len(self.values)}
        value_at, inner_at = count(0), count(len(self.values) + len(self.at))
        for field in first:
            at = next(value_at if field[TRANSLATOR][TRANSLATION_TYPE] == VALUE else inner_at)
            if fills_column(field[TRANSLATOR]):
                self.at[column(field)] = at  # of two with one name the later wins, in both columns
        self.row = [self.at[column(field)] for field in fields if column(field) in self.at]
        self.parent_at = None if parent is None else self.at[parent]
        self.at.setdefault(id_name(translator) or "", next(inner_at))


def _hdict_row(translator: Translator, scope: Scope) -> Plan:
    table, shape = translator[TABLE_NAME], _Shape(translator)
    getter, values, row_of = _GETTERS[translator.get(SELECTOR_TYPE)], _values(shape), _row_of(shape)
    before = [(field[FIELDNAME], _inner(field[TRANSLATOR], {})) for field in shape.before]
    after = [(field[FIELDNAME], _inner(field[TRANSLATOR], shape.at)) for field in shape.after]
    identify, parent_at = _identify(translator), shape.parent_at
    lent_at = scope[translator[PARENT_KEY]] if PARENT_KEY in translator else None

    def one(obj: Any, parent: Sequence[Any], out: Rows) -> Any:
        get, ident = getter(obj), None
        cells = values(get)
        if lent_at is not None:
            cells.append(parent[lent_at])
        for field, inner in before:
            cells.append(inner(get(field), (), out))
        row = row_of(cells)
        if identify:
            ident = identify(obj, row)
            cells.append(ident)
            row = (ident, *row)
        elif parent_at is not None:
            row = (cells[parent_at], *row)
        for field, inner in after:
            inner(get(field), cells, out)
        out.append((table, row))
        return ident

    return one


def _values(shape: _Shape) -> Callable[[Callable[[str], Any]], list[Any]]:
    """The cells of an HDICT's VALUE fields, from what gets a field of the object."""
    names = [field[FIELDNAME] for field in shape.values]
    extracts = [field[TRANSLATOR].get(EXTRACT_FN) for field in shape.values]
    through = [(at, extract) for at, extract in enumerate(extracts) if extract is not None]
    made = cell if shape.after else cell_twice

    def values(get: Callable[[str], Any]) -> list[Any]:
        raw = [*map(get, names)]
        for at, extract in through:
            raw[at] = extract(raw[at])
        return [*map(made, raw)]

    return values


def _row_of(shape: _Shape) -> Callable[[list[Any]], Row]:
    """The row from the cells; what was lent as it came is made a cell now."""
    at = shape.row
    pick = itemgetter(*at) if len(at) > 1 else lambda cells: tuple(cells[n] for n in at)
    if not shape.after and all(n < len(shape.values) for n in at):
        return pick
    return lambda cells: tuple(map(cell, pick(cells)))


def _by_key(obj: Any) -> Callable[[str], Any]:
    if type(obj) is dict:
        return obj.get
    return lambda field: obj[field] if field in obj else None  # noqa: SIM401, no `get` is promised


def _by_attribute(obj: Any) -> Callable[[str], Any]:
    return lambda field: getattr(obj, field, None)


def _by_either(obj: Any) -> Callable[[str], Any]:
    return _by_key(obj) if isinstance(obj, Mapping) else _by_attribute(obj)


_GETTERS = {DICT_SELECTOR: _by_key, DOT_SELECTOR: _by_attribute, None: _by_either}
