"""The columns of the tables that a translator fills, in the form that Congress's API shows.

A column is ``{"name": ..., "desc": ...}``, or for tables of a VDICT its bare name. An inner table
comes before the one around it.
"""

from collections.abc import Callable
from typing import TypedDict

from congress_dse.datasources.dialect import (
    DESCRIPTION,
    FIELD_TRANSLATORS,
    HDICT,
    ID_COL,
    KEY_COL,
    LIST,
    PARENT_KEY,
    PARENT_KEY_DESC,
    TABLE_NAME,
    TRANSLATION_TYPE,
    TRANSLATOR,
    VAL_COL,
    VAL_COL_DESC,
    VALUE,
    VDICT,
    Translator,
    column,
    id_name,
    inners,
    parent_name,
)


class Described(TypedDict):
    """A column as Congress's API shows it."""

    name: str
    desc: str | None


Column = str | Described
Columns = tuple[Column, ...]


def schema_of(translator: Translator) -> dict[str, Columns]:
    """The columns of each table of a valid translator."""
    if translator[TRANSLATION_TYPE] == VALUE:
        return {}
    found = {
        table: cols for inner in inners(translator) for table, cols in schema_of(inner).items()
    }
    found[translator[TABLE_NAME]] = _COLUMNS[translator[TRANSLATION_TYPE]](translator)
    return found


def _described(name: str, desc: str | None = None) -> Column:
    return {"name": name, "desc": desc}


def _head(translator: Translator) -> Columns:
    made, given = id_name(translator), parent_name(translator)
    if made is not None:
        return (_described(made),)
    return () if given is None else (_described(given, translator.get(PARENT_KEY_DESC)),)


def _of_hdict(translator: Translator) -> Columns:
    """A field has a column unless its rows name the parent's key.

    The row has no cell for an inner table that makes no id either. Congress lists it nevertheless.
    """
    fields = [f for f in translator[FIELD_TRANSLATORS] if PARENT_KEY not in f[TRANSLATOR]]
    return _head(translator) + tuple(_described(column(f), f.get(DESCRIPTION)) for f in fields)


def _of_vdict(translator: Translator) -> Columns:
    head = id_name(translator) or parent_name(translator)
    value = () if PARENT_KEY in translator[TRANSLATOR] else (translator[VAL_COL],)
    return (*([head] if head else []), translator[KEY_COL], *value)


def _of_list(translator: Translator) -> Columns:
    # Congress leaves the description out beside an id.
    desc = None if ID_COL in translator else translator.get(VAL_COL_DESC)
    return (*_head(translator), _described(translator[VAL_COL], desc))


_COLUMNS: dict[str, Callable[[Translator], Columns]] = {
    HDICT: _of_hdict,
    VDICT: _of_vdict,
    LIST: _of_list,
}
