"""One life of the connections to a broker, from the first byte to the loss: a loop, one thread."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from congress_dse.links.amqp_line import Line
from congress_dse.links.bindings import Bindings
from congress_dse.links.broker_ends import Consumer, Ledger, Publisher
from congress_dse.links.broker_state import BrokerLimits, BrokerState, Native
from congress_dse.links.broker_url import BrokerHost, BrokerURL
from congress_dse.links.outbox import Outbox
from congress_dse.links.probe import Probe

LOG = logging.getLogger(__name__)

PROBE_KEY = "_probe."  # before the name of a node


class Wake:
    """Wakes the thread that waits in a selector; any thread calls it."""

    def __init__(self, native: Native) -> None:
        self.sock, self._write = native.socket.socketpair()
        self.sock.setblocking(False)
        self._write.setblocking(False)
        self._awake = False

    def __call__(self) -> None:
        if not self._awake:
            self._awake = True
            with suppress(OSError):  # closed: there is nobody to wake
                self._write.send(b"\0")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            self.sock.recv(4096)
        self._awake = False

    def close(self) -> None:
        self.sock.close()
        self._write.close()


@dataclass
class Context:
    """What outlives the connections, and belongs to the link as a whole."""

    name: str
    instance: str  # of this life of the node
    exchange: str
    url: BrokerURL
    limits: BrokerLimits
    native: Native
    outbox: Outbox
    bindings: Bindings
    ledger: Ledger
    wake: Wake
    on_message: Callable[[bytes, str], object]
    on_state: Callable[[BrokerState], object]
    on_room: Callable[[], object]
    closing_at: float | None = None  # stop by then
    fresh: bool = True  # the queue is not yet of this life
    queues_lost: int = 0

    @property
    def queue(self) -> str:
        return f"{self.exchange}.{self.name}"

    @property
    def probe_key(self) -> str:
        return PROBE_KEY + self.name


class Session:
    """Two connections to one host; whatever it raises, it is over, and another one is made."""

    def __init__(self, context: Context, host: BrokerHost, number: int) -> None:
        self._context, self.host = context, host
        native, limits = context.native, context.limits
        self.probe = Probe(limits.probe_s, limits.probe_limit_s)
        lines = [
            Line(native, context.url, host, f"{context.name} {what}")
            for what in ("consumes", "publishes")
        ]
        self.consumer = Consumer(
            native, lines[0], number, context.ledger, context.on_message, self._on_probe
        )
        self.publisher = Publisher(native, lines[1], context.outbox)
        self._lines = lines
        self._number = number
        self._clash = False
        for line in lines:
            line.wire.closing_at = lambda: context.closing_at

    def open(self) -> None:
        """Connect, declare, bind, consume; nothing is proven yet."""
        context = self._context
        context.bindings.bind(context.probe_key)
        context.queues_lost += self.consumer.open(
            context.exchange, context.queue, context.limits, context.bindings, context.fresh
        )
        context.fresh = False
        self.publisher.open(context.exchange, context.limits)

    def run(self) -> None:
        """Serve until the link is closing and all is said; raises when the connection is lost."""
        selectors = self._context.native.selectors
        with self._context.native.Selector() as selector:
            selector.register(self._context.wake.sock, selectors.EVENT_READ)
            for line in self._lines:
                line.dispatch()
                selector.register(line.wire.sock, selectors.EVENT_READ, line)
            while not self._finished(monotonic()):
                wait_s = self._turn(monotonic())
                for line in self._lines:
                    selector.modify(line.wire.sock, line.wire.events(), line)
                self._take_in(selector.select(wait_s))
        self._say_goodbye()

    def drop(self) -> int:
        """Let go of both connections at once; return how many unconfirmed are to be sent again."""
        for line in self._lines:
            line.drop()
        return self._context.outbox.lost()

    def _turn(self, now: float) -> float:
        """Do all that can be done now; return how long nothing else will be due."""
        context, limits = self._context, self._context.limits
        self.consumer.settle()
        # What is published from now on may count on bindings that this turn does not make.
        waiting = context.outbox.waiting
        binding = self.consumer.bind(context.bindings, limits)
        blocked = self.publisher.line.blocked
        if blocked or not context.ledger.room():
            self.probe.rest(now)
        if self.probe.wants(now) and not blocked:
            self.probe.sent(now)
            body = f"{context.instance} {self._number} {self.probe.number}"
            self.publisher.probe(context.probe_key, body, limits.probe_limit_s)
        self.publisher.publish(0 if binding else waiting)
        for line in self._lines:
            line.beat(now)
            line.wire.flush()
        if context.outbox.has_room():
            context.on_room()
        self._check(now)
        if binding or self.publisher.may_send():
            return 0.0
        due = min(line.due() for line in self._lines)
        if not blocked:
            due = min(due, self.probe.due())
        return max(0.0, min(due, context.closing_at or due) - monotonic())

    def _take_in(self, ready: list[tuple[Any, int]]) -> None:
        for key, _events in ready:
            if key.data is None:
                self._context.wake.clear()
            else:
                key.data.pump()
        now = monotonic()
        if self.publisher.probe_taken:
            self.probe.taken()
        if self.consumer.heard:
            self.consumer.heard = False
            self.probe.heard(now)
        if self.publisher.line.blocked:
            self._context.on_state(BrokerState.BLOCKED)
        elif self.probe.proven:
            self._context.on_state(BrokerState.UP)

    def _check(self, now: float) -> None:
        limits = self._context.limits
        if self.probe.overdue(now):
            raise TimeoutError(f"no probe came back within {limits.probe_limit_s:g} s")
        if self.publisher.overdue(now, limits.confirm_limit_s):
            raise TimeoutError(f"nothing was confirmed within {limits.confirm_limit_s:g} s")

    def _on_probe(self, text: str) -> None:
        instance, _, number = text.partition(" ")
        if instance == self._context.instance:
            session, _, probe = number.partition(" ")
            if session == str(self._number) and probe.isdigit():
                self.probe.back(
                    int(probe), monotonic()
                )  # one of an older connection proves nothing
        elif not self._clash:
            self._clash = True
            LOG.error(
                "%s: another node has the same name, and both consume from the queue %s; "
                "give one of them another name",
                self._context.name,
                self._context.queue,
            )

    def _finished(self, now: float) -> bool:
        closing_at = self._context.closing_at
        if closing_at is None:
            return False
        return now >= closing_at or not self._context.outbox.depth

    def _say_goodbye(self) -> None:
        """The node is gone: so is its queue."""
        closing_at = self._context.closing_at or monotonic()
        for line in self._lines:
            line.wire.closing_at = lambda: None
        left_s = min(max(closing_at - monotonic(), 0.2), 2.0)
        consumes, publishes = self._lines
        consumes.within(left_s)
        consumes.channel.queue_delete(self._context.queue, nowait=True)
        consumes.close(left_s)
        publishes.close(left_s)
