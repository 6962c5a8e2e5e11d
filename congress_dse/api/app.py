"""App: the API as a machine: a request comes in, a response goes out.

It knows no sockets and no server. Routes are tables, made by the modules that hold the handlers;
a handler is called with the context, the request, and what the pattern's ``{names}`` stand for, and
returns a response or what is to be answered as JSON. Whatever it raises becomes an error of the
contract's form: ``{"error": {"message", "error_code", "error_data"}}``.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from congress_dse import exceptions
from congress_dse.api.http import NOBODY, Request, Response, Who, dumps, json
from congress_dse.exceptions import ApiError
from congress_dse.tracing import here, read

LOG = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
REQUEST_ID = re.compile(r"req-[0-9a-f-]{36}")

# What an error that no handler turned into an answer means to a client; the first that fits.
STATUS: tuple[tuple[type[BaseException], int], ...] = (
    (exceptions.NothingMatched, 503),
    (exceptions.AskTimeout, 504),
    (exceptions.DeadlockError, 503),
    (exceptions.MailboxFull, 503),
    (exceptions.EngineStopped, 503),
    (exceptions.InvalidRows, 400),
    (exceptions.ConfigError, 400),
    (exceptions.SourceError, 503),
    (exceptions.StoreError, 503),
    (exceptions.RequestFailed, 500),
)
RETRY_S = {503: 1, 504: 1}  # what Retry-After says where nothing better is known

Handler = Callable[..., Any]


@dataclass(frozen=True)
class Context:
    """What handlers work with. `parts` are those that further tables of routes bring along.

    `missing` has since when a source that is to run was not found on the bus.
    """

    bus: Any
    catalogue: Any
    parts: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)


class Route(NamedTuple):
    """One row of a table of routes. An `open` one is answered to whoever asks."""

    method: str
    pattern: str
    handler: Handler
    summary: str = ""
    open: bool = False
    about: dict[str, Any] = {}  # further words for the OpenAPI document


class App:
    """The machine: `handle` is all that a server needs."""

    def __init__(
        self,
        context: Context,
        routes: Iterable[Route],
        *,
        authenticate: Callable[[Request], Who] = lambda _request: NOBODY,
        body_max_b: int = 0,
    ) -> None:
        self.context = context
        self.routes = list(routes)
        self.body_max_b = body_max_b
        self.authenticate = authenticate
        self._ways: dict[int, list[tuple[re.Pattern[str], dict[str, Route]]]] = {}
        for route in self.routes:
            self._add(route)

    def handle(self, request: Request) -> Response:
        """Answer `request`; never raises what a handler raised."""
        if not request.id:
            request.id = new_id()
        try:
            response = self._answer(request)
        except Exception as error:  # noqa: BLE001 (a handler's; told and logged in `failure`)
            response = failure(error, request)
        response.headers.setdefault("x-openstack-request-id", request.id)
        if request.method == "HEAD":
            _drop_body(response)
        return response

    def _answer(self, request: Request) -> Response:
        if self.body_max_b and len(request.body) > self.body_max_b:
            raise ApiError(413, f"the body has over {self.body_max_b} bytes")
        route, names = self._route(request)
        if not route.open:
            request.who = self.authenticate(request)
        parent = request.headers.get("traceparent")
        if parent is None and not here.used:
            answer = route.handler(self.context, request, **names)
        else:
            trace = read(parent, request.headers.get("tracestate"))
            with here.serving(f"{request.method} {route.pattern}", trace):
                answer = route.handler(self.context, request, **names)
        return answer if isinstance(answer, Response) else json(answer)

    def _route(self, request: Request) -> tuple[Route, dict[str, str]]:
        """The route of a request, and what its pattern's names stand for."""
        for pattern, methods in self._ways.get(request.path.count("/"), ()):
            match = pattern.fullmatch(request.path)
            if match is not None:
                request.pattern = next(iter(methods.values())).pattern
                route = methods.get("GET" if request.method == "HEAD" else request.method)
                if route is None:
                    raise ApiError(501, f"The method {request.method} is not supported here.")
                return route, match.groupdict()
        if request.path == "/v1" or request.path.startswith("/v1/"):
            raise ApiError(404, "The resource could not be found.")
        raise Elsewhere(request)

    def _add(self, route: Route) -> None:
        ways = self._ways.setdefault(route.pattern.count("/"), [])
        pattern = compiled(route.pattern)
        for known, methods in ways:
            if known.pattern == pattern.pattern:
                methods[route.method] = route
                return
        ways.append((pattern, {route.method: route}))
        # A path that is spelt out comes before a pattern that would take it as well.
        ways.sort(key=lambda way: way[0].groups)


def new_id() -> str:
    """The id of a request, as OpenStack writes them: of a random UUID, without making one."""
    text = os.urandom(16).hex()
    return f"req-{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


class Elsewhere(ApiError):
    """A path of no version: the client is shown the versions that there are."""

    def __init__(self, request: Request) -> None:
        super().__init__(300, "multiple choices", body={"choices": [version(request)]})


def version(request: Request) -> dict[str, Any]:
    """Version 1, as its description is asked for."""
    link = {"rel": "self", "href": request.url("/v1/")}
    return {"id": "v1", "status": "CURRENT", "updated": "2013-08-12T17:42:13Z", "links": [link]}


def failure(error: BaseException, request: Request) -> Response:
    """What a client is told of an error: never a traceback, and of an unknown one no word."""
    if isinstance(error, ApiError):
        given = error
    else:
        status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
        if status >= 500 and not isinstance(error, exceptions.EngineError):
            LOG.error("%s %s: %s failed", request.method, request.path, request.id, exc_info=error)
            given = ApiError(500, f"internal error; the log has it as {request.id}")
        else:
            given = ApiError(status, str(error))
    if given.retry_s is None and given.status in RETRY_S:
        given.retry_s = RETRY_S[given.status]
    return _told(given)


def _told(error: ApiError) -> Response:
    told = {"message": str(error), "error_code": error.code, "error_data": error.data}
    response = json(error.body or {"error": told}, error.status)
    if error.retry_s is not None:
        response.headers["retry-after"] = str(max(1, int(error.retry_s)))
    response.headers.update(error.headers)
    return response


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of a route as a regular expression; a name stands for one part of the path."""
    parts = re.split(r"(\{\w+\})", pattern)
    return re.compile(
        "".join(f"(?P<{p[1:-1]}>[^/]+)" if p.startswith("{") else re.escape(p) for p in parts)
    )


def _drop_body(response: Response) -> None:
    """Answer with the headers alone: those that the whole answer would have."""
    if isinstance(response.body, bytes):
        response.headers["content-length"] = str(len(response.body))
    else:
        close = getattr(response.body, "close", None)
        if close is not None:
            close()
    response.body = b""


__all__ = ["App", "Context", "Request", "Response", "Route", "dumps", "failure", "json", "version"]
