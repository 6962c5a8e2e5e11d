"""An HTTP server of greenthreads, the same in every runtime, with limits and an end.

Each connection has a greenthread, which reads a request, has it answered, and reads the next. A
request has one deadline from its first byte to the last of its body, so a client that dribbles is
cut off; the deadlines of all connections share one timer. What is no request is answered by the
application, too: `refusal` of the limits makes the answer. At the end the server accepts no more,
tells each connection with its next answer, and closes those that stay silent.
"""

import contextlib
import logging
import ssl
from collections.abc import Callable, Iterator
from time import monotonic, time
from typing import Any

from congress_dse.runtime import chosen as runtime
from congress_dse.runtime.clients import LINGER_S, Client, Limits, let_go, make_room
from congress_dse.runtime.http1 import CONTINUE, Asked, BadRequest, Inbound, date, opening
from congress_dse.runtime.line import Line, TlsLine, without_delay

LOG = logging.getLogger(__name__)

NEVER = float("inf")
LOOK_S = 0.02
CUT_S = 1.0  # in which a connection that was cut off has ended
AGAIN_S = 0.05  # after a connection could not be accepted: for want of files, most often

# Status, headers by names in lower case, and the body: all of it, or its parts as they are made.
# An iterator is closed at the end, where it can be.
Answer = tuple[int, dict[str, str], bytes | Iterator[bytes]]
Application = Callable[[Asked], Answer]


class Server:
    """Serves one listening socket; `connections` are the open ones."""

    def __init__(
        self,
        listener: Any,
        application: Application,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        listener.setblocking(False)
        self.connections: dict[Connection, Connection] = {}
        self.draining = False
        self.application = application
        self.limits = limits
        self.tls = tls
        self._listener = listener
        self._acceptor: Any = None
        self._room: Any = None
        self._alarm: Any = None
        self._alarm_at = NEVER

    def start(self) -> None:
        """Accept from now on."""
        self._acceptor = runtime.spawn(self._accept)

    def stop(self, drain_s: float) -> int:
        """Accept no more, answer what is in hand; how many connections had to be cut off."""
        self.draining = True
        if self._acceptor is not None:
            self._acceptor.kill()
        end = monotonic() + drain_s
        while self.connections and monotonic() < end:
            let_go(self.connections, end)
            runtime.sleep(LOOK_S)
        late = list(self.connections.values())
        for connection in late:
            connection.end()
        end = monotonic() + CUT_S
        while self.connections and monotonic() < end:
            runtime.sleep(LOOK_S)
        if self._alarm is not None:
            self._alarm.cancel()
        return len(late)

    def expect(self, connection: "Connection", within_s: float) -> float:
        """Have a connection told when `within_s` are over, unless it waits no more; return now."""
        now = monotonic()
        connection.until = until = now + within_s
        if until < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at = until
            self._alarm = runtime.call_later(within_s, self._ring)
        return now

    def over(self, connection: "Connection") -> None:
        """A connection has ended."""
        del self.connections[connection]
        if self._room is not None:
            self._room.send()

    def _ring(self) -> None:
        """Tell those whose time is over; the next alarm is for the next of them."""
        self._alarm, self._alarm_at = None, NEVER
        now = monotonic()
        for connection in list(self.connections):
            if connection.until <= now:
                connection.late()
        left = min((c.until for c in self.connections if c.until > now), default=NEVER)
        if left != NEVER:
            self._alarm_at = left
            self._alarm = runtime.call_later(left - now, self._ring)

    def _accept(self) -> None:
        listener = self._listener
        while True:
            # One at a time: the other workers on this socket are to have their share.
            runtime.wait_io(listener)
            while len(self.connections) >= self.limits.connections_max:
                self._make_room()
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                LOG.warning("a connection could not be accepted: %s", error)
                runtime.sleep(AGAIN_S)
                continue
            connection = Connection(self, sock, address)
            self.connections[connection] = connection
            connection.begin()

    def _make_room(self) -> None:
        """Somebody wants to come in, and all places are taken: wait until one is free."""
        self._room = runtime.Waiter()
        make_room(self.connections)
        self._room.wait(LOOK_S)


class Connection(Client):
    """One client; `until` is when its patience, or ours, ends."""

    def __init__(self, server: Server, sock: Any, address: Any) -> None:
        super().__init__()
        self.address = address
        self.until = NEVER
        self._server = server
        self._limits = server.limits
        self._inbound = Inbound(server.limits.header_max_b, server.limits.body_max_b)
        without_delay(sock)
        self._line: Any = Line(sock, self._limits.client_s)
        if server.tls is not None:
            self._line = TlsLine(self._line, server.tls)
        self._first = True
        self._thread: Any = None

    def begin(self) -> None:
        """Serve it, beside all others; its end takes all that it has along."""
        self._thread = runtime.spawn(self._serve)
        self._thread.link(self._over)

    def end(self) -> None:
        """Cut the client off."""
        self._thread.kill()

    def asks(self) -> bool:
        return bool(self._line.came())

    def late(self) -> None:
        """The client has not sent in time what was expected."""
        self._line.throw(_TooSlow())

    def _over(self, _thread: Any) -> None:
        self._line.close()
        self._server.over(self)

    def _serve(self) -> None:
        """Answer one request after the other."""
        try:
            while self._one():
                self._first = False
        except (OSError, _TooSlow) as error:
            LOG.debug("%s: %s", self.address, error)
        except Exception:
            LOG.exception("%s: cut off in the middle of its answer", self.address)

    def _one(self) -> bool:
        """One request; whether the connection is kept for another."""
        try:
            asked = self._asked()
        except BadRequest as wrong:
            self._refuse(wrong.status, str(wrong))
            return False
        except _TooSlow:
            if self._inbound.begun:
                self._refuse(408, "the request did not come in time")
            return False
        return asked is not None and self._respond(asked)

    def _asked(self) -> Asked | None:
        """The next request; None where the client has gone."""
        inbound, limits = self._inbound, self._limits
        asked = inbound.take()
        if asked is None and not inbound.begun:
            self.idle_since = self._server.expect(
                self, limits.client_s if self._first else limits.keepalive_s
            )
            data = self._line.read()
            self.idle_since = 0.0
            if not data:
                return None
            inbound.feed(data)
            asked = inbound.take()
        if asked is None:
            asked = self._rest()
        self.until = NEVER
        if asked is not None and asked.expects:
            self._line.write(CONTINUE)
        return asked

    def _rest(self) -> Asked | None:
        """A request of which a part is here, once all of it is."""
        inbound = self._inbound
        self._server.expect(self, self._limits.client_s)
        while (asked := inbound.take()) is None:
            if inbound.waits():
                self._line.write(CONTINUE)
            if self.until <= monotonic():
                raise _TooSlow
            data = self._line.read()
            if not data:
                return None
            inbound.feed(data)
        return asked

    def _respond(self, asked: Asked) -> bool:
        server = self._server
        status, headers, body = server.application(asked)
        keep = asked.keep and not server.draining and self._limits.keepalive_s > 0
        if not isinstance(body, bytes):
            return self._stream(asked, status, headers, body, keep and asked.modern)
        head = opening(asked, status, headers, len(body), keep)
        self._line.write(b"".join((head, date(int(time())), body)))
        return keep

    def _stream(
        self, asked: Asked, status: int, headers: dict[str, str], parts: Any, keep: bool
    ) -> bool:
        """Answer with what is made as it goes; an old client sees its end by that of the line."""
        line, framed = self._line, asked.modern
        try:
            line.write(opening(asked, status, headers, None, keep) + date(int(time())))
            for part in parts:
                if part:
                    line.write(b"%x\r\n%b\r\n" % (len(part), part) if framed else part)
            if framed:
                line.write(b"0\r\n\r\n")
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        return keep

    def _refuse(self, status: int, text: str) -> None:
        """Answer what is no request, and read on for a moment: else the answer may be lost."""
        headers, body = self._limits.refusal(status, text)
        head = opening(None, status, headers, len(body), False)
        with contextlib.suppress(OSError, _TooSlow):
            self._line.write(b"".join((head, date(int(time())), body)))
            self._line.say_no_more()
            self._server.expect(self, LINGER_S)
            while self._line.read() and self.until > monotonic():
                continue


class _TooSlow(Exception):
    """A client has not sent in time what was expected."""

    def __str__(self) -> str:
        return "the client is too slow"
