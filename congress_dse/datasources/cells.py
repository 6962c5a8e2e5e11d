"""What stands in a row: cells, and the ids that are made of them.

Both are Congress's own, to the byte, so that an old driver's tables and ours are equal: a cell is
ASCII text or a number, and None and bool are text; an id is the MD5 of the sorted cells in JSON.
"""

import hashlib
import json
import logging
from collections.abc import Collection
from typing import Any

LOG = logging.getLogger(__name__)

_to_json = json.JSONEncoder().encode


def cell(value: Any) -> Any:
    """A value as it stands in a row: ASCII text, or a number; None and bool become text."""
    kind = type(value)
    if kind is str and value.isascii():
        return value
    if kind is int or kind is float:
        return value
    return _rare_cell(value)


def cell_twice(value: Any) -> Any:
    """A cell of an HDICT's row: Congress makes these twice, and so the text of a dict, too, ASCII.

    In other tables, and where a row is lent as ``parent-key``, such a text stays as it is.
    """
    kind = type(value)
    if kind is str and value.isascii():
        return value
    if kind is int or kind is float:
        return value
    return _rare_cell(_rare_cell(value))


def _rare_cell(value: Any) -> Any:
    if isinstance(value, str):
        text = str(value).encode("ascii", "ignore").decode("ascii")
        if len(text) < len(value):
            LOG.debug("a cell lost %d characters that are not ASCII", len(value) - len(text))
        return text
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return str(value)


_TYPE_TEXT = {kind: str(kind) for kind in (str, int, float, tuple)}  # slow to make each time


def _order(value: Any) -> str:
    kind = type(value)
    return f"{_TYPE_TEXT.get(kind, kind)}{value!r}"


def hash_of(cells: Collection[Any]) -> str:
    """The id of what has these cells, in whatever order they come."""
    ordered = _to_json(sorted(cells, key=_order))
    return hashlib.md5(ordered.encode("ascii"), usedforsecurity=False).hexdigest()


NO_ID = hash_of(())  # of what is absent
