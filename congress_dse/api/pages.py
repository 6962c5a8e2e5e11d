"""The dashboard's files, and the root that is a page for people and the versions for programs.

The files are plain HTML, CSS and ES modules in the package, kept in memory when first asked for,
and the same in every worker. What a page may load is the server's own and nothing else: there is
no inline script or style, and no other origin. Nothing in the files is secret, so they are open;
what they show comes from the API, which asks for a token where it does.
"""

import gzip
import hashlib
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from congress_dse.api import v1
from congress_dse.api.app import Context, Route
from congress_dse.api.http import Request, Response, json
from congress_dse.api.shapes import OBJECT, answers
from congress_dse.exceptions import ApiError

INDEX = "index.html"
TYPES = {
    "html": "text/html; charset=UTF-8",
    "css": "text/css; charset=UTF-8",
    "js": "text/javascript; charset=UTF-8",
    "svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "cache-control": "no-cache",  # kept, and asked for with its tag: an upgrade shows at once
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class File(NamedTuple):
    """One file of the dashboard, plain and packed."""

    kind: str
    tag: str
    plain: bytes
    packed: bytes


@cache
def files() -> dict[str, File]:
    """The files by their names."""
    folder = resources.files("congress_dse.api").joinpath("dashboard")
    found = {}
    for path in folder.iterdir():
        kind = TYPES.get(path.name.rpartition(".")[2])
        if kind is not None:
            plain = path.read_bytes()
            tag = hashlib.sha256(plain).hexdigest()[:20]
            found[path.name] = File(kind, tag, plain, gzip.compress(plain, mtime=0))
    return found


def root(context: Context, request: Request) -> Response:
    """The dashboard for a browser, and for every other client the versions."""
    if prefers_html(request.headers.get("accept", "")):
        response = file(context, request, INDEX)
    else:
        response = json(v1.versions(context, request))
    response.headers["vary"] = "Accept, Accept-Encoding"
    return response


def file(_context: Context, request: Request, name: str) -> Response:
    """One file of the dashboard."""
    found = files().get(name)
    if found is None:
        raise ApiError(404, f"the dashboard has no file {name[:80]!r}")
    packs = "gzip" in request.headers.get("accept-encoding", "")
    tag = f'"{found.tag}{"-gz" if packs else ""}"'
    headers = {**HEADERS, "etag": tag, "vary": "Accept-Encoding"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(304, b"", headers)
    headers["content-type"] = found.kind
    if packs:
        headers["content-encoding"] = "gzip"
    return Response(200, found.packed if packs else found.plain, headers)


def prefers_html(accept: str) -> bool:
    """Whether a client names HTML, and does not want JSON more."""
    wants = {
        kind.strip().lower(): _weight(rest)
        for kind, _, rest in (part.partition(";") for part in accept.split(","))
    }
    html = max(wants.get("text/html", 0.0), wants.get("application/xhtml+xml", 0.0))
    return html > wants.get("application/json", 0.0)


def _weight(parameters: str) -> float:
    """The q of one entry of Accept."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


HTML: dict[str, Any] = {"type": "text/html", "answer": {"type": "string"}}
SAME = {"304": {"description": "the file that If-None-Match names"}}
BOTH = answers(OBJECT, further=SAME)
ROUTES = [
    Route("GET", "/", root, "The versions; for a browser, the dashboard.", open=True, about=BOTH),
    Route(
        "GET",
        "/dashboard/{name}",
        file,
        "A file of the dashboard.",
        open=True,
        about={"type": "", "further": SAME},
    ),
]
