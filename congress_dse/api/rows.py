"""The rows of a table: whole, as they stream, or a page of them; and writing them."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

from congress_dse.api import asking
from congress_dse.api.app import Context
from congress_dse.api.http import Request, Response, dumps, json
from congress_dse.exceptions import ApiError
from congress_dse.store import Entry

LIMIT_MAX = 100_000  # rows of a page

Part = dict[str, Any]


def read(context: Context, request: Request, ds: str, table: str) -> Response:
    """The rows of one version of the table; a large table streams, part by part."""
    entry = asking.found(context, ds)
    limit = request.number("limit", 0, most=LIMIT_MAX)
    marker = request.query.get("marker", "")
    known = _tagged(request.headers.get("if-none-match", ""))
    first = _first(context, entry, table=table, limit=limit, marker=marker, unless=known)
    tag = f'"{first["epoch"]}.{first["version"]}"'
    headers = {"etag": tag, **_warning(first)}
    if first.get("same"):
        return Response(304, b"", headers)
    if limit and len(first["rows"]) < limit and first["marker"]:
        _fill(context, entry, table, first, limit)
    if limit or not first["marker"]:
        return _page(request, first, headers, limit)
    headers["content-type"] = "application/json; charset=UTF-8"
    return Response(200, _streamed(context, entry, table, first), headers)


def write(context: Context, request: Request, ds: str, table: str) -> Response:
    """Replace the table by the rows of the body."""
    entry = asking.found(context, ds)
    rows = request.json()
    if not isinstance(rows, list):
        raise ApiError(400, f"the body must be a list of rows, not {_kind(rows)}")
    asking.write(context, entry, table, rows, request.id, len(request.body))
    return Response(200)


def _first(context: Context, entry: Entry, **args: Any) -> Part:
    """The first part; raises ApiError (503) where the rows are too old to be served."""
    try:
        part = asking.ask(context, entry, "rows", **args)
    except ApiError as error:
        if error.status == 404 and str(error).find("has no data yet: ") >= 0:
            raise ApiError(503, str(error), retry_s=1) from error
        raise
    stale = part.get("stale")
    if stale and stale["age_s"] > context.parts.get("max_staleness_s", float("inf")):
        text = f"{entry.name} is not up to date since {stale['since']}: {stale['cause']}"
        raise ApiError(503, text, retry_s=stale["retry_s"])
    return part


def _fill(context: Context, entry: Entry, table: str, first: Part, limit: int) -> None:
    """Bring a page up to its limit: a message takes fewer rows than a page."""
    while first["marker"] and len(first["rows"]) < limit:
        left = limit - len(first["rows"])
        part = asking.ask(context, entry, "rows", table=table, limit=left, marker=first["marker"])
        first["rows"] = [*first["rows"], *part["rows"]]
        first["marker"] = part["marker"]


def _page(request: Request, part: Part, headers: dict[str, str], limit: int) -> Response:
    body: dict[str, Any] = {"results": [{"data": row} for row in part["rows"]]}
    if limit and part["marker"]:
        query = f"limit={limit}&marker={part['marker']}"
        href = request.url(f"{request.path}?{query}")
        body["links"] = [{"rel": "next", "href": href}]
        body["marker"] = part["marker"]
        headers["link"] = f'<{href}>; rel="next"'
    response = json(body)
    response.headers.update(headers)
    return response


def _streamed(context: Context, entry: Entry, table: str, first: Part) -> Iterator[bytes]:
    """The same JSON as that of a small table, a message's worth at a time."""
    opening = b'{"results": ['
    for part in itertools.chain([first], _rest(context, entry, table, first["marker"])):
        yield opening + dumps([{"data": row} for row in part["rows"]])[1:-1]
        opening = b", "
    yield b"]}"


def _rest(context: Context, entry: Entry, table: str, marker: str) -> Iterator[Part]:
    while marker:
        part = asking.ask(context, entry, "rows", table=table, marker=marker)
        marker = part["marker"]
        yield part


def _tagged(text: str) -> list[int] | None:
    """The (epoch, version) of a tag that we gave out."""
    epoch, _, version = text.strip().removeprefix("W/").strip('"').partition(".")
    with contextlib.suppress(ValueError):
        return [int(epoch), int(version)]
    return None


def _warning(part: Part) -> dict[str, str]:
    """Says beside old rows that they are old."""
    stale = part.get("stale")
    if not stale:
        return {}
    cause = stale["cause"].encode("ascii", "replace").decode().replace('"', "'")
    return {"warning": f'110 congress-dse "not up to date since {stale["since"]}: {cause[:200]}"'}


def _kind(value: Any) -> str:
    return {dict: "an object", str: "text", type(None): "null"}.get(type(value), "a number")
