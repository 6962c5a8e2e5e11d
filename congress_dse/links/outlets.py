"""Outlets: the tables of this node that other nodes follow over one link.

However many follow a table there, it is followed here once, and each change goes out once. A node
that joins later gets the state that the outlet holds, by reference and without asking the
publisher. What a full link could not take is dropped, remembered, and made good by a snapshot. A
while after a change its number goes out once more, so that a lost last change is noticed.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from congress_dse.d6message import d6msg
from congress_dse.dataobj import Mark, dataObject, new_state, subData
from congress_dse.links import states
from congress_dse.rows import Rows

MARKS = 2  # times that a change's number is repeated, one beat apart

Say = Callable[[Iterable[str], str, list[Any]], bool]
Send = Callable[[d6msg], None]


class Outlet:
    """One table, as those at the far side asked for it, and who they are."""

    def __init__(self, id_: str, key: str, dataindex: str, args: Any, local_id: str) -> None:
        self.id = id_
        self.args = args
        self.followers: set[str] = set()
        self.held = subData(key, dataindex, local_id, None, lasting=True)


class Due(NamedTuple):
    """A change whose number goes out again: of which outlet and publisher, and how often yet."""

    id: str
    sender: str


class Outlets:
    """All that is followed over one link; `say` sends to nodes, `send` to the services here.

    `say(nodes, topic, message)` returns whether the link took it.
    """

    def __init__(self, name: str, say: Say, send: Send) -> None:
        self._name = name
        self._say = say
        self._send = send
        self._outlets: dict[str, Outlet] = {}
        self._due: dict[Due, int] = {}
        self._stale: dict[Due, None] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._outlets)

    def follow(self, node: str, id_: str, key: str, dataindex: str, args: Any) -> None:
        """Let `node` follow a table from now on; it gets what there is at once."""
        outlet = self._outlets.get(id_)
        if outlet is None:
            outlet = self._outlets[id_] = Outlet(id_, key, dataindex, args, self._local(id_))
        new = not outlet.followers
        outlet.followers.add(node)
        if new:
            self._local_message("sub", outlet, args)
            return
        for sender in outlet.held.getSources():
            self._tell_state(outlet, sender, [node])

    def forget(self, node: str, id_: str) -> None:
        """Let `node` follow a table no more; the last one ends the subscription here."""
        outlet = self._outlets.get(id_)
        if outlet is None:
            return
        outlet.followers.discard(node)
        if not outlet.followers:
            del self._outlets[id_]
            self._local_message("unsub", outlet, None)

    def lose(self, node: str) -> None:
        """A node is gone, and what it followed with it."""
        for id_ in [id_ for id_, o in self._outlets.items() if node in o.followers]:
            self.forget(node, id_)

    def resync(self, node: str, id_: str, sender: str, number: int) -> None:
        """Send the whole table again to a node that missed something."""
        outlet = self._outlets.get(id_)
        if outlet is not None and node in outlet.followers:
            self._tell_state(outlet, sender, [node], number)

    def publish(self, msg: d6msg, late: bool) -> None:
        """Take an update of a service here, and send it to all that follow."""
        outlet = self._outlets.get(self._far(msg.correlationId))
        if outlet is None:
            self._send(self._message("unsub", msg.replyTo, msg.dataindex, msg.correlationId, None))
            return
        update = msg.body if isinstance(msg.body, dataObject) else dataObject(msg.body)
        for state in outlet.held.receive(msg.replyTo, update, late=late):
            self._tell(outlet, msg.replyTo, outlet.followers, states.packed(state))
        if outlet.held.behind(msg.replyTo):
            self._ask(outlet, msg.replyTo)

    def marked(self, msg: d6msg) -> None:
        """Take how far a service here is."""
        outlet = self._outlets.get(self._far(msg.correlationId))
        if outlet is not None and outlet.held.marked(msg.replyTo, msg.body):
            self._ask(outlet, msg.replyTo)

    def lost(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Ask for the tables of which our mailbox dropped an update."""
        for local_id, sender in pairs:
            outlet = self._outlets.get(self._far(local_id))
            if outlet is not None:
                self._ask(outlet, sender)

    def restarted(self, name: str) -> None:
        """A service here ended: subscribe again, so that its next life is followed."""
        for outlet in self._outlets.values():
            if name in outlet.held.getSources():
                self._local_message("sub", outlet, outlet.args)

    def due(self) -> bool:
        """Whether a number is to go out again."""
        return bool(self._due)

    def beat(self) -> None:
        """Send the numbers that are due again."""
        for due, left in list(self._due.items()):
            outlet = self._outlets.get(due.id)
            if outlet is not None:
                state = outlet.held.getData(due.sender)
                message = ["mark", due.id, due.sender, state.epoch, state.version]
                self._say(outlet.followers, due.id, message)
            if left > 1 and outlet is not None:
                self._due[due] = left - 1
            else:
                del self._due[due]

    def room(self) -> None:
        """The link takes again: make good what it could not take."""
        stale, self._stale = self._stale, {}
        for due in stale:
            outlet = self._outlets.get(due.id)
            if outlet is not None:
                self._tell_state(outlet, due.sender, list(outlet.followers))

    def statistics(self) -> list[dict[str, Any]]:
        """Each table that is followed from afar: key, table, by whom, and what is to be resent."""
        return [
            {
                "key": outlet.held.key,
                "table": outlet.held.dataindex,
                "followers": sorted(outlet.followers),
                "stale": any(due.id == outlet.id for due in self._stale),
            }
            for outlet in list(self._outlets.values())
        ]

    def _tell_state(self, outlet: Outlet, sender: str, nodes: list[str], answers: int = 0) -> None:
        state = outlet.held.getData(sender)
        if state.opaque or not state.epoch:
            self._ask(outlet, sender)  # only its driver can make a snapshot in its own dialect
            return
        rows = state.data if isinstance(state.data, Rows) else frozenset()
        whole = new_state(state.data, Mark(state.epoch, state.version), None, rows)
        whole.answers = answers
        self._tell(outlet, sender, nodes, states.packed(whole, snapshot=True))

    def _tell(self, outlet: Outlet, sender: str, nodes: Iterable[str], parcel: list[Any]) -> None:
        due = Due(outlet.id, sender)
        if due in self._stale and parcel[2] is not None:
            self.dropped += 1  # it would not fit: a snapshot is coming
            return
        if self._say(nodes, outlet.id, ["pub", outlet.id, sender, parcel]):
            self._due[due] = MARKS
        else:
            self.dropped += 1
            self._stale[due] = None

    def _ask(self, outlet: Outlet, sender: str) -> None:
        held = outlet.held
        number = held.resync(sender)
        self._send(self._message("resync", sender, held.dataindex, held.corrId, number))

    def _local_message(self, kind: str, outlet: Outlet, args: Any) -> None:
        held = outlet.held
        self._send(self._message(kind, held.key, held.dataindex, held.corrId, args))

    def _message(self, kind: str, key: str, dataindex: str, corrId: str, body: Any) -> d6msg:
        msg = d6msg(key, self._name, corrId, kind, dataindex, body)
        msg.via = self._name
        return msg

    def _local(self, id_: str) -> str:
        """The id here of what has `id_` on the link: another link may carry the same."""
        return f"{self._name}:{id_}"

    def _far(self, local_id: str) -> str:
        return local_id.removeprefix(f"{self._name}:")
