"""The rows of a table: whole, as they stream, or a page of them; and writing them."""

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from congress_dse.api import asking
from congress_dse.api.app import Context
from congress_dse.api.http import Request, Response, dumps
from congress_dse.api.readings import Mark, Reading, What
from congress_dse.exceptions import ApiError
from congress_dse.store import Entry

LIMIT_MAX = 100_000  # rows of a page

Part = dict[str, Any]


def read(context: Context, request: Request, ds: str, table: str) -> Response:
    """The rows of one version of the table; a large table streams, part by part."""
    entry = asking.found(context, ds)
    what = (table, request.number("limit", 0, most=LIMIT_MAX))
    marker = request.query.get("marker", "")
    known = None if marker else _tagged(request.headers.get("if-none-match", ""))
    reading = _reading(context, entry, what, marker, known)
    headers = {
        "content-type": "application/json; charset=UTF-8",
        "etag": '"{}.{}"'.format(*reading.mark),
        **_warning(reading.stale),
    }
    if reading.mark == known:
        del headers["content-type"]
        return Response(304, b"", headers)
    if not reading.marker:
        return Response(200, reading.body(), headers)
    if what[1]:
        return _page(context, entry, request, what, reading, headers)
    return Response(200, _streamed(context, entry, table, reading), headers)


def write(context: Context, request: Request, ds: str, table: str) -> Response:
    """Replace the table by the rows of the body."""
    entry = asking.found(context, ds)
    rows = request.json()
    if not isinstance(rows, list):
        raise ApiError(400, f"the body must be a list of rows, not {_kind(rows)}")
    asking.write(context, entry, table, rows, request.id, len(request.body))
    return Response(200)


def _reading(
    context: Context, entry: Entry, what: What, marker: str, known: Mark | None
) -> Reading:
    """The first part; raises ApiError (503) where the rows are too old to be served."""
    try:
        if marker:
            part = _part(context, entry, *what, marker)
            reading = Reading(part, None, lambda _body: None)
        else:
            reading = context.parts["readings"].read(context, entry, what, known)
    except ApiError as error:
        if error.status == 404 and str(error).find("has no data yet: ") >= 0:
            raise ApiError(503, str(error), retry_s=1) from error
        raise
    stale = reading.stale
    if stale and stale["age_s"] > context.parts.get("max_staleness_s", float("inf")):
        text = f"{entry.name} is not up to date since {stale['since']}: {stale['cause']}"
        raise ApiError(503, text, retry_s=stale["retry_s"])
    return reading


def _part(context: Context, entry: Entry, table: str, limit: int, marker: str) -> Part:
    return asking.ask(context, entry, "rows", table=table, limit=limit, marker=marker)


def _page(
    context: Context,
    entry: Entry,
    request: Request,
    what: What,
    reading: Reading,
    headers: dict[str, str],
) -> Response:
    """A page with a next one, brought up to its limit: a message takes fewer rows than a page."""
    table, limit = what
    rows, marker = reading.rows, reading.marker
    while marker and len(rows) < limit:
        part = _part(context, entry, table, limit - len(rows), marker)
        rows, marker = [*rows, *part["rows"]], part["marker"]
    body: dict[str, Any] = {"results": [{"data": row} for row in rows]}
    if marker:
        href = request.url(f"{request.path}?limit={limit}&marker={marker}")
        body["links"] = [{"rel": "next", "href": href}]
        body["marker"] = marker
        headers["link"] = f'<{href}>; rel="next"'
    return Response(200, dumps(body), headers)


def _streamed(context: Context, entry: Entry, table: str, first: Reading) -> Iterator[bytes]:
    """The same JSON as that of a small table, a message's worth at a time."""
    opening, rows, marker = b'{"results": [', first.rows, first.marker
    while True:
        yield opening + dumps([{"data": row} for row in rows])[1:-1]
        if not marker:
            break
        part = _part(context, entry, table, 0, marker)
        opening, rows, marker = b", ", part["rows"], part["marker"]
    yield b"]}"


@lru_cache(1024)
def _tagged(text: str) -> Mark | None:
    """The (epoch, version) of a tag that we gave out."""
    epoch, _, version = text.strip().removeprefix("W/").strip('"').partition(".")
    with contextlib.suppress(ValueError):
        return int(epoch), int(version)
    return None


def _warning(stale: dict[str, Any]) -> dict[str, str]:
    """Says beside old rows that they are old."""
    if not stale:
        return {}
    cause = stale["cause"].encode("ascii", "replace").decode().replace('"', "'")
    return {"warning": f'110 congress-dse "not up to date since {stale["since"]}: {cause[:200]}"'}


def _kind(value: Any) -> str:
    return {dict: "an object", str: "text", type(None): "null"}.get(type(value), "a number")
