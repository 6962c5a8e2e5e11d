"""The API's own description, as OpenAPI has it, made of the tables of routes."""

import re
from typing import Any

from congress_dse import __doc__ as about
from congress_dse.api.app import Context, Route
from congress_dse.api.http import Request

VERSION = "3.1.0"
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "error_code", "error_data"],
            "properties": {
                "message": {"type": "string"},
                "error_code": {"type": "integer"},
                "error_data": {},
            },
        }
    },
}
JSON = "application/json"


def document(context: Context, _request: Request) -> Any:
    """Every route of this server."""
    paths: dict[str, dict[str, Any]] = {}
    for route in context.parts["routes"]():
        paths.setdefault(route.pattern, {})[route.method.lower()] = operation(route)
    return {
        "openapi": VERSION,
        "info": {"title": "congress_dse", "version": "1", "description": about or ""},
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def operation(route: Route) -> dict[str, Any]:
    """One route. Its `about` may have ``query``, ``body``, ``answer``, ``status`` and ``type``.

    ``needs`` has the names of what must be there of the query.
    """
    names = re.findall(r"\{(\w+)\}", route.pattern)
    told: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}_{route.handler.__module__.rpartition('.')[2]}"
        f"_{route.handler.__name__}" + ("_slash" if route.pattern.endswith("/") else ""),
        "parameters": [
            {"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names
        ],
        "security": [] if route.open else [{}, {"token": []}, {"basic": []}],
        "responses": _responses(route.about),
    }
    for name, schema in route.about.get("query", {}).items():
        needed = name in route.about.get("needs", ())
        told["parameters"].append(
            {"name": name, "in": "query", "required": needed, "schema": schema}
        )
    if "body" in route.about:
        told["requestBody"] = {"content": {JSON: {"schema": route.about["body"]}}}
    return told


def _responses(about: dict[str, Any]) -> dict[str, Any]:
    answer = about.get("answer", {})
    kind = about.get("type", JSON)
    good: dict[str, Any] = {"description": "what was asked for"}
    if kind:
        good["content"] = {kind: {"schema": answer}}
    wrong = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    error = {"description": "an error", "content": wrong}
    return {str(about.get("status", 200)): good, **about.get("further", {}), "default": error}


ROUTES = [Route("GET", "/v1/openapi.json", document, "This description.", open=True)]
