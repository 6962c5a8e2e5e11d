"""Api: the host of the app in a worker: its server, its limits, its start and its end."""

import logging
import os
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socket import socket
from typing import Any
from urllib.parse import parse_qsl

from congress_dse.api import access, events, health, live, metrics, openapi, pages, v1
from congress_dse.api.app import App, Context, failure
from congress_dse.api.feeds import Feeds
from congress_dse.api.http import Request, headers
from congress_dse.api.traffic import Traffic
from congress_dse.catalogue import Catalogue
from congress_dse.exceptions import ApiError
from congress_dse.inquest import Inquest
from congress_dse.inquiries import Inquiries
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)

ROUTES = [
    *pages.ROUTES,
    *v1.ROUTES,
    *events.ROUTES,
    *live.ROUTES,
    *health.ROUTES,
    *metrics.ROUTES,
    *openapi.ROUTES,
]

Start = Callable[[str, list[tuple[str, str]]], Any]


class Api:
    """The API of one worker. `bus` is a cage from which the sources can be asked."""

    def __init__(
        self,
        conf: Any,
        catalogue: Catalogue,
        bus: Any,
        listener: socket,
        served: Callable[[], object],
        *,
        inquest: Inquest | None = None,
        control: str = "",
    ) -> None:
        inquest = inquest or Inquest(bus)
        self._inquiries = Inquiries(bus, inquest, control)
        traffic = Traffic()
        inquest.meters.append(traffic.counters)
        self._conf = conf.api
        self._bus = bus
        self._feeds: Feeds | None = None
        context = Context(bus, catalogue, self._parts())
        app = App(
            context,
            ROUTES,
            authenticate=access.authenticate(conf),
            body_max_b=conf.api.max_body_size,
        )
        site = Site(app, served, traffic)
        self._server = runtime.http_server(listener, site, self._limits(), access.tls(conf))

    def start(self) -> None:
        """Serve from now on."""
        self._server.start()

    def stop(self) -> None:
        """Take no new connections, answer what was asked, and end."""
        if self._feeds is not None:
            self._feeds.end()
        late = self._server.stop(self._conf.drain_timeout)
        if late:
            LOG.warning("%d clients were cut off: not done in drain_timeout", late)

    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.connections)

    def _parts(self) -> dict[str, Any]:
        """What handlers find in the context beside bus and catalogue."""
        return {
            "max_staleness_s": self._conf.max_staleness,
            "feeds": self.feeds,
            "inquiries": self._inquiries,
            "readiness": {},
            "routes": lambda: ROUTES,
        }

    def feeds(self) -> Feeds:
        """The service that follows tables; made for the first client that does."""
        if self._feeds is None:
            name = f"api.{os.getpid()}"  # on a bus of several processes each has its own
            self._feeds = self._bus.createservice(name, [name], factory=Feeds)
        return self._feeds

    def _limits(self) -> dict[str, Any]:
        conf = self._conf
        return {
            "refusal": refusal,
            "header_max_b": conf.max_header_size,
            "body_max_b": conf.max_body_size,
            "connections_max": conf.max_connections,
            "client_s": conf.client_timeout,
            "keepalive_s": conf.keepalive,
        }


class Site:
    """The app under WSGI's words."""

    def __init__(self, app: App, served: Callable[[], object], traffic: Traffic) -> None:
        self.app = app
        self._served = served
        self._traffic = traffic

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        begun = runtime.now()
        request = _request(environ)
        response = self.app.handle(request)
        took_s = runtime.now() - begun
        self._traffic.served(request.method, self.app.pattern(request), response.status, took_s)
        LOG.debug("%s %s: %d", request.method, request.path, response.status)
        self._served()
        start(_line(response.status), list(response.headers.items()))
        if isinstance(response.body, bytes):
            return [response.body]
        environ["eventlet.minimum_write_chunk_size"] = 1
        return response.body


def refusal(status: int, text: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of the answer to what is no request."""
    response = failure(ApiError(status, text), Request("", ""))
    assert isinstance(response.body, bytes)
    return response.headers, response.body


def _request(environ: dict[str, Any]) -> Request:
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    return Request(
        method=environ["REQUEST_METHOD"],
        path=path,
        query=dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)),
        headers=headers(environ["headers_raw"]),
        body=environ["wsgi.input"].read(),
        scheme=environ["wsgi.url_scheme"],
    )


def _line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
