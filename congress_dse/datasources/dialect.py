"""Congress's translation dialect: its words, and what each of them may hold.

A translator is a dict that says how an outside object becomes rows:

* HDICT: one row for each object; the columns are the fields that ``field-translators`` names.
* VDICT: one row for each pair of a dict; its columns are ``key-col`` and ``val-col``.
* LIST: one row for each element; its column is ``val-col``.
* VALUE: no table; one cell, through ``extract-fn`` if there is one.

A translator inside another fills a table of its own. Rows of the two are joined by an id that the
inner one makes (``id-col``), or by a column that the outer one lends (``parent-key``). What a LIST
holds can only be joined by its id. The words are those of openstack/congress, January and August
2016.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

HDICT, VDICT, LIST, VALUE = "HDICT", "VDICT", "LIST", "VALUE"
DICT_SELECTOR, DOT_SELECTOR = SELECTORS = ("DICT_SELECTOR", "DOT_SELECTOR")

TRANSLATION_TYPE = "translation-type"
TABLE_NAME = "table-name"
PARENT_KEY = "parent-key"
PARENT_COL_NAME = "parent-col-name"
PARENT_KEY_DESC = "parent-key-desc"
ID_COL = "id-col"
SELECTOR_TYPE = "selector-type"
FIELD_TRANSLATORS = "field-translators"
FIELDNAME = "fieldname"
TRANSLATOR = "translator"
COL = "col"
KEY_COL = "key-col"
VAL_COL = "val-col"
VAL_COL_DESC = "val-col-desc"
EXTRACT_FN = "extract-fn"
IN_LIST = "in-list"
OBJECTS_EXTRACT_FN = "objects-extract-fn"
DESCRIPTION = "desc"

ID_COL_NAME = "id-col"  # of an id that a function makes
PARENT_KEY_COL_NAME = "parent_key"  # where `parent-col-name` says nothing

HDICT_PARAMS = (
    TRANSLATION_TYPE, TABLE_NAME, PARENT_KEY, ID_COL, SELECTOR_TYPE, FIELD_TRANSLATORS, IN_LIST,
    PARENT_COL_NAME, OBJECTS_EXTRACT_FN, PARENT_KEY_DESC,
)  # fmt: skip
FIELD_TRANSLATOR_PARAMS = (FIELDNAME, COL, DESCRIPTION, TRANSLATOR)
VDICT_PARAMS = (
    TRANSLATION_TYPE, TABLE_NAME, PARENT_KEY, ID_COL, KEY_COL, VAL_COL, TRANSLATOR,
    PARENT_COL_NAME, OBJECTS_EXTRACT_FN,
)  # fmt: skip
LIST_PARAMS = (
    TRANSLATION_TYPE, TABLE_NAME, PARENT_KEY, ID_COL, VAL_COL, TRANSLATOR,
    PARENT_COL_NAME, OBJECTS_EXTRACT_FN, PARENT_KEY_DESC, VAL_COL_DESC,
)  # fmt: skip
VALUE_PARAMS = (TRANSLATION_TYPE, EXTRACT_FN)

PARAMS = {HDICT: HDICT_PARAMS, VDICT: VDICT_PARAMS, LIST: LIST_PARAMS, VALUE: VALUE_PARAMS}
VALID_TRANSLATION_TYPES = tuple(PARAMS)
REQUIRED = {
    HDICT: (TABLE_NAME, FIELD_TRANSLATORS),
    VDICT: (TABLE_NAME, KEY_COL, VAL_COL, TRANSLATOR),
    LIST: (TABLE_NAME, VAL_COL, TRANSLATOR),
    VALUE: (),
}

Translator = Mapping[str, Any]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


_NAME = (_is_name, "a name (text, not empty)")
_TEXT = (_is_text, "text or None")

ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    TRANSLATION_TYPE: (lambda v: v in VALID_TRANSLATION_TYPES, ", ".join(VALID_TRANSLATION_TYPES)),
    TABLE_NAME: _NAME,
    PARENT_KEY: _NAME,
    PARENT_COL_NAME: _NAME,
    PARENT_KEY_DESC: _TEXT,
    ID_COL: (lambda v: _is_name(v) or callable(v), "a column's name, or a function of the object"),
    SELECTOR_TYPE: (lambda v: v in SELECTORS, " or ".join(SELECTORS)),
    FIELD_TRANSLATORS: (_is_list, "a tuple or list of field translators"),
    FIELDNAME: _NAME,
    TRANSLATOR: (lambda v: isinstance(v, Mapping), "a translator (a dict)"),
    COL: _NAME,
    KEY_COL: _NAME,
    VAL_COL: _NAME,
    VAL_COL_DESC: _TEXT,
    EXTRACT_FN: (lambda v: v is None or callable(v), "a function of the value"),
    IN_LIST: (lambda v: isinstance(v, bool), "True or False"),
    OBJECTS_EXTRACT_FN: (callable, "a function of the objects"),
    DESCRIPTION: _TEXT,
}


def id_name(translator: Translator) -> str | None:
    """The name of the id column; None where the translator makes no id."""
    if ID_COL not in translator:
        return None
    return translator[ID_COL] if isinstance(translator[ID_COL], str) else ID_COL_NAME


def parent_name(translator: Translator) -> str | None:
    """The name of the column that holds the parent's key; None where there is none."""
    if PARENT_KEY not in translator:
        return None
    name: str = translator.get(PARENT_COL_NAME, PARENT_KEY_COL_NAME)
    return name


def column(field: Translator) -> str:
    """The column that an HDICT's field fills."""
    name: str = field.get(COL, field[FIELDNAME])
    return name


def fills_column(inner: Translator) -> bool:
    """True where the outer row has a cell for `inner`: its value, or its id."""
    return inner[TRANSLATION_TYPE] == VALUE or ID_COL in inner


def inners(translator: Translator) -> Iterator[Translator]:
    """The translators directly inside a valid one."""
    for field in translator.get(FIELD_TRANSLATORS, ()):
        yield field[TRANSLATOR]
    if TRANSLATOR in translator:
        yield translator[TRANSLATOR]


def tables(translator: Translator) -> list[str]:
    """The tables that a valid translator fills, outer before inner."""
    if translator[TRANSLATION_TYPE] == VALUE:
        return []
    return [translator[TABLE_NAME], *(t for inner in inners(translator) for t in tables(inner))]


def lent(translator: Translator) -> list[str]:
    """The columns that inner translators may name as ``parent-key``; skips what is invalid."""
    names = [id_name(translator)]
    if translator[TRANSLATION_TYPE] == VDICT:
        names.append(translator.get(KEY_COL))
    elif translator[TRANSLATION_TYPE] == HDICT:
        names.append(parent_name(translator))
        names += [_lent_by_field(field) for field in translator.get(FIELD_TRANSLATORS, ())]
    else:
        names = []
    return [name for name in names if isinstance(name, str)]


def _lent_by_field(field: Any) -> str | None:
    try:
        return column(field) if fills_column(field[TRANSLATOR]) else None
    except (LookupError, TypeError, AttributeError):
        return None
