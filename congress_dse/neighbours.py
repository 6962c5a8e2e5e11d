"""Neighbours: what one cage knows of the other cages of its bus, and what it tells them.

Alone, a cage has none, and nothing here costs anything. The links that join it to others register
themselves in `links`; each is a service that stands for the nodes behind it.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from congress_dse import exceptions
from congress_dse.asks import Wait
from congress_dse.links.directory import Directory, Service, announced
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)


class Neighbours:
    """The far side of one cage.

    `node` names this cage on the bus, and `epoch` its life: nanoseconds since 1970.
    """

    def __init__(self, cage: Any) -> None:
        self._cage = cage
        self.node = f"{socket.gethostname()}.{os.getpid()}"
        self.epoch = time.time_ns()
        self.directory = Directory()
        self.links: dict[str, Any] = {}
        self.announced: dict[str, Service] = {}
        self.watchers: list[Callable[[], None]] = []

    def announce(self, name: str, patterns: Iterable[str]) -> None:
        """The service `name` has these keys now, none when it ended: tell the other nodes."""
        keys = announced(name, patterns)
        service = self._cage.service_object(name)
        if keys and not getattr(service, "announced", False):
            return
        known = self.announced.get(name)
        if not keys:
            if self.announced.pop(name, None) is None:
                return
        elif known is not None and known.keys == keys:
            return
        told = Service(name, keys, time.time_ns() if known is None else known.born)
        if keys:
            self.announced[name] = told
        for link in list(self.links.values()):
            link.do(lambda link=link: link.announce(told))

    def taken(self, name: str) -> str:
        """The node that has a service of this name already; "" for none."""
        return self.directory.where(name)

    def changed(self) -> None:
        """Tell who watches that nodes or their services have changed."""
        for call in self.watchers:
            call()

    def give_way(self, name: str, why: str) -> None:
        """End a service of ours whose name another node had before."""
        runtime.spawn(self._end, name, why)

    def probe(self, probe: list[Any], far: bool) -> None:
        """Send a probe for a circle of asks on; see `Bridge.probe`."""
        for link in list(self.links.values()):
            link.do(lambda link=link: link.probe(probe, far))
            if not far:
                return

    def probe_wait(self, wait: Wait, hops: list[Wait]) -> None:
        """Follow an ask of ours, not sent yet, whose way leads over a link."""
        way = [f"{w.asker}@{self.node} ({w.dataindex})" for w in hops]
        self.probe([wait.asker, self.node, wait.id, hops[-1].receiver, way], far=True)

    def statistics(self) -> list[dict[str, Any]]:
        """Every link, for operators; see `Bridge.link_statistics`."""
        return [link.link_statistics() for link in list(self.links.values())]

    def _end(self, name: str, why: str) -> None:
        try:
            self._cage.deleteservice(name)
        except exceptions.NoSuchService:
            return
        LOG.error("%s: ended: %s", name, why)
