"""Bridge: the service that stands in a cage for the nodes behind one link.

Whatever services here send to keys of far nodes reaches the bridge's mailbox; it goes over the link
to those nodes alone, and comes out there as a message from their bridge. What came over a link goes
to no other (split horizon): every pair of nodes has a link of its own. Each kind of message is a
row of `KINDS`: the types of its values and the method that takes it.
"""

import logging
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, Protocol

from congress_dse import exceptions
from congress_dse.amqprouter import words
from congress_dse.d6message import d6msg
from congress_dse.dataobj import Mark
from congress_dse.deepsix import deepSix
from congress_dse.links import wire
from congress_dse.links.directory import (
    STOPPED,
    STOPPING,
    Directory,
    Node,
    Service,
    gives_way,
)
from congress_dse.links.errands import Errands, age
from congress_dse.links.inlets import Inlets
from congress_dse.links.outlets import Outlets
from congress_dse.runtime import chosen as runtime
from congress_dse.subscribing import LATE_S
from congress_dse.tracing import here, read

LOG = logging.getLogger(__name__)
BEAT_S = 0.4  # between a change and the repetition of its number
HOPS_MAX = 100  # services in one circle of asks


class Transport(Protocol):
    """What brings bytes to far nodes."""

    def send(self, nodes: Iterable[str], topic: str, parts: list[bytes], can_wait: bool) -> bool:
        """Take a message for `nodes`; False, and take it not, when full and it can wait."""

    def follow(self, topic: str, yes: bool) -> None:
        """Bring what is sent to `topic` here, from before the next message on; or no more."""

    def end(self, why: str) -> None:
        """Give the link up."""

    def statistics(self) -> dict[str, Any]:
        """What an operator wants to know of it, as plain values."""


class Bridge(deepSix):
    """One link of a cage, with all nodes behind it."""

    announced = False  # every node has its own

    def __init__(self, name: str, keys: Any, inbox: Any, dataPath: Any, args: Any) -> None:  # noqa: N803
        super().__init__(name, keys, inbox, dataPath, {})
        self.cage = dataPath
        self.transport: Transport = args["transport"]
        self.directory = dataPath.bus.directory
        self.outlets = Outlets(name, self._say, self._local)
        self.inlets = Inlets(self._say, self._local, self._where, self.transport.follow)
        self.errands = Errands()
        self.refused = 0
        self._number = wire.numbers()
        self._beating = False
        inbox.far = True
        dataPath.bus.links[name] = self

    # What services here send.

    def receive(self, msg: d6msg) -> None:
        """Send on what is for a far node; the bridge's own messages are handled as ever."""
        handler = _FROM_HERE.get(msg.type)
        if handler is None or (msg.key == self.name and msg.type not in _ANSWERS):
            super().receive(msg)
        else:
            with nullcontext() if msg.trace is None else here.continued(msg.trace):
                getattr(self, handler)(msg)
            self._beat_soon()

    def inlost(self, msg: d6msg) -> None:
        """Our mailbox dropped updates of services here."""
        self.outlets.lost(msg.body)

    def indown(self, msg: d6msg) -> None:
        """A service here ended, whose tables somebody follows from afar."""
        self.outlets.restarted(msg.body["name"])
        super().indown(msg)

    def cleanup(self) -> None:
        """Nothing leads over this link any more."""
        for node in [n.id for n in self._nodes()]:
            self.left(node, self.transport.statistics()["error"] or "the link has ended")
        self.cage.bus.links.pop(self.name, None)

    def _publish(self, msg: d6msg) -> None:
        self.outlets.publish(msg, late=self.waited_s > LATE_S)

    def _mark(self, msg: d6msg) -> None:
        self.outlets.marked(msg)

    def _subscribe(self, msg: d6msg) -> None:
        self.inlets.subscribe(msg)

    def _unsubscribe(self, msg: d6msg) -> None:
        self.inlets.unsubscribe(msg)

    def _resync(self, msg: d6msg) -> None:
        self.inlets.resync(msg)

    def _errand(self, msg: d6msg) -> None:
        """Send a request or command to every node that has its key."""
        nodes = self._where(msg.key)
        if not nodes:
            self.cage.bury(msg, "nothing matched", "")
            return
        try:
            message = self.errands.go(msg, nodes, runtime.now())
            sent = self._say(nodes, "", message)
        except exceptions.WireError as error:
            self._refuse(msg, error)
            self.cage.bury(msg, str(error), self.name)
            return
        if not sent:
            self.cage.bury(msg, "link full", self.name)

    def _reply(self, msg: d6msg) -> None:
        """Send the answer of a service here to the node that asked."""
        try:
            found = self.errands.answer(msg, runtime.now())
            if found is not None:
                self._say(found[0], "", found[1])
        except exceptions.WireError as error:
            fault = ["RequestFailed", f"{msg.replyTo}: its answer cannot travel: {error}"]
            if found is not None:
                self._say(found[0], "", [*found[1][:5], fault, None])

    # What comes over the link.

    def arrived(self, node: str, message: list[Any], late_s: float = 0.0) -> None:
        """Take one message of `node`, so long under way; raises WireError for what is none."""
        known = KINDS.get(message[0]) if isinstance(message[0], str) else None
        if known is None:
            raise exceptions.WireError(f"a message of the unknown kind {message[0]!r}")
        types, handler = known
        values = message[1:]
        if len(values) != len(types) or not all(map(isinstance, values, types)):
            raise exceptions.WireError(f"a message {message[0]!r} with values that are none")
        known_node = self.directory.nodes.get(node)
        if known_node is None or known_node.link != self.name:
            return
        if late_s:
            age(message[3] if message[0] == "traced" else message, late_s)
        known_node.heard = runtime.now()
        getattr(self, handler)(known_node, message)
        self._beat_soon()

    def joined(self, node: str, epoch: int) -> None:
        """A node is there, by this link and no other: tell it what is here."""
        known = self.directory.nodes.get(node)
        nearer = None if known is None else self.cage.bus.links.get(known.link)
        if nearer is not None:
            nearer.forget(node, "joined anew")
        self.directory.join(node, epoch, self.name, runtime.now())
        services = [[s.name, list(s.keys), s.born] for s in self.cage.bus.announced.values()]
        self._say([node], "", ["routes", services])
        LOG.info("%s: node %s joined", self.name, node)
        self.cage.notice("node-joined", node, f"over {self.name}", "info")

    def left(self, node: str, why: str) -> None:
        """A node is gone, with all that it had; what waits for it is answered."""
        if self.forget(node, why):
            level = "info" if why in {STOPPED, STOPPING} else "warning"
            log = LOG.debug if why == STOPPING else getattr(LOG, level)
            log("%s: node %s is gone: %s", self.name, node, why)
            self.cage.notice("node-left", node, why, level)

    def forget(self, node: str, why: str) -> bool:
        """Let go of all that a node had, if it was behind this link; return whether it was."""
        known = self.directory.nodes.get(node)
        if known is None or known.link != self.name:
            return False
        for service in self.directory.leave(node):
            self.cage.table.remove(service.keys, self.inbox)
        self.outlets.lose(node)
        for msg in self.errands.lose(node):
            self._local(msg)
        self.inlets.routed()
        LOG.debug("%s: node %s: %s", self.name, node, why)
        self.cage.bus.changed()
        return True

    def announce(self, service: Service) -> None:
        """Tell the far nodes the keys that a service here has now; none when it ended."""
        nodes = [node.id for node in self._nodes()]
        if nodes:
            self._say(nodes, "", ["route", service.name, list(service.keys), service.born])

    def room(self) -> None:
        """The transport takes again."""
        self.outlets.room()

    def _in_routes(self, node: Node, message: list[Any]) -> None:
        services = [_service(x) for x in message[1]]
        gone = set(node.services) - {service.name for service in services}
        self._learn(node, [*services, *(Service(name, (), 0) for name in gone)])

    def _in_route(self, node: Node, message: list[Any]) -> None:
        self._learn(node, [_service(message[1:])])

    def _learn(self, node: Node, services: list[Service]) -> None:
        fresh: list[str] = []
        for service in services:
            before = node.services.get(service.name)
            fresh += self.directory.learn(node.id, service)
            if service.keys:
                self.cage.table.add(service.keys, self.inbox)
                self._clash(node, service)
            if before is not None:
                self.cage.table.remove(before.keys, self.inbox)
        self.inlets.routed()
        self.cage.heard(fresh)
        self.cage.bus.changed()

    def _clash(self, node: Node, theirs: Service) -> None:
        """Two services of one name: the younger one ends, on whichever node it is."""
        mine = self.cage.bus.announced.get(theirs.name)
        if mine is None:
            return
        text = f"service {theirs.name!r} is at {node.id}, too: a name is given once on a bus"
        self.directory.clashes[theirs.name] = text
        ends = gives_way((mine.born, self.cage.bus.node), (theirs.born, node.id))
        LOG.error("%s: %s; %s", self.name, text, "ours ends" if ends else "theirs is to end")
        if ends:
            self.cage.bus.give_way(theirs.name, text)

    def _in_sub(self, node: Node, message: list[Any]) -> None:
        self.outlets.follow(node.id, *message[1:])

    def _in_unsub(self, node: Node, message: list[Any]) -> None:
        self.outlets.forget(node.id, message[1])

    def _in_resync(self, node: Node, message: list[Any]) -> None:
        self.outlets.resync(node.id, *message[1:])

    def _in_pub(self, node: Node, message: list[Any]) -> None:
        _, id_, sender, parcel = message
        self.inlets.receive(node.id, id_, sender, parcel, runtime.now())

    def _in_mark(self, node: Node, message: list[Any]) -> None:
        _, id_, sender, epoch, version = message
        self.inlets.marked(node.id, id_, sender, Mark(epoch, version), runtime.now())

    def _in_errand(self, node: Node, message: list[Any]) -> None:
        """Do here what a far node asks; the circle of asks is looked for first."""
        msg = self.errands.come(node.id, message, self.name, runtime.now())
        try:
            self._local(msg)
        except exceptions.EngineError as error:
            self._refuse(msg, error)
            return
        if msg.deadline is not None:
            asker = str(msg.header["asker"])
            self._follow([asker, node.id, msg.correlationId, msg.key, [f"{asker}@{node.id}"]])

    def _in_reply(self, _node: Node, message: list[Any]) -> None:
        msg = self.errands.answered(message, runtime.now())
        if msg is not None:
            self._local(msg)

    def _in_traced(self, node: Node, message: list[Any]) -> None:
        """Take a message with the trace that it continues; one that is none is left out."""
        _, parent, state, inner = message
        if not inner or inner[0] not in _TRACED:
            raise exceptions.WireError("a message with a trace that has none")
        trace = read(parent, state)
        with nullcontext() if trace is None else here.continued(trace):
            self.arrived(node.id, inner)

    def _in_probe(self, _node: Node, message: list[Any]) -> None:
        self._follow(message[1:])

    def _follow(self, probe: list[Any]) -> None:
        """Follow those who wait from a service on; where it leads back the ask is refused.

        After Chandy, Misra and Haas, "Distributed deadlock detection" (1983): each ask that
        crosses a link sends a probe along the services that wait already.
        """
        asker, home, id_, key, hops = probe
        if self.cage.bus.node == home and key == asker and self.cage.asks.open(id_):
            way = " -> ".join([*hops, f"{asker}@{home}"])
            error = exceptions.DeadlockError(f"ask would never be answered: {way}")
            self.cage.asks.answered(d6msg(asker, key, id_, "rep", "", error))
            return
        wait = self.cage.asks.waiting(key)
        if wait is not None and len(hops) < HOPS_MAX:
            hops = [*hops, f"{key}@{self.cage.bus.node} ({wait.dataindex})"]
            self.cage.bus.probe([asker, home, id_, wait.receiver, hops], wait.far)

    def probe(self, probe: list[Any], far: bool) -> None:
        """Send a probe to where its key lives, or follow it here."""
        if far:
            self._say(self._where(probe[3]), "", ["probe", *probe])
        else:
            self._follow(probe)

    # What is known.

    def link_statistics(self) -> dict[str, Any]:
        """The link for operators: its state, nodes, tables in both directions, open requests."""
        return {
            "name": self.name,
            **self.transport.statistics(),
            "nodes": [node.id for node in self._nodes()],
            "followed_there": self.outlets.statistics(),
            "followed_here": self.inlets.statistics(),
            "open_requests": len(self.errands),
            "late_answers": self.errands.late,
            "dropped_updates": self.outlets.dropped,
        }

    def counters(self) -> dict[str, float]:
        known = self.transport.statistics()
        return {
            **super().counters(),
            "link_sent_b": known.get("sent_b", 0),
            "link_received_b": known.get("received_b", 0),
            "link_late_answers": self.errands.late,
            "link_dropped_updates": self.outlets.dropped,
        }

    def _nodes(self) -> list[Node]:
        return [n for n in list(self.directory.nodes.values()) if n.link == self.name]

    def _where(self, key: str) -> list[str]:
        directory: Directory = self.directory
        return directory.nodes_of(self.name, key)

    def _say(self, nodes: Iterable[str], topic: str, message: list[Any]) -> bool:
        """Give a message to the transport; only updates of tables can wait."""
        can_wait = message[0] == "pub"
        if here.used and message[0] in _TRACED and (trace := here.current()) is not None:
            message = ["traced", *trace, message]
        data = wire.encode(message)
        return self.transport.send(nodes, topic, wire.parts(data, self._number()), can_wait)

    def _local(self, msg: d6msg) -> None:
        """Give a message to the services here."""
        try:
            self.cage.routemsg(msg)
        except exceptions.MailboxFull:
            if msg.type in {"req", "cmd"}:
                raise
            LOG.debug("%s: %r found a full mailbox", self.name, msg)

    def _beat_soon(self) -> None:
        if not self._beating and (self.outlets.due() or self.inlets.awaits()):
            self._beating = True
            self.after(BEAT_S, self._beat)

    def _beat(self) -> None:
        self._beating = False
        self.outlets.beat()
        self.inlets.beat(runtime.now())
        self._beat_soon()


def _service(values: Any) -> Service:
    """A service as it was announced; raises WireError for what is none."""
    if not isinstance(values, list) or list(map(type, values)) != [str, list, int]:
        raise exceptions.WireError("an announced service that is none")
    if not all(isinstance(key, str) for key in values[1]):
        raise exceptions.WireError(f"service {values[0]!r}: keys that are none")
    for key in values[1]:
        try:
            words(key)
        except exceptions.InvalidKey as error:
            raise exceptions.WireError(f"service {values[0]!r}: {error}") from error
    return Service(values[0], tuple(values[1]), values[2])


_TRACED = ("pub", "req", "cmd", "rep")
_ANSWERS = {"pub", "mark", "rep"}  # to what the bridge asked for on behalf of a far node
_FROM_HERE = {
    "pub": "_publish",
    "mark": "_mark",
    "sub": "_subscribe",
    "pull": "_subscribe",
    "unsub": "_unsubscribe",
    "resync": "_resync",
    "req": "_errand",
    "cmd": "_errand",
    "rep": "_reply",
}
_ANY = object
_MAYBE = (int, float, type(None))
KINDS: dict[str, tuple[tuple[Any, ...], str]] = {
    "routes": ((list,), "_in_routes"),
    "route": ((str, list, int), "_in_route"),
    "sub": ((str, str, str, _ANY), "_in_sub"),
    "unsub": ((str,), "_in_unsub"),
    "resync": ((str, str, int), "_in_resync"),
    "pub": ((str, str, list), "_in_pub"),
    "mark": ((str, str, int, int), "_in_mark"),
    "req": ((str, str, str, str, _ANY, _MAYBE, dict), "_in_errand"),
    "cmd": ((str, str, str, str, _ANY, _MAYBE, dict), "_in_errand"),
    "rep": ((str, str, str, str, list, _ANY), "_in_reply"),
    "traced": ((str, str, list), "_in_traced"),
    "probe": ((str, str, str, str, list), "_in_probe"),
}
