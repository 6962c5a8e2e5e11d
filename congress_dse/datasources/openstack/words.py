"""Translators in short: the tables of OpenStack's objects, which are dicts of JSON.

A column holds a field's value as it came; what is missing or null is the text ``None``.
"""

from collections.abc import Callable
from typing import Any

from congress_dse.datasources.dialect import Translator

VALUE = {"translation-type": "VALUE"}


def column(
    fieldname: str, desc: str, name: str = "", read: Callable[[Any], Any] | None = None
) -> Translator:
    """A field that fills the column `name`, by default its own; `read` makes the cell of it."""
    translator = {**VALUE, "extract-fn": read} if read is not None else VALUE
    return {
        "fieldname": fieldname,
        "col": name or fieldname,
        "desc": desc,
        "translator": translator,
    }


def inner(fieldname: str, translator: Translator) -> Translator:
    """A field that fills a table of its own."""
    return {"fieldname": fieldname, "translator": translator}


def table(name: str, *fields: Translator) -> dict[str, Any]:
    """A table with a row for each object."""
    return {
        "translation-type": "HDICT",
        "table-name": name,
        "selector-type": "DICT_SELECTOR",
        "field-translators": fields,
    }


def part(
    name: str, parent: tuple[str, str, str], *fields: Translator, many: bool = True
) -> dict[str, Any]:
    """An inner table; `parent` is the outer row's column, its name here, and what it is.

    There is a row for each object of a list, or without `many` one for the object itself.
    """
    return {**table(name, *fields), **_joined(parent), "in-list": many}


def values(name: str, parent: tuple[str, str, str], value: str, desc: str) -> dict[str, Any]:
    """An inner table with a row for each value of a list."""
    return {
        "translation-type": "LIST",
        "table-name": name,
        **_joined(parent),
        "val-col": value,
        "val-col-desc": desc,
        "translator": VALUE,
    }


def pairs_of(name: str, parent: tuple[str, str]) -> dict[str, Any]:
    """An inner table with a row for each pair of a dict, whose columns the dialect cannot describe.

    `parent` is the outer row's column and its name here.
    """
    key, column_name = parent
    return {
        "translation-type": "VDICT",
        "table-name": name,
        "parent-key": key,
        "parent-col-name": column_name,
        "key-col": "key",
        "val-col": "value",
        "translator": VALUE,
    }


def _joined(parent: tuple[str, str, str]) -> dict[str, Any]:
    key, name, desc = parent
    return {"parent-key": key, "parent-col-name": name, "parent-key-desc": desc}
