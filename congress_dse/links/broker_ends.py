"""The two ends of a link to a broker: one connection publishes, another one consumes.

They are apart because a broker that is short of memory stops reading from those that publish; an
acknowledgement on the same connection would not arrive, and its queues could never be emptied. The
exchange is a durable topic exchange. Each node has one queue, and it is

* durable, and not exclusive: what was confirmed outlives a lost connection, and a restart of the
  broker. (An exclusive queue vanishes with its connection, and with it hundreds of messages.)
* deleted when nobody has consumed from it for `queue_expires_s`, when its node stops in order, and
  when a node of its name starts: a new life asks for snapshots, and old bindings are not its own.
* bounded in messages and bytes, and drops its oldest: a slow node gets a gap, which makes it ask
  for a snapshot, and costs others nothing.
* consumed by priority of the newest connection: one that the network cut off, and that the broker
  has not missed yet, takes no further messages away. Those it has come again when it is missed.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from congress_dse.links.amqp_line import Line
from congress_dse.links.bindings import Bindings
from congress_dse.links.broker_state import BrokerLimits, Native
from congress_dse.links.outbox import Outbox

LOG = logging.getLogger(__name__)

PROBE = "probe"  # the type of a message that is ours, and not for the receiver
UNSENT_MAX_B = 262_144  # past this the network is the slower one, and there is no use in encoding
BINDINGS = 200  # in one turn: 0.1 to 0.4 s of the broker's
PERSISTENT = 2


class Ledger:
    """Which messages were handed up and not handled yet, over all connections."""

    def __init__(self, prefetch: int) -> None:
        self.prefetch = prefetch
        self._handed: deque[tuple[int, int]] = deque()  # number of the connection, delivery tag
        self._done = 0  # written by the receiver's thread alone
        self._settled = 0  # written by ours alone
        self.consumed = self.redelivered = self.failed = 0

    def handed(self, line: int, tag: int) -> None:
        self._handed.append((line, tag))
        self.consumed += 1

    def done(self, count: int) -> None:
        """So many more were handled, in the order they came; one thread at a time calls it."""
        self._done += count

    @property
    def unhandled(self) -> int:
        return max(0, self.consumed - self._handled())

    def room(self) -> bool:
        return self.unhandled < self.prefetch

    def settle(self, line: int) -> int | None:
        """Forget what was handled; the last tag of the connection `line` among it, or None."""
        tag = None
        handled = self._handled()
        while self._settled < handled and self._handed:
            whose, last = self._handed.popleft()
            self._settled += 1
            tag = last if whose == line else tag
        return tag

    def _handled(self) -> int:
        return self._done + self.failed  # whoever failed says nothing more


class Consumer:
    """The end that consumes: the node's queue, its bindings, and what is handed up of it."""

    def __init__(
        self,
        native: Native,
        line: Line,
        number: int,
        ledger: Ledger,
        on_message: Callable[[bytes, str], object],
        on_probe: Callable[[str], object],
    ) -> None:
        self.line, self._native, self._number = line, native, number
        self._ledger = ledger
        self._on_message, self._on_probe = on_message, on_probe
        self._held: deque[Any] = deque()  # came while the receiver had all that it may have
        self.exchange = self.queue = ""
        self.heard = False  # messages were delivered since the host looked

    def open(
        self, exchange: str, queue: str, limits: BrokerLimits, bindings: Bindings, first: bool
    ) -> bool:
        """Declare exchange and queue, bind, and consume; return whether the queue was lost."""
        self.exchange, self.queue = exchange, queue
        self.line.open(limits)
        channel = self.line.channel
        channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
        lost = False
        if first:
            channel.queue_delete(queue)
        else:
            lost = not self.line.has_queue(queue)
        arguments = {
            "x-expires": limits.queue_expires_s * 1000,
            "x-message-ttl": limits.message_ttl_s * 1000,
            "x-max-length": limits.queue_length,
            "x-max-length-bytes": limits.queue_size_b,
            "x-overflow": "drop-head",
        }
        channel.queue_declare(
            queue, durable=True, exclusive=False, auto_delete=False, arguments=arguments
        )
        bindings.anew()
        channel.basic_qos(0, self._ledger.prefetch, False)
        while self.bind(bindings, limits):
            self.line.beat(monotonic())
        channel.basic_consume(
            queue, callback=self._on_delivery, arguments={"x-priority": int(time.time() * 1000)}
        )
        return lost

    def bind(self, bindings: Bindings, limits: BrokerLimits) -> bool:
        """Bring some changed bindings to the broker; return whether there are more.

        All are asked for at once; a channel does its orders in turn, so the last answer is for all.
        """
        bind, unbind = bindings.changes(BINDINGS)
        if bind or unbind:
            channel = self.line.channel
            for key in unbind:
                channel.queue_unbind(self.queue, self.exchange, key, nowait=True)
            for key in bind:
                channel.queue_bind(self.queue, self.exchange, key, nowait=True)
            self.line.within(limits.handshake_s)
            channel.basic_qos(0, self._ledger.prefetch, False)
            bindings.settled()
        return bindings.changed

    def settle(self) -> None:
        """Acknowledge what was handled, and hand up what was held."""
        tag = self._ledger.settle(self._number)
        if tag is not None:
            self.line.channel.basic_ack(tag, multiple=True)
        while self._held and self._ledger.room():
            self._hand(self._held.popleft())

    def _on_delivery(self, message: Any) -> None:
        if message.properties.get("type") == PROBE:
            self.line.channel.basic_ack(message.delivery_info["delivery_tag"])
            self._on_probe(bytes(message.body).decode(errors="replace"))
            return
        self.heard = True
        if self._held or not self._ledger.room():
            self._held.append(message)
        else:
            self._hand(message)

    def _hand(self, message: Any) -> None:
        info, body = message.delivery_info, message.body
        self._ledger.handed(self._number, info["delivery_tag"])
        self._ledger.redelivered += bool(info["redelivered"])
        try:
            self._on_message(
                body if isinstance(body, bytes) else body.encode(), info["routing_key"]
            )
        except Exception:
            LOG.exception("%s: the receiver of messages failed", self.line.title)
            self._ledger.failed += 1


class Publisher:
    """The end that publishes: a window of unconfirmed messages over the outbox."""

    def __init__(self, native: Native, line: Line, outbox: Outbox) -> None:
        self.line, self._native = line, native
        self._outbox = outbox
        self._probes: set[int] = set()  # tags
        self.exchange = ""
        self.window = 0
        self.published = self.nacked = 0
        self.progress_at = 0.0  # the last confirm, or when the first unconfirmed one was sent
        self.probe_taken = False

    def open(self, exchange: str, limits: BrokerLimits) -> None:
        self.exchange, self.window = exchange, limits.window
        self.line.open(limits)
        channel = self.line.channel
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def publish(self, at_most: int) -> None:
        """Send as many as the window and the network take."""
        while at_most > 0 and self.may_send():
            at_most -= 1
            self._note_progress()
            message = self._outbox.take()
            assert message is not None, "no more than wait are asked for"
            self._send(*message, delivery_mode=PERSISTENT)
            self.published += 1

    def may_send(self) -> bool:
        """Whether there is something to send, and the broker and the network would take it."""
        free = not self.line.blocked and self._outbox.unconfirmed < self.window
        return bool(free and self._outbox.waiting and self.line.wire.unsent_b <= UNSENT_MAX_B)

    def probe(self, key: str, body: str, limit_s: float) -> None:
        """Send a probe, before all that waits."""
        self._note_progress()
        self._probes.add(self._outbox.pass_by())
        self.probe_taken = False
        expiration = str(int(limit_s * 1000))
        self._send(key, body.encode(), mandatory=True, type=PROBE, expiration=expiration)

    def overdue(self, now: float, limit_s: float) -> bool:
        """Whether confirms are due and none comes."""
        waits = self._outbox.unconfirmed and not self.line.blocked
        return bool(waits and now - self.progress_at > limit_s)

    def _send(self, key: str, body: bytes, mandatory: bool = False, **properties: Any) -> None:
        # Not basic_publish: that one reads first, and may spin on half a frame.
        self.line.channel.send_method(
            self._native.spec.Basic.Publish,
            "Bssbb",
            (0, self.exchange, key, mandatory, False),
            self._native.amqp.Message(body, **properties),
        )

    def _note_progress(self) -> None:
        if not self._outbox.unconfirmed:
            self.progress_at = monotonic()

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self.progress_at = monotonic()
        self._outbox.confirm(tag, multiple)
        if self._probes and (tag in self._probes or (multiple and min(self._probes) <= tag)):
            self._probes = {probe for probe in self._probes if probe > tag}
            self.probe_taken = True

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self.progress_at = monotonic()
        self.nacked += 1
        self._outbox.refuse(tag, multiple)

    def _on_return(self, error: Any, _exchange: str, key: str, _message: Any) -> None:
        # Probes alone are mandatory.
        raise ConnectionAbortedError(f"the node's queue is bound no more to {key!r}: {error}")
