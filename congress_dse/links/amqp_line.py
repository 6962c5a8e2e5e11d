"""One AMQP connection with one channel: opened within a deadline, kept by heartbeats, dropped.

Belongs to the thread that made it. A connection that is lost is dropped, never closed: to close
means to wait for a broker that may not be there.
"""

from contextlib import suppress
from time import monotonic
from typing import Any

from congress_dse.links.amqp_wire import Wire
from congress_dse.links.broker_state import BrokerLimits, Native
from congress_dse.links.broker_url import BrokerHost, BrokerURL


class Line:
    """A connection and its channel; `title` is what an operator sees of it at the broker."""

    def __init__(self, native: Native, url: BrokerURL, host: BrokerHost, title: str) -> None:
        self._native = native
        self.host, self.title = host, title
        self.wire = Wire(native, host, url.tls)
        self.blocked = False
        self.channel: Any = None
        self._vhost = url.vhost
        self._connection: Any = None

    def open(self, limits: BrokerLimits) -> None:
        """Connect, and open a channel; raises OSError or an error of py-amqp."""
        connection = self._native.amqp.Connection(
            host=str(self.host),
            userid=self.host.user,
            password=self.host.password,
            login_method="PLAIN",
            virtual_host=self._vhost,
            heartbeat=max(1, round(limits.heartbeat_s)),
            client_properties={"connection_name": self.title},
            on_blocked=self._on_blocked,
            on_unblocked=self._on_unblocked,
        )
        connection.Transport = lambda *_args, **_kwargs: self.wire
        self._connection = connection
        self.wire.deadline = monotonic() + limits.connect_s
        self.wire.connect()
        self.within(limits.handshake_s)
        connection.connect()
        self.channel = connection.channel()

    def has_queue(self, name: str) -> bool:
        """Whether the broker has a queue of this name."""
        channel = self._connection.channel()  # the broker closes it when there is none
        try:
            channel.queue_declare(name, passive=True)
        except self._native.exceptions.NotFound:
            return False
        channel.close()
        return True

    def within(self, limit_s: float) -> None:
        """Give what py-amqp waits for next so much time."""
        self.wire.deadline = monotonic() + limit_s

    def pump(self) -> None:
        """Handle all that came in; what it does is in the callbacks of the channel."""
        self.wire.fill()
        self.dispatch()

    def dispatch(self) -> None:
        """Handle the frames that are here."""
        frames, handle = self.wire.frames, self._connection.on_inbound_frame
        while frames:
            handle(frames.popleft())

    def beat(self, now: float) -> None:
        """Send a heartbeat when it is time; raises TimeoutError when the broker's do not come."""
        heartbeat_s = self._connection.heartbeat
        if not heartbeat_s:
            return
        if now - self.wire.received_at > 2 * heartbeat_s:
            raise TimeoutError(f"no heartbeat from {self.host} for {2 * heartbeat_s} s")
        if now - self.wire.sent_at > heartbeat_s / 2 and not self.wire.unsent_b:
            self._connection.send_heartbeat()

    def due(self) -> float:
        """When a heartbeat is to be sent or missed next."""
        heartbeat_s = self._connection.heartbeat or 3600.0
        if self.wire.unsent_b:
            return float(self.wire.received_at + 2 * heartbeat_s)
        sent_due, received_due = heartbeat_s / 2, 2 * heartbeat_s
        return float(min(self.wire.sent_at + sent_due, self.wire.received_at + received_due))

    def close(self, limit_s: float) -> None:
        """Say goodbye to a broker that is there; without an answer in time, drop it."""
        self.within(limit_s)
        with suppress(OSError, self._native.exceptions.AMQPError):
            self._connection.close()
        self.drop()

    def drop(self) -> None:
        """Let go at once."""
        connection, self._connection, self.channel = self._connection, None, None
        self.wire.close()
        if connection is not None and connection.channels is not None:
            connection.collect()

    def _on_blocked(self, _reason: str) -> None:
        self.blocked = True

    def _on_unblocked(self) -> None:
        self.blocked = False
