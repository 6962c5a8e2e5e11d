"""ApiNode: a cage without sources of its own, joined to the engine's, and the API on it."""

import logging
from collections.abc import Callable
from socket import socket
from typing import Any

from congress_dse import config, exceptions, factsdesk
from congress_dse.api.server import Api
from congress_dse.catalogue import Catalogue, store
from congress_dse.d6cage import d6Cage
from congress_dse.enginedesk import KEY
from congress_dse.inquest import Inquest
from congress_dse.links.joining import join
from congress_dse.links.way import Way
from congress_dse.manager import options as processes
from congress_dse.runtime import chosen as runtime
from congress_dse.telemetry import Telemetry

LOG = logging.getLogger(__name__)
REACH_S = 3.0  # in which the sources that run are heard of; after that the API serves what there is
LOOK_S = 0.01


class ApiNode:
    """The host of one API worker; called by whoever owns the process."""

    def __init__(
        self, files: list[str], way: Way, worker: str, listener: socket, served: Callable[[], Any]
    ) -> None:
        self._conf = config.read(files)
        self._cage = d6Cage()
        self._catalogue = Catalogue(files, store(self._conf))
        self._links = join(self._cage, way, worker, self._conf[config.LINKS])
        self.inquest = Inquest(self._cage, worker)
        self._api = Api(
            self._conf,
            self._catalogue,
            self._cage,
            listener,
            served,
            inquest=self.inquest,
            control=way.control,
        )
        self._telemetry = Telemetry(self._conf, self._cage.bus.node)

    def start(self) -> None:
        """Serve, once the engine's sources are within reach: a client notices no new worker."""
        try:
            names = [KEY, *(e.name for e in self._catalogue.entries() if e.enabled)]
        except exceptions.StoreError as error:
            LOG.error("%s", error)
            names = [KEY]
        factsdesk.serve(self._cage, self.inquest)
        end = runtime.now() + REACH_S
        while not all(map(self._cage.table.routes, names)) and runtime.now() < end:
            runtime.sleep(LOOK_S)
        self._api.start()

    def stop(self) -> None:
        """Answer what was asked, and end."""
        self._api.stop()
        for link in self._links:
            link.close()
        timeout_s = self._conf[processes.GROUP].graceful_shutdown_timeout
        self._cage.d6stop(0.9 * timeout_s or float("inf"))
        self._telemetry.end()
