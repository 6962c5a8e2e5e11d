"""Inlets: the tables of other nodes that services of this node follow over one link.

A table is followed over the link once, however many follow it here. Each of them gets every state
from the replica that is kept: one that comes later its snapshot, one that lost an update a new
one, without a word over the link.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from congress_dse.d6message import d6msg
from congress_dse.dataobj import Mark, dataObject
from congress_dse.exceptions import WireError
from congress_dse.links.states import Replica
from congress_dse.links.wire import encode

AGAIN_S = 1.0  # a snapshot that was asked for and did not come is asked for again

Say = Callable[[Iterable[str], str, list[Any]], bool]
Send = Callable[[d6msg], None]


class Inlet:
    """One table, or several under one key, and who follows it here."""

    def __init__(self, id_: str, key: str, dataindex: str, args: Any) -> None:
        self.id = id_
        self.key = key
        self.dataindex = dataindex
        self.args = args
        self.nodes: set[str] = set()
        self.local: dict[str, d6msg] = {}
        self.replicas: dict[str, tuple[str, Replica]] = {}


class Inlets:
    """All that is followed over one link; `where(key)` tells which nodes have it.

    `bind(id, yes)` is called before the first word about a subscription, and after the last.
    """

    def __init__(
        self,
        say: Say,
        send: Send,
        where: Callable[[str], Iterable[str]],
        bind: Callable[[str, bool], None] = lambda _id, _yes: None,
    ) -> None:
        self._say = say
        self._bind = bind
        self._send = send
        self._where = where
        self._inlets: dict[str, Inlet] = {}
        self._asked: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return len(self._inlets)

    def subscribe(self, msg: d6msg) -> None:
        """Take a subscriber of this node on; a repeated one is told the versions."""
        id_ = subscription_id(msg.key, msg.dataindex, msg.body)
        inlet = self._inlets.get(id_)
        if inlet is None:
            inlet = self._inlets[id_] = Inlet(id_, msg.key, msg.dataindex, msg.body)
        repeated = msg.correlationId in inlet.local
        inlet.local[msg.correlationId] = msg
        self._follow(inlet)
        for sender, (_, replica) in inlet.replicas.items():
            state = replica.snapshot()
            if state is not None and repeated and msg.type == "sub":
                self._hand(msg, sender, Mark(state.epoch, state.version), "mark")
            elif state is not None:
                self._hand(msg, sender, state)

    def unsubscribe(self, msg: d6msg) -> None:
        """Let one go; the last ends the subscription at the far side."""
        for inlet in list(self._inlets.values()):
            if inlet.local.pop(msg.correlationId, None) is not None and not inlet.local:
                self._drop(inlet)

    def resync(self, msg: d6msg) -> None:
        """Give the whole table again to a subscriber of this node that lost an update."""
        for inlet in list(self._inlets.values()):
            subscriber = inlet.local.get(msg.correlationId)
            replica = inlet.replicas.get(msg.key, (None, None))[1]
            state = None if replica is None else replica.snapshot(answers=int(msg.body or 0))
            if subscriber is not None and state is not None:
                self._hand(subscriber, msg.key, state)

    def receive(self, node: str, id_: str, sender: str, parcel: list[Any], now: float) -> None:
        """Take what a far publisher sent."""
        inlet = self._inlets.get(id_)
        if inlet is None or node not in inlet.nodes:
            self._say([node], id_, ["unsub", id_])
            return
        replica = self._replica(inlet, node, sender)
        state = replica.receive(parcel)
        if state is not None:
            for msg in list(inlet.local.values()):
                if msg.type != "pull" or not msg.attempts:
                    self._hand(msg, sender, state)
        self._catch_up(inlet, node, sender, replica, now)

    def marked(self, node: str, id_: str, sender: str, mark: Mark, now: float) -> None:
        """Learn how far a far publisher is, and ask for what was lost."""
        inlet = self._inlets.get(id_)
        if inlet is not None and node in inlet.nodes:
            replica = self._replica(inlet, node, sender)
            replica.marked(mark)
            self._catch_up(inlet, node, sender, replica, now)

    def routed(self) -> None:
        """Where keys lead has changed: follow where they lead now; who has no way is sent on."""
        for inlet in list(self._inlets.values()):
            self._follow(inlet)

    def again(self) -> None:
        """The link was down: say once more what is followed."""
        for inlet in self._inlets.values():
            inlet.nodes.clear()
        self.routed()

    def awaits(self) -> bool:
        """Whether a snapshot was asked for."""
        return bool(self._asked)

    def beat(self, now: float) -> None:
        """Ask once more for the snapshots that did not come."""
        for (id_, sender), at in list(self._asked.items()):
            inlet = self._inlets.get(id_)
            node, replica = ("", None) if inlet is None else inlet.replicas.get(sender, ("", None))
            if inlet is None or replica is None or not replica.behind:
                del self._asked[id_, sender]
            elif now - at >= AGAIN_S:
                del self._asked[id_, sender]
                self._catch_up(inlet, node, sender, replica, now)

    def statistics(self) -> list[dict[str, Any]]:
        """Each table that is followed at the far side: key, table, versions and by how many."""
        return [
            {
                "key": inlet.key,
                "table": inlet.dataindex,
                "subscribers": len(inlet.local),
                "versions": {
                    sender: replica.state.version
                    for sender, (_, replica) in list(inlet.replicas.items())
                    if replica.state is not None
                },
                "behind": any(replica.behind for _, replica in list(inlet.replicas.values())),
            }
            for inlet in list(self._inlets.values())
        ]

    def _follow(self, inlet: Inlet) -> None:
        nodes = set(self._where(inlet.key))
        for sender in [s for s, (node, _) in inlet.replicas.items() if node not in nodes]:
            del inlet.replicas[sender]
        new = nodes - inlet.nodes
        inlet.nodes = nodes
        if new:
            self._bind(inlet.id, True)
            self._say(new, "", ["sub", inlet.id, inlet.key, inlet.dataindex, inlet.args])
        elif not nodes:
            del self._inlets[inlet.id]
            self._bind(inlet.id, False)
            for msg in inlet.local.values():
                self._send(msg)  # another way may lead there, or it waits for its publisher

    def _drop(self, inlet: Inlet) -> None:
        del self._inlets[inlet.id]
        self._say(inlet.nodes, "", ["unsub", inlet.id])
        self._bind(inlet.id, False)

    def _replica(self, inlet: Inlet, node: str, sender: str) -> Replica:
        known = inlet.replicas.get(sender)
        if known is None or known[0] != node:
            replica = known[1] if known is not None else Replica()
            inlet.replicas[sender] = (node, replica)
            return replica
        return known[1]

    def _catch_up(self, inlet: Inlet, node: str, sender: str, replica: Replica, now: float) -> None:
        if replica.behind and (inlet.id, sender) not in self._asked:
            self._asked[inlet.id, sender] = now
            self._say([node], "", ["resync", inlet.id, sender, replica.ask()])

    def _hand(self, msg: d6msg, sender: str, body: dataObject | Mark, kind: str = "pub") -> None:
        """Give one state to one subscriber; a pull is answered, and its later states are not."""
        if msg.type == "pull" and kind == "pub":
            kind, msg.attempts = "rep", 1
        made = d6msg(msg.replyTo, sender, msg.correlationId, kind, msg.dataindex, body)
        self._send(made)


def subscription_id(key: str, dataindex: str, args: Any) -> str:
    """What two nodes, and all that follow the same, call one subscription."""
    try:
        data = encode([key, dataindex, args or None])
    except WireError:
        data = repr((key, dataindex, args)).encode()
    return hashlib.blake2b(data, digest_size=16).hexdigest()
