"""Rabbit: the cages of many hosts as one bus, over a RabbitMQ.

One link, and one bridge, for all nodes behind the broker. What is for one node goes to its own
routing key; what several follow goes out once, to the topic of the subscription, and the broker
brings it to those who have bound it. Who follows binds before it says so. Nodes that this cage has
a nearer link to are left to that.

The broker is spoken with by a native thread. What it hands up is handled in the bridge's own turn,
and said to be handled then; so a bridge that is slow leaves the rest at the broker.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Iterable
from typing import Any

from congress_dse.exceptions import ConfigError, NoSuchService, WireError
from congress_dse.links import wire
from congress_dse.links.bridge import Bridge
from congress_dse.links.broker import EXCHANGE, Broker
from congress_dse.links.broker_session import Wake
from congress_dse.links.broker_state import BrokerLimits, BrokerState, Native
from congress_dse.links.parcels import Packer, Parcel, Unpacker
from congress_dse.links.roll import BEACON_S, ELSEWHERE, HERE, NOWHERE, Roll
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)

NAME = "link.rabbit"
BEACON, NODE, TOPIC = "beacon", "node.", "topic."  # routing keys, or what they begin with
NODE_MAX_B = 200  # of a node's name: it is part of a routing key
# A body has up to 64 KB, a part of a large message 256 KB; so at most 25 MB wait to be handled.
LIMITS = BrokerLimits(
    prefetch=100, outbox=20_000, outbox_b=16 << 20, message_ttl_s=120, queue_expires_s=120
)
BATCH = 50  # bodies handled in one turn of the bridge
WAITING_B = 8 * 1024 * 1024  # above the broker's outbox; past this, updates are dropped
LINGER_S = 10.0  # a topic's binding outlives its last follower, until its publishers know
CLOSE_S = 3.0
STUCK_S = 5.0  # what was handed up is not handled
SLACK_S = 0.5  # for a probe to come back
GARBAGE_S = 60.0  # between two words of log about bodies that are none


class Rabbit:
    """One cage's place on a bus of a broker; a `Transport` of its bridge. Serves until `close`.

    `url` is OpenStack's ``transport_url``. Raises ConfigError for one that is none, and for a node
    whose name cannot be part of a routing key.
    """

    def __init__(
        self, cage: Any, url: str, exchange: str = EXCHANGE, limits: BrokerLimits = LIMITS
    ) -> None:
        self._cage = cage
        self.node, self.epoch = cage.bus.node, cage.bus.epoch
        self._here = _checked(self.node)
        self._probe_s = limits.probe_s
        self._wake = Wake(Native(runtime.unpatched))
        self._came: deque[tuple[bytes, str]] = deque()
        self._entered: deque[BrokerState] = deque()
        self._room = self._full = False
        self._queues_lost = 0
        self._handing_since: float | None = None
        self.broker = Broker(
            url,
            name=self.node,
            unpatched=runtime.unpatched,
            on_message=self._on_message,
            on_state=self._on_state,
            on_room=self._on_room,
            exchange=exchange,
            limits=limits,
        )
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_b = self._sent_b = self._received_b = 0
        self._flushing = False
        self._topics: dict[str, float | None] = {}  # when those nobody follows are to be unbound
        self._beat_at = runtime.now()
        self._garbage = 0
        self._garbage_told = -GARBAGE_S
        self._unpacker = Unpacker()
        self.bridge: Bridge = cage.createservice(NAME, factory=Bridge, args={"transport": self})
        self._packer = Packer(self.node, self.epoch, self._count, runtime.now)
        joined, left = self.bridge.joined, self.bridge.left
        self.roll = Roll(
            self.node, self.epoch, self._say, joined, left, self._place, self._packer.cut
        )
        self.ended = ""
        for key in (BEACON, self._here):
            self.broker.bind(key)
        self._closed = runtime.Waiter()
        self._thread = runtime.spawn(self._run)
        self.broker.start()
        self.bridge.do(self._beat)

    def close(self) -> None:
        """Say goodbye, and end."""
        if not self.ended:
            done = runtime.Waiter()
            self.bridge.do(lambda: self._leave(done))
            done.wait(CLOSE_S)
        self.end("this node is stopping")
        self._closed.wait(2 * CLOSE_S)
        self._thread.kill()
        self._wake.close()
        with contextlib.suppress(NoSuchService):
            self._cage.deleteservice(NAME)

    # The transport of the bridge; in its own turn.

    def send(self, nodes: Iterable[str], topic: str, parts: list[bytes], can_wait: bool) -> bool:
        """Take a message; see `Transport`."""
        if can_wait and self._waiting_b > WAITING_B:
            self._full = True
            return False
        receivers = list(nodes)
        if topic and len(receivers) > 1:
            self._packer.add(TOPIC + topic, receivers, parts, direct=False)
        else:
            for node in receivers:
                self._packer.add(NODE + node, [node], parts, direct=True)
        self._soon()
        return True

    def follow(self, topic: str, yes: bool) -> None:
        """Bind a topic, or let it go; what is sent after it counts on it."""
        if yes:
            self._topics[topic] = None
            self.broker.bind(TOPIC + topic)
        elif topic in self._topics:
            self._topics[topic] = runtime.now() + LINGER_S

    def end(self, why: str) -> None:
        """Leave the bus."""
        if not self.ended:
            self.ended = why
            self.broker.close(CLOSE_S if self.broker.state is BrokerState.UP else 0.0)

    def ready(self) -> bool:
        """Whether this node consumes, is heard, and keeps up."""
        stuck_s = 0.0 if self._handing_since is None else runtime.now() - self._handing_since
        return self.broker.state is BrokerState.UP and stuck_s < STUCK_S

    def statistics(self) -> dict[str, Any]:
        """What an operator wants to know of the link; ages in seconds, sizes in bytes."""
        now, broker = runtime.now(), self.broker.statistics()
        heard_s = {node: now - met.heard for node, met in dict(self.roll.meetings).items()}
        return {
            "kind": "rabbit",
            "state": str(broker.state),
            "ready": self.ready(),
            "error": self.ended or ("" if self.ready() else broker.last_error),
            "since_s": broker.since_s,
            "host": broker.host,
            "url": broker.url,
            "reconnects": broker.reconnects,
            "proof": broker.proof,
            "probe_s": broker.probe_s,
            "probe_age_s": broker.probe_age_s,
            "heard_s": min(heard_s.values(), default=None),
            "nodes_heard_s": heard_s,
            "sent_b": self._sent_b,
            "received_b": self._received_b,
            "waiting_b": self._waiting_b + broker.outbox_b,
            "waiting": len(self._waiting) + broker.outbox,
            "unconfirmed": broker.unconfirmed,
            "unhandled": broker.unhandled,
            "bindings": broker.bindings,
            "published": broker.published,
            "resent": broker.resent,
            "consumed": broker.consumed,
            "redelivered": broker.redelivered,
            "garbage": self._garbage,
            "clash": bool(self.roll.clash),
        }

    # What the broker's thread calls.

    def _on_message(self, body: bytes, key: str) -> None:
        self._came.append((body, key))
        self._wake()

    def _on_state(self, state: BrokerState) -> None:
        self._entered.append(state)
        self._wake()

    def _on_room(self) -> None:
        self._room = True
        self._wake()

    # Between that thread and the bridge.

    def _run(self) -> None:
        state = BrokerState.CONNECTING
        while state is not BrokerState.CLOSED:
            runtime.wait_io(self._wake.sock)
            self._wake.clear()
            while self._entered:
                state = self._entered.popleft()
                if state is BrokerState.UP:
                    self.bridge.do(self._up)
            if self._room:
                self._room = False
                self.bridge.do(self._feed)
            while self._came:
                self._hand()
        self._closed.send()

    def _hand(self) -> None:
        """Have the bridge handle some of what came, and wait until it has."""
        batch = [self._came.popleft() for _ in range(min(BATCH, len(self._came)))]
        handled = runtime.Waiter()
        self._handing_since = runtime.now()
        self.bridge.do(lambda: self._handle(batch, handled))
        handled.wait()
        self._handing_since = None
        self.broker.done(len(batch))

    # In the bridge's own turn.

    def _handle(self, batch: list[tuple[bytes, str]], handled: runtime.Waiter) -> None:
        try:
            for body, key in batch:
                self._take(body, key)
        finally:
            handled.send()

    def _take(self, body: bytes, key: str) -> None:
        now = runtime.now()
        self._received_b += len(body)
        try:
            parcel = self._unpacker.take(body, now)
        except WireError as error:
            self._waste(key, error, now)
            return
        counted = key != BEACON
        if parcel.again or not self.roll.came(parcel.node, parcel.epoch, now, counted):
            return
        if not key.startswith(TOPIC) or self._topics.get(key.removeprefix(TOPIC), 0.0) is None:
            self._understand(parcel, now)
        # Else it is of one who does not know yet that nobody follows it here any more.

    def _understand(self, parcel: Parcel, now: float) -> None:
        node, epoch = parcel.node, parcel.epoch
        try:
            for message in parcel.messages:
                if parcel.overtaken and message[0] in _ORDERED:
                    self.roll.doubt(node)
                elif message[0] in _ROLL:
                    self.roll.take(node, epoch, message, now)
                elif self._place(node) == HERE:
                    self.bridge.arrived(node, message, parcel.late_s)
        except WireError as error:
            LOG.warning("%s: node %s is left out for what it sent: %s", NAME, node, error)
            self.roll.shun(node, epoch, f"what it sent is none: {error}")
        if self.roll.clash:
            self._clash(self.roll.clash)

    def _waste(self, key: str, error: WireError, now: float) -> None:
        self._garbage += 1
        if now - self._garbage_told >= GARBAGE_S:
            self._garbage_told = now
            LOG.warning("%s: a body at %s is none of ours: %s", NAME, key, error)

    def _clash(self, epoch: int) -> None:
        """Another node has our name; both take from one queue. The younger one leaves."""
        if self.ended:
            return
        text = f"another node is named {self.node!r}, too: each needs a name of its own on a bus"
        younger = epoch < self.epoch
        LOG.error("%s: %s; %s", NAME, text, "this one leaves" if younger else "it is to leave")
        self._cage.bus.directory.clashes[self.node] = text
        if younger:
            for node in list(self.roll.meetings):
                self.bridge.left(node, text)
            self.end(text)
        self.roll.clash = 0

    def _say(self, node: str, message: list[Any]) -> None:
        """Say something of the roll to one node, or to all."""
        data = [wire.encode(message)]
        if node:
            self._packer.add(NODE + node, [node], data, direct=True)
        else:
            self._packer.cut()
            self._packer.add(BEACON, (), data, direct=True)
        self._soon()

    def _count(self, nodes: Iterable[str]) -> None:
        self.roll.sent(nodes)

    def _place(self, node: str) -> str:
        known = self._cage.bus.directory.nodes.get(node)
        if known is None:
            return NOWHERE
        return HERE if known.link == NAME else ELSEWHERE

    def _beat(self) -> None:
        """Say that we are here, and see who is."""
        now = runtime.now()
        if self.ended:
            return
        self.bridge.after(BEACON_S, self._beat)
        up = self.broker.state is BrokerState.UP
        if not up or now - self._beat_at > 2 * BEACON_S or not self._hears():
            self.roll.grace(now)
        self._beat_at = now
        if up:
            self.roll.tick(now)
            self._beacon()
        for topic, until in list(self._topics.items()):
            if until is not None and until <= now:
                del self._topics[topic]
                self.broker.unbind(TOPIC + topic)

    def _hears(self) -> bool:
        """Whether our own probe came back lately: who is cut off must not judge others."""
        age_s = self.broker.statistics().probe_age_s
        return age_s is not None and age_s < 2 * self._probe_s + SLACK_S

    def _up(self) -> None:
        """Consumption is proven, perhaps again."""
        if not self.ended:
            now, lost = runtime.now(), self.broker.statistics().queues_lost
            self.roll.grace(now)
            if lost != self._queues_lost:
                self._queues_lost = lost
                self.roll.renew(now, "our queue at the broker was lost")
            self._beacon()

    def _beacon(self) -> None:
        self._packer.cut()
        self._say("", self.roll.beacon(len(self._cage.bus.announced)))

    def _leave(self, done: runtime.Waiter) -> None:
        self._say("", ["bye"])
        self._flush()
        done.send()

    def _soon(self) -> None:
        """Send in a moment: what else this turn has to say goes along."""
        if not self._flushing:
            self._flushing = True
            runtime.call_later(0, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        for key, body in self._packer.take():
            self._waiting.append((key, body))
            self._waiting_b += len(body)
        self._feed()

    def _feed(self) -> None:
        """Give the broker's outbox what it takes."""
        while self._waiting and self.broker.publish(*self._waiting[0]):
            _, body = self._waiting.popleft()
            self._waiting_b -= len(body)
            self._sent_b += len(body)
        if self._full and self._waiting_b < WAITING_B // 2:
            self._full = False
            self.bridge.do(self.bridge.room)


_ROLL = frozenset({"beacon", "hello", "bye"})
_ORDERED = _ROLL | {"routes", "route", "sub", "unsub"}  # of these the last one holds


def _checked(node: str) -> str:
    """The routing key of a node; raises ConfigError where its name cannot be one."""
    if set(node) & set("*# \t\n") or len(node.encode()) > NODE_MAX_B:
        raise ConfigError(
            f"[links] node: {node!r} cannot be a node's name on a bus of RabbitMQ: "
            f"it has no '*', '#' or space, and {NODE_MAX_B} bytes at most"
        )
    return NODE + node
