"""What any source's values become in a row: text and numbers that every link and reader can carry.

None and bool are text, as in Congress's tables. What is exact and no number of JSON, such as a
decimal, a time (ISO 8601) or an UUID, is text; bytes are hexadecimal text; a list, a set or an
object is JSON text. NaN and the infinities are text: no NaN is equal to itself, and such a row
would seem to change at each poll.
"""

import datetime as dt
import json
import math
from itertools import chain
from typing import Any

from congress_dse import exceptions

Row = tuple[Any, ...]

_JSON = (str, bool, int)
_LISTS = frozenset({list, tuple})
_ORDINARY = frozenset({str, int, float})
_INT_MAX = 2**63  # what 64 bits cannot hold, no binary link carries


def scalar(value: Any) -> Any:
    """A value as it stands in a row."""
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _encodable(value)
    if kind is int:
        return value if -_INT_MAX <= value < _INT_MAX else str(value)
    if kind is float:
        return value if math.isfinite(value) else str(value)
    return _rare(value)


def row(values: Any) -> Row:
    """Values as a row."""
    return tuple(map(scalar, values))


class Cut(tuple[Row, ...]):
    """Rows of `width` cells each, cut out of one list of `cells`; `len(cells)` has to be right."""

    cells: list[Any]
    width: int

    def __new__(cls, cells: list[Any], width: int) -> "Cut":
        made = super().__new__(cls, zip(*[iter(cells)] * width, strict=True))
        made.cells, made.width = cells, width
        return made


def ordinary(lists: Any, width: int) -> set[Row] | None:
    """Rows of `width` values each, where all of them are ordinary; None where one may not be.

    Ordinary is text that can be encoded, and numbers that every link carries: such values stand in
    a row as they are, and are looked at together, several times as fast as one by one.
    """
    if type(lists) is Cut and lists.width == width:
        values = lists.cells
    elif _LISTS.issuperset(map(type, lists)) and {width}.issuperset(map(len, lists)):
        values = list(chain.from_iterable(lists))
    else:
        return None
    kinds = set(map(type, values))
    if not _ORDINARY.issuperset(kinds):
        return None
    texts = values if kinds == {str} else [v for v in values if type(v) is str]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return None
    whole = [v for v in values if type(v) is int] if int in kinds else [0]
    carried = max(whole) < _INT_MAX and min(whole) >= -_INT_MAX
    if float in kinds and carried:
        carried = all(math.isfinite(v) for v in values if type(v) is float)
    return set(map(tuple, lists)) if carried else None


def table(items: Any) -> tuple[Row, set[Row]]:
    """Columns and rows of a list of objects, of lists, or of single values.

    The columns of objects are all their names, in order of first appearance; what an object lacks
    is ``"None"``, as in Congress's tables. Raises SourceError for what is no list, and for lists of
    different length.
    """
    if not isinstance(items, list):
        raise exceptions.SourceError(f"not a list of rows but {type(items).__name__}")
    if all(isinstance(item, dict) for item in items):
        named = [{str(scalar(name)): value for name, value in item.items()} for item in items]
        columns = tuple(dict.fromkeys(name for item in named for name in item))
        return columns, {row(map(item.get, columns)) for item in named}
    lists = [item if isinstance(item, list) else [item] for item in items]
    width = max((len(item) for item in lists), default=0)
    if any(len(item) != width for item in lists):
        raise exceptions.SourceError(f"rows of different length; the longest has {width} values")
    return tuple(f"c{at}" for at in range(width)), set(map(row, lists))


def _encodable(text: str) -> str:
    """`text` without lone surrogates, which no encoding carries; JSON may bring them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _rare(value: Any) -> Any:
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict | list | tuple | set | frozenset):
        return _encodable(json.dumps(_plain(value), sort_keys=True, ensure_ascii=False))
    return _encodable(str(value))


def _plain(value: Any) -> Any:
    """A value inside a list or an object as JSON has it; names are text, and a set has an order."""
    if isinstance(value, dict):
        return {str(scalar(name)): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value), key=str)
    return value if value is None or isinstance(value, _JSON) else scalar(value)
