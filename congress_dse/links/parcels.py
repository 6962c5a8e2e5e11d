"""Parcels: messages of nodes as bodies of a broker's messages, and back; no I/O.

A body is a few frames of the wire: who sent it, then one message or many, or one part of a large
one. Small messages to the same key share a body, since a broker's work is by the body; what goes to
one node and what goes to a topic keep their order.

A broker brings a body at least once, and after a loss late ones may come behind new ones. So each
body has a number of its sender's: what was seen is known again, and the parts of a message are put
together in whatever order they come. It has the sender's clock too: the body that was the quickest
tells how the two clocks differ, and so how late every other one is.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from congress_dse.exceptions import WireError
from congress_dse.links import wire

PROTOCOL = 1
BODY_B = 64 * 1024  # small messages are joined up to this
SEEN_MAX = 20_000  # numbers remembered of a sender: a few times what can be under way
SENDERS_MAX = 1000  # the one heard of longest ago gives way
HALF_MAX = 16  # messages of one sender that lack parts; the oldest gives way

_BODY = "body"
_HEAD = [str, int, str, int, int, int, int, float]


class Parcel(NamedTuple):
    """What one body brought; `messages` is empty for a part of something that is not whole yet.

    `again`: it came before. `overtaken`: what was sent after it came before it.
    """

    node: str
    epoch: int
    again: bool
    overtaken: bool
    late_s: float
    messages: list[list[Any]]


class Packer:
    """Messages in; bodies with their routing keys out. `on_body(nodes)` is told of each body."""

    def __init__(
        self,
        node: str,
        epoch: int,
        on_body: Callable[[Iterable[str]], None],
        clock: Callable[[], float],
    ) -> None:
        self._node, self._epoch, self._clock = node, epoch, clock
        self._on_body = on_body
        self._number = 0
        self._open: OrderedDict[str, tuple[set[str], list[bytes]]] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._direct = False
        self._closed: list[tuple[str, bytes]] = []

    def add(self, key: str, nodes: Iterable[str], parts: list[bytes], direct: bool) -> None:
        """Take one message, in one part or many, for `nodes`, who are reached by `key`."""
        if direct != self._direct:
            self.cut()  # a state for one node and the changes for all must not change places
            self._direct = direct
        if len(parts) > 1:
            self.cut()
            for index, part in enumerate(parts):
                self._close(key, nodes, [part], index, len(parts))
            return
        (part,) = parts
        if self._sizes.get(key, 0) + len(part) > BODY_B and key in self._open:
            self._close_open(key)
        held_nodes, held = self._open.setdefault(key, (set(), []))
        held_nodes.update(nodes)
        held.append(part)
        self._sizes[key] = self._sizes.get(key, 0) + len(part)

    def cut(self) -> None:
        """What is added from now on goes into other bodies."""
        for key in list(self._open):
            self._close_open(key)

    def take(self) -> list[tuple[str, bytes]]:
        """All bodies with their keys, in the order to be sent."""
        self.cut()
        closed, self._closed = self._closed, []
        return closed

    def _close_open(self, key: str) -> None:
        nodes, held = self._open.pop(key)
        del self._sizes[key]
        self._close(key, nodes, held, 0, 1)

    def _close(
        self, key: str, nodes: Iterable[str], held: list[bytes], index: int, count: int
    ) -> None:
        self._number += 1
        at = self._clock()
        head = [_BODY, PROTOCOL, self._node, self._epoch, self._number, index, count, at]
        body = b"".join(map(wire.frame, [wire.encode(head), *held]))
        self._closed.append((key, body))
        self._on_body(nodes)


class _Sender:
    """What came of one life of one node."""

    def __init__(self) -> None:
        self._ahead = float("inf")
        self.last = 0
        self._order: deque[int] = deque()
        self._seen: set[int] = set()
        self._half: OrderedDict[int, dict[int, bytes]] = OrderedDict()

    def late(self, sent_at: float, now: float) -> float:
        """How much longer this body took than the quickest one."""
        self._ahead = min(self._ahead, now - sent_at)
        return now - sent_at - self._ahead

    def again(self, number: int) -> bool:
        """Whether the body of this number was here before; it was from now on."""
        if number in self._seen:
            return True
        self._seen.add(number)
        self.last = max(self.last, number)
        self._order.append(number)
        if len(self._order) > SEEN_MAX:
            self._seen.discard(self._order.popleft())
        return False

    def part(self, number: int, index: int, count: int, part: bytes) -> list[list[Any]]:
        """Keep one part of a message; return the message when it is whole."""
        pieces = self._half.setdefault(number - index, {})
        pieces[index] = part
        if len(pieces) < count:
            while len(self._half) > HALF_MAX:
                self._half.popitem(last=False)
            return []
        del self._half[number - index]
        whole = wire.Messages()
        found = [whole.take(pieces[at]) for at in range(count) if at in pieces]
        if found[-1:] == [None] or not found:
            raise WireError("parts of a message that are none")
        return [message for message in found if message is not None]


class Unpacker:
    """Bodies in; messages with their senders out."""

    def __init__(self) -> None:
        self._senders: OrderedDict[tuple[str, int], _Sender] = OrderedDict()

    def take(self, body: bytes, now: float) -> Parcel:
        """What `body` brings; raises WireError for what is none."""
        frames = wire.Frames()
        head, *rest = frames.feed(body) or [b""]
        values = wire.decode(head)
        if frames.size() or not rest or values[0] != _BODY or len(values) < 3:
            raise WireError("a body that does not say whose it is")
        if values[1] != PROTOCOL:
            raise WireError(f"node {values[2]} speaks protocol {values[1]}, this one {PROTOCOL}")
        if [type(x) for x in values] != _HEAD:
            raise WireError("a body whose head is none")
        _, _, node, epoch, number, index, count, sent_at = values
        if not 0 <= index < count or (count > 1 and len(rest) != 1):
            raise WireError(f"a body of node {node} whose parts are none")
        sender = self._sender(node, epoch)
        late_s, overtaken = sender.late(sent_at, now), number < sender.last
        if sender.again(number):
            return Parcel(node, epoch, True, overtaken, late_s, [])
        if count > 1:
            found = sender.part(number, index, count, rest[0])
        else:
            found = [wire.decode(data) for data in rest]
        return Parcel(node, epoch, False, overtaken, late_s, found)

    def _sender(self, node: str, epoch: int) -> _Sender:
        known = self._senders.setdefault((node, epoch), _Sender())
        self._senders.move_to_end((node, epoch))
        while len(self._senders) > SENDERS_MAX:
            self._senders.popitem(last=False)
        return known
