"""An HTTP server of greenthreads: eventlet's WSGI, with limits and an end that drops nothing.

A request has one deadline from its first byte to the last of its body, so a client that dribbles is
cut off. What is no request is answered by the application, too: `refusal` of the limits makes the
answer. At the end the server accepts no more, tells each connection with its next answer, and
closes those that stay silent.
"""

import contextlib
import http.client
import io
import logging
import ssl
from collections.abc import Callable
from http import HTTPStatus
from socket import socket
from time import monotonic
from typing import Any

import eventlet
import eventlet.greenio
import eventlet.wsgi
from eventlet import semaphore

from congress_dse.runtime.clients import LINGER_S, Client, Limits, let_go, make_room

LOG = logging.getLogger(__name__)


class Server:
    """Serves one listening socket; `connections` are the open ones."""

    def __init__(
        self,
        listener: socket,
        application: Callable[..., Any],
        limits: Limits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.connections: dict[Any, _Connection] = {}
        self._listener = eventlet.greenio.GreenSocket(listener)
        self._limits = limits
        self._tls = tls
        self._room = semaphore.Semaphore(limits.connections_max)
        self._wsgi = eventlet.wsgi.Server(
            self._listener,
            self._listener.getsockname(),
            application,
            log=logging.getLogger(f"{__name__}.wsgi"),
            environ={"wsgi.url_scheme": "https" if tls else "http"},
            protocol=_Protocol,
            keepalive=limits.keepalive_s or False,
            socket_timeout=limits.client_s,
            url_length_limit=limits.header_max_b,
            log_output=False,
            debug=False,
        )
        self._wsgi.limits = limits
        self._wsgi.draining = False
        self._acceptor: Any = None

    def start(self) -> None:
        """Accept from now on."""
        self._acceptor = eventlet.spawn(self._accept)

    def stop(self, drain_s: float) -> int:
        """Accept no more, answer what is in hand; how many connections had to be cut off."""
        self._wsgi.draining = True
        if self._acceptor is not None:
            self._acceptor.kill()
        end = monotonic() + drain_s
        while self.connections and monotonic() < end:
            let_go(self.connections, end)
            eventlet.sleep(0.02)
        late = list(self.connections.values())
        for connection in late:
            connection.end()
        return len(late)

    def _accept(self) -> None:
        while True:
            self._room.acquire()
            try:
                sock, address = self._listener.accept()
            except OSError as error:
                self._room.release()
                LOG.warning("a connection could not be accepted: %s", error)
                eventlet.sleep(0.05)  # no file descriptors, most often: others have to end first
                continue
            except BaseException:
                self._room.release()
                raise
            connection = _Connection(address, sock)
            self.connections[connection] = connection
            connection.thread = eventlet.spawn(self._serve, connection)
            if not self._room.counter:
                make_room(self.connections)

    def _serve(self, connection: "_Connection") -> None:
        try:
            if self._tls is not None:
                with eventlet.Timeout(self._limits.client_s, _TooSlow()):
                    connection[1] = self._tls.wrap_socket(
                        connection[1], server_side=True, do_handshake_on_connect=False
                    )
                    connection[1].do_handshake()
            connection[1].settimeout(self._limits.client_s)
            self._wsgi.process_request(connection)
        except (OSError, _TooSlow) as error:
            LOG.debug("%s: %s", connection[0], error)
        finally:
            with contextlib.suppress(OSError):
                connection[1].close()
            del self.connections[connection]
            self._room.release()


class _Connection(Client, list[Any]):
    """A connection in the form that eventlet's protocol wants: [address, socket, state]."""

    def __init__(self, address: Any, sock: Any) -> None:
        super().__init__()
        self.extend([address, sock, eventlet.wsgi.STATE_IDLE])
        self.thread: Any = None

    def end(self) -> None:
        """Cut the client off."""
        self.thread.kill()

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


class _TooSlow(BaseException):
    """A client has not sent its request in time."""

    def __str__(self) -> str:
        return "the client is too slow"


class _Protocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]
    """HTTP/1.1 as eventlet speaks it; the reading of a request is bounded in size and in time."""

    rfile: Any

    def handle_one_request(self) -> None:
        deadline: Any = None
        try:
            if not self._wait_for_request():
                self.close_connection = True
                return
            deadline = eventlet.Timeout(self.server.limits.client_s, _TooSlow())
            if self._read_request():
                deadline.cancel()
                self._respond()
        except _TooSlow:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not come in time")
        finally:
            if deadline is not None:
                deadline.cancel()

    def _wait_for_request(self) -> bool:
        """Wait for the first byte; False where there is none, or the client let go."""
        self.conn_state.idle_since = monotonic()
        first = not hasattr(self, "environ")
        timeout_s = self.server.limits.client_s if first else self.server.keepalive
        try:
            self.connection.settimeout(timeout_s)
            if not self.rfile.peek(1):
                return False
            self.connection.settimeout(self.server.socket_timeout)
        except (OSError, ValueError):
            return False
        self.conn_state.idle_since = 0.0
        return True

    def _read_request(self) -> bool:
        """Read head and body; False where it was refused, or the client let go."""
        limits: Limits = self.server.limits
        self.raw_requestline = self.rfile.readline(limits.header_max_b + 1)
        if len(self.raw_requestline) > limits.header_max_b:
            self._refuse(414, f"the request line has over {limits.header_max_b} bytes")
            return False
        whole, self.rfile = self.rfile, _Head(self.rfile, limits.header_max_b)
        try:
            if not self.parse_request():
                self.close_connection = True
                return False
        finally:
            self.rfile = whole
        wrong = self._wrong_length(limits.body_max_b)
        if wrong is not None:
            self._refuse(*wrong)
            return False
        return self._read_body(limits.body_max_b)

    def _wrong_length(self, most_b: int) -> tuple[int, str] | None:
        """What is wrong with the announced length of the body."""
        lengths = set(self.headers.get_all("content-length", ()))
        coding = self.headers.get("transfer-encoding")
        if coding is not None and coding.strip().lower() != "chunked":
            return 501, f"the transfer coding {coding[:40]!r} is not supported"
        if lengths and coding is not None:
            return 400, "Content-Length and Transfer-Encoding are not allowed together"
        if len(lengths) > 1 or not all(v.isascii() and v.isdigit() for v in lengths):
            return 400, "Content-Length is no number"
        if lengths and int(lengths.pop()[:20]) > most_b:
            return 413, f"the body has over {most_b} bytes"
        return None

    def _read_body(self, most_b: int) -> bool:
        self.environ = self.get_environ()
        given = self.environ["eventlet.input"]
        try:
            body = given.read(most_b + 1)
        except (eventlet.wsgi.ChunkReadError, ValueError):
            self._refuse(400, "the chunks of the body are no chunks")
            return False
        except OSError:
            self.close_connection = True
            return False
        if len(body) > most_b:
            self._refuse(413, f"the body has over {most_b} bytes")
            return False
        if given.content_length is not None and len(body) < given.content_length:
            self.close_connection = True
            return False
        self.environ["wsgi.input"] = io.BytesIO(body)
        return True

    def _respond(self) -> None:
        self.application = self._answer
        try:
            self.handle_one_response()
        except OSError as error:
            self.close_connection = True
            LOG.debug("%s: %s", self.client_address, error)

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        """Call the application; an end that comes meanwhile is told with its answer, too."""

        def begin(*answer: Any) -> Any:
            self.close_connection = self.close_connection or self.server.draining
            return start(*answer)

        return self.server.app(environ, begin)

    def send_error(self, code: int, message: str | None = None, explain: Any = None) -> None:
        """What the base class calls for a head that it cannot read."""
        self._refuse(code, message or HTTPStatus(code).phrase)

    def _refuse(self, status: int, text: str) -> None:
        """Answer what is no request, and close."""
        self.close_connection = True
        headers, body = self.server.limits.refusal(status, text)
        lines = [f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        with contextlib.suppress(OSError):
            self.wfile.write("\r\n".join(lines).encode("latin-1") + body)
            self.wfile.flush()
            self.connection.shutdown(1)
            self._linger()

    def _linger(self) -> None:
        """Read on for a moment: a close with unread bytes would take the answer back."""
        with eventlet.Timeout(LINGER_S, False):
            self.connection.settimeout(LINGER_S)
            while self.connection.recv(65536):
                continue

    def finish(self) -> None:
        """Close all there is, also when the client has gone and the last bytes cannot be sent."""
        for file in (self.wfile, self.rfile):
            with contextlib.suppress(OSError, ValueError):
                file.close()
        eventlet.greenio.shutdown_safe(self.connection)
        self.connection.close()

    def log_message(self, *args: Any) -> None:
        """Nothing: the application logs its requests."""


class _Head:
    """The head of a request, line by line, up to a size."""

    def __init__(self, file: Any, most_b: int) -> None:
        self._file = file
        self._left_b = most_b

    def readline(self, size: int = -1) -> bytes:
        line: bytes = self._file.readline(min(size, self._left_b + 1) if size >= 0 else -1)
        self._left_b -= len(line)
        if self._left_b < 0:
            raise http.client.HTTPException("the headers are too long")
        return line
