"""Options that speak of several tables: ``query = orders: SELECT ...``, given once for each.

The same may come as a dict, or as a JSON object in one text, as a REST client sends it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from oslo_config import types

_NAMED = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*:\s*(\S.*?)\s*", re.DOTALL)


class Named(types.ConfigType):
    """The type of one such option: a dict of name to text."""

    def __init__(self) -> None:
        super().__init__(type_name="name: text value")

    def __call__(self, value: Any) -> dict[str, str]:
        if isinstance(value, Mapping):
            return {str(name): _text(part) for name, part in value.items()}
        text = str(value)
        if text.lstrip().startswith("{"):
            return self(json.loads(text))
        match = _NAMED.fullmatch(text)
        if match is None:
            raise ValueError("not of the form NAME: TEXT")
        return {match[1]: match[2]}

    def __repr__(self) -> str:
        return "Named"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named)

    __hash__ = None  # type: ignore[assignment]

    def _formatter(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)


def named(values: Any) -> dict[str, str]:
    """One dict of all that an option of this type was given, the later wins; {} for None."""
    if not values:
        return {}
    several = values if isinstance(values, list | tuple) else [values]
    return {name: text for value in several for name, text in Named()(value).items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
