"""A link to RabbitMQ: messages by routing key to and from all nodes of one bus, at least once.

It lives in a native thread of its own, so its heartbeats and its probes do not wait for the hub of
the process. It needs no runtime: it is given the way to import unpatched modules, its callbacks are
called in its own thread, and its methods may be called from any.

* What `publish` takes in is sent at least once, in order: what the broker had not confirmed when a
  connection was lost is sent again over the next. Who receives drops what comes twice.
* A binding stands before anything that is published after it is sent.
* At most `prefetch` messages are handed up before `done` says that they were handled.
* It is ``up`` when consumption is proven: a probe came back through exchange and queue, or the
  broker has taken one and delivers what was in the queue before it.
"""

import logging
import random
import uuid
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from congress_dse import exceptions
from congress_dse.links.amqp_wire import tls_context
from congress_dse.links.bindings import KEY_MAX_B, Bindings
from congress_dse.links.broker_ends import Ledger
from congress_dse.links.broker_session import Context, Session, Wake
from congress_dse.links.broker_state import (
    BrokerLimits,
    BrokerState,
    BrokerStatistics,
    Native,
    Unpatched,
)
from congress_dse.links.broker_url import BrokerHost, BrokerURL
from congress_dse.links.outbox import Outbox

LOG = logging.getLogger(__name__)

EXCHANGE = "congress_dse"
BODY_MAX_B = 16_000_000  # RabbitMQ 4 takes 16 MiB
FIRST_S = 0.05  # the wait after the first loss; doubled each time
STEADY_S = 5.0  # a connection that was proven for so long has earned a fast return


class Broker:
    """One node's link. `name` is the node's on this bus, and no other node's."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        unpatched: Unpatched,
        on_message: Callable[[bytes, str], object],
        on_state: Callable[[BrokerState], object],
        on_room: Callable[[], object] = lambda: None,
        exchange: str = EXCHANGE,
        limits: BrokerLimits | None = None,
    ) -> None:
        limits = limits or BrokerLimits()
        native = Native(unpatched)
        lock = native.threading.Lock
        self.url = BrokerURL.parse(url)
        _check_tls(native, self.url)
        self.name = name
        self._on_state = on_state
        self._context = Context(
            name=_checked(name),
            instance=uuid.uuid4().hex,
            exchange=_checked(exchange),
            url=self.url,
            limits=limits,
            native=native,
            outbox=Outbox(lock(), limits.outbox, limits.outbox_b),
            bindings=Bindings(lock()),
            ledger=Ledger(limits.prefetch),
            wake=Wake(native),
            on_message=on_message,
            on_state=self._enter,
            on_room=on_room,
        )
        self._thread = native.threading.Thread(
            target=self._run, name=f"broker of {name}", daemon=True
        )
        self._state, self._since = BrokerState.CONNECTING, monotonic()
        self._session: Session | None = None
        self._sessions = self._proven = 0
        self._host: BrokerHost = self.url.hosts[0]
        self._last_error = ""
        self._published = self._nacked = self._resent = 0

    def start(self) -> None:
        """Connect, and stay so, in a thread of its own."""
        self._thread.start()

    def close(self, deadline_s: float) -> None:
        """Have what was published sent within `deadline_s`, leave, end; it does not wait.

        The last state, ``closed``, says that it is done.
        """
        self._context.closing_at = monotonic() + deadline_s
        if self._thread.ident is None:
            self._end()
        else:
            self._context.wake()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait natively, so never in a hub, for the end; return whether it has come."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def publish(self, routing_key: str, body: bytes) -> bool:
        """Take `body` in for all whose bindings match; never waits.

        False when the outbox is full: nothing was taken; `on_room` is called when there is room.
        Raises InvalidKey, and MessageTooLarge past what a broker takes.
        """
        _checked(routing_key)
        if len(body) > BODY_MAX_B:
            raise exceptions.MessageTooLarge(
                f"a message to {routing_key!r} has {len(body)} bytes; {BODY_MAX_B} are allowed"
            )
        taken = self._context.outbox.put(routing_key, body)
        self._context.wake()
        return taken

    def bind(self, routing_key: str) -> None:
        """Have what is published to the key, with ``*`` and ``#``, handed up here."""
        self._context.bindings.bind(_checked(routing_key))
        self._context.wake()

    def unbind(self, routing_key: str) -> None:
        """Undo `bind`."""
        self._context.bindings.unbind(routing_key)
        self._context.wake()

    def done(self, count: int = 1) -> None:
        """The `count` oldest messages that were handed up are handled; one thread calls it."""
        self._context.ledger.done(count)
        self._context.wake()

    @property
    def state(self) -> BrokerState:
        return self._state

    def statistics(self) -> BrokerStatistics:
        """A snapshot; from any thread."""
        now, context, session = monotonic(), self._context, self._session
        outbox, ledger = context.outbox, context.ledger
        probe = None if session is None else session.probe
        back_at = None if probe is None else probe.back_at
        current = None if session is None else session.publisher
        return BrokerStatistics(
            name=self.name,
            state=self._state,
            since_s=now - self._since,
            host=str(self._host),
            url=str(self.url),
            reconnects=max(0, self._proven - 1),
            last_error=self._last_error,
            published=self._published + (current.published if current else 0),
            refused=outbox.refused,
            confirmed=outbox.confirmed,
            resent=self._resent,
            nacked=self._nacked + (current.nacked if current else 0),
            consumed=ledger.consumed,
            redelivered=ledger.redelivered,
            failed=ledger.failed,
            outbox=outbox.depth,
            outbox_b=outbox.size_b,
            unconfirmed=outbox.unconfirmed,
            unhandled=ledger.unhandled,
            queues_lost=context.queues_lost,
            bindings=len(context.bindings),
            proof=probe.proof if probe else "",
            probe_s=probe.round_trip_s if probe else None,
            probe_age_s=None if back_at is None else now - back_at,
        )

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            self._end()

    def _end(self) -> None:
        left = self._context.outbox.depth
        if left:
            LOG.warning("%s: closed with %d messages that were not confirmed", self.name, left)
        self._context.wake.close()
        self._enter(BrokerState.CLOSED)

    def _serve(self) -> None:
        failures = at = 0
        while True:
            host = self.url.hosts[at % len(self.url.hosts)]
            steady = self._one_session(host)
            if self._context.closing_at is not None:
                return
            failures = 1 if steady else failures + 1
            if not steady:
                at += 1
            if not at % len(self.url.hosts) and self._rest(failures // len(self.url.hosts)):
                return

    def _one_session(self, host: BrokerHost) -> bool:
        """Serve over one connection until it is lost; return whether it was a good one."""
        self._sessions += 1
        self._host = host
        session = self._session = Session(self._context, host, self._sessions)
        begun = monotonic()
        try:
            session.open()
            session.run()
        except Exception as error:  # what a broken peer sends may raise anything in a parser
            self._lost(host, error)
        finally:
            self._published += session.publisher.published
            self._nacked += session.publisher.nacked
            self._session = None
            self._resent += session.drop()
        return session.probe.proven and monotonic() - begun > STEADY_S

    def _lost(self, host: BrokerHost, error: Exception) -> None:
        text = f"{host}: {describe(error)}"
        known = isinstance(error, OSError | self._context.native.exceptions.AMQPError)
        # The first of its kind is told; what follows is the same trouble.
        level = logging.WARNING if text != self._last_error or self._was_good() else logging.DEBUG
        LOG.log(level, "%s: no broker: %s", self.name, text, exc_info=None if known else error)
        self._last_error = text
        self._enter(BrokerState.DOWN)

    def _was_good(self) -> bool:
        return self._state in {BrokerState.UP, BrokerState.BLOCKED}

    def _rest(self, failures: int) -> bool:
        """Wait before another round; return whether the link is closing."""
        longest_s = min(self._context.limits.backoff_s, FIRST_S * 2 ** min(failures, 16))
        end = monotonic() + random.uniform(0.5, 1.0) * longest_s  # noqa: S311 - no secret
        native, wake = self._context.native, self._context.wake
        with native.Selector() as selector:
            selector.register(wake.sock, native.selectors.EVENT_READ)
            while self._context.closing_at is None and (left_s := end - monotonic()) > 0:
                if selector.select(left_s):
                    wake.clear()
        return self._context.closing_at is not None

    def _enter(self, state: BrokerState) -> None:
        """Tell a change of state, once."""
        before, since = self._state, self._since
        if state is before or before is BrokerState.CLOSED:
            return
        self._state, self._since = state, monotonic()
        if state is BrokerState.UP:
            self._proven += before is not BrokerState.BLOCKED
            LOG.info("%s: broker %s up after %.1f s", self.name, self._host, self._since - since)
        elif state is BrokerState.BLOCKED:
            LOG.warning(
                "%s: broker %s takes no messages: it is short of memory or disk",
                self.name,
                self._host,
            )
        with suppress(Exception):
            self._on_state(state)


def describe(error: BaseException) -> str:
    """The cause in one line; AMQP's own words where there are some."""
    code, text = getattr(error, "reply_code", None), getattr(error, "reply_text", None)
    if code and text:
        return f"{code} {text}"
    return str(error) or type(error).__name__


def _check_tls(native: Native, url: BrokerURL) -> None:
    try:
        if url.tls is not None:
            tls_context(native, url.tls)
    except OSError as error:
        raise exceptions.ConfigError(
            f"transport_url: {url.tls} cannot be used: {describe(error)}"
        ) from error


def _checked(routing_key: str) -> str:
    if len(routing_key.encode()) > KEY_MAX_B:
        raise exceptions.InvalidKey(
            f"{routing_key[:60]!r}... is no routing key: it is longer than {KEY_MAX_B} bytes"
        )
    return routing_key
