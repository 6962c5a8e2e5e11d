"""The shapes of what the API takes and answers, as JSON Schema has it, for its description."""

from typing import Any

from congress_dse.api.rows import LIMIT_MAX
from congress_dse.catalogue import NAME

OBJECT: dict[str, Any] = {"type": "object"}
NAMED: dict[str, Any] = {"type": "object", "properties": {"results": {"type": "array"}}}
SPEC = {
    "type": "object",
    "required": ["table_id", "columns"],
    "properties": {
        "table_id": {"type": "string"},
        "columns": {
            "type": "array",
            "items": {"type": "object", "required": ["name", "description"]},
        },
    },
}
SCHEMA = {
    "type": "object",
    "required": ["tables"],
    "properties": {"tables": {"type": "array", "items": SPEC}},
}
SOURCE_OUT = {
    "type": "object",
    "required": ["id", "name", "driver", "description", "type", "enabled", "config"],
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "driver": {"type": "string"},
        "description": {"type": ["string", "null"]},
        "type": {"type": "null"},
        "enabled": {"type": "boolean"},
        "config": OBJECT,
    },
}
SOURCE_IN = {
    "type": "object",
    "required": ["name", "driver"],
    "properties": {
        "name": {"type": "string", "pattern": f"^{NAME.pattern}$"},
        "driver": {"type": "string"},
        "id": {"type": ["string", "null"]},
        "description": {"type": ["string", "null"]},
        "enabled": {"type": ["boolean", "null"]},
        "config": {"type": ["object", "string", "null"]},
    },
}
ROWS_OUT = {
    "type": "object",
    "required": ["results"],
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["data"],
                "properties": {"data": {"type": "array"}},
            },
        }
    },
}
ROWS_IN = {"type": "array", "items": {"type": ["array", "object"]}}
PAGE = {
    "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX},
    "marker": {"type": "string"},
}
SAME = {"304": {"description": "the version that If-None-Match names"}}


def answers(schema: dict[str, Any], **further: Any) -> dict[str, Any]:
    """What a route's row says of its answer."""
    return {"answer": schema, **further}
