"""Directory: which nodes are on the bus, which services live where, and by which keys.

A machine: a host of links tells it what nodes say, and asks it what is known. Names are unique on
the bus: of two services of one name that meet, the one that was born later gives way, on every node
alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from congress_dse.amqprouter import routeTable

# Why a node is gone, where nothing is wrong.
STOPPED, STOPPING = "it has stopped", "this node is stopping"


class Service(NamedTuple):
    """One service of a node: its keys, and when it was born (nanoseconds since 1970)."""

    name: str
    keys: tuple[str, ...]
    born: int


@dataclass
class Node:
    """One node of the bus: a cage in a process of its own. Times are of the monotonic clock."""

    id: str
    epoch: int
    link: str
    since: float
    heard: float
    number: int = 0
    services: dict[str, Service] = field(default_factory=dict)


class Directory:
    """The far nodes that one cage knows, over all its links."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.clashes: dict[str, str] = {}
        self._keys: dict[str, routeTable] = {}

    def join(self, node: str, epoch: int, link: str, now: float) -> Node:
        """A node is there; what an earlier life of it had is forgotten."""
        self.leave(node)
        self.nodes[node] = Node(node, epoch, link, now, now)
        return self.nodes[node]

    def leave(self, node: str) -> list[Service]:
        """A node is gone; return what it had."""
        gone = self.nodes.pop(node, None)
        if gone is None:
            return []
        return [self._unbind(gone, name) for name in list(gone.services)]

    def learn(self, node: str, service: Service) -> list[str]:
        """A service of `node` has these keys now, none when it ended; return those that are new."""
        known = self.nodes[node]
        before = known.services.get(service.name)
        if before is not None:
            self._unbind(known, service.name)
        if service.keys:
            known.services[service.name] = service
            table = self._keys.setdefault(known.link, routeTable())
            table.add(service.keys, (node, service.name))
        had = before.keys if before is not None else ()
        return [key for key in service.keys if key not in had]

    def nodes_of(self, link: str, key: str) -> list[str]:
        """The nodes behind `link` that have a service with `key`."""
        table = self._keys.get(link)
        found = () if table is None else table.routes(key)
        return list(dict.fromkeys(node for node, _ in found))

    def keys(self, link: str) -> set[str]:
        """Every key that leads over `link`."""
        return {
            key
            for node in self.nodes.values()
            if node.link == link
            for service in node.services.values()
            for key in service.keys
        }

    def where(self, name: str) -> str:
        """The node that has the service `name`; "" for none."""
        return next((node.id for node in self.nodes.values() if name in node.services), "")

    def expired(self, now: float, silence_s: float, link: str) -> list[str]:
        """The nodes behind `link` of which nothing was heard for so long."""
        late = now - silence_s
        return [n.id for n in self.nodes.values() if n.link == link and n.heard < late]

    def _unbind(self, node: Node, name: str) -> Service:
        service = node.services.pop(name)
        self._keys[node.link].remove(service.keys, (node.id, name))
        return service


def gives_way(mine: tuple[int, str], theirs: tuple[int, str]) -> bool:
    """Whether of two services of one name mine, ``(born, node)``, is the one to end."""
    return mine > theirs


def announced(name: str, keys: Iterable[str]) -> tuple[str, ...]:
    """The keys of a service that other nodes are told: those that are not local by their name."""
    return tuple(dict.fromkeys(k for k in keys if not k.startswith("local.")))


def plain(directory: Directory, now: float) -> list[dict[str, Any]]:
    """Every known node as plain values; ages in seconds."""
    return [
        {
            "node": node.id,
            "epoch": node.epoch,
            "link": node.link,
            "since_s": now - node.since,
            "heard_s": now - node.heard,
            "services": {name: list(s.keys) for name, s in list(node.services.items())},
        }
        for node in list(directory.nodes.values())
    ]
