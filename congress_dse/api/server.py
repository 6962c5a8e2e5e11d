"""Api: the host of the app in a worker: its server, its limits, its start and its end."""

import logging
import os
from collections.abc import Callable, Iterator
from socket import socket
from typing import Any
from urllib.parse import parse_qsl

from congress_dse.api import access, events, health, live, metrics, openapi, pages, v1
from congress_dse.api.app import App, Context, failure
from congress_dse.api.feeds import Feeds
from congress_dse.api.http import Request
from congress_dse.api.readings import Readings
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
        tls = access.tls(conf)
        site = Site(app, served, traffic, tls is not None)
        self._server = runtime.http_server(listener, site, self._limits(), tls)

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
            "readings": Readings(self._conf.rows_cache),
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
    """The app as a server calls it."""

    def __init__(self, app: App, served: Callable[[], object], traffic: Traffic, tls: bool) -> None:
        self.app = app
        self._served = served
        self._traffic = traffic
        self._scheme = "https" if tls else "http"

    def __call__(self, asked: Any) -> tuple[int, dict[str, str], bytes | Iterator[bytes]]:
        begun = runtime.now()
        query = dict(parse_qsl(asked.query, keep_blank_values=True)) if asked.query else {}
        request = Request(
            asked.method, asked.path, query, asked.headers, asked.body, scheme=self._scheme
        )
        response = self.app.handle(request)
        took_s = runtime.now() - begun
        self._traffic.served(request.method, request.pattern, response.status, took_s)
        LOG.debug("%s %s: %d", request.method, request.path, response.status)
        self._served()
        return response.status, response.headers, response.body


def refusal(status: int, text: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of the answer to what is no request."""
    response = failure(ApiError(status, text), Request("", ""))
    assert isinstance(response.body, bytes)
    return response.headers, response.body
