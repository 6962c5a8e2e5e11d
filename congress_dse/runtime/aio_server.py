"""An HTTP server on an asyncio loop, with the limits and the end of the one of greenthreads.

A coroutine reads each connection; the WSGI application is called beside it, where it may wait. A
request has one deadline from its first byte to the last of its body. What is no request is answered
by the application, too: `refusal` of the limits makes the answer. At the end the server accepts no
more, tells each connection with its next answer, and closes those that stay silent.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from http import HTTPStatus
from socket import socket
from time import monotonic
from typing import Any

from congress_dse.runtime import chosen as runtime
from congress_dse.runtime.aio_http import BadRequest, Head, body, opening
from congress_dse.runtime.clients import LINGER_S, Client, Limits, let_go, make_room

LOG = logging.getLogger(__name__)

LOOK_S = 0.02


class Server:
    """Serves one listening socket; `connections` are the open ones."""

    def __init__(
        self,
        listener: socket,
        application: Callable[..., Any],
        limits: Limits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        listener.setblocking(False)
        self.connections: dict[Connection, Connection] = {}
        self.draining = False
        self.application = application
        self.limits = limits
        self.scheme = "https" if tls else "http"
        self._listener = listener
        self._tls = tls
        self._acceptor: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Accept from now on."""
        self._acceptor = asyncio.Task(self._accept(), loop=runtime.loop())

    def stop(self, drain_s: float) -> int:
        """Accept no more, answer what is in hand; how many connections had to be cut off."""
        self.draining = True
        if self._acceptor is not None:
            self._acceptor.cancel()
        end = monotonic() + drain_s
        while self.connections and monotonic() < end:
            let_go(self.connections, end)
            runtime.sleep(LOOK_S)
        late = list(self.connections.values())
        for connection in late:
            connection.end()
        while any(not connection.over() for connection in late):
            runtime.sleep(LOOK_S)
        return len(late)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while len(self.connections) >= self.limits.connections_max:
                make_room(self.connections)
                await asyncio.sleep(LOOK_S)
            try:
                sock, address = await loop.sock_accept(self._listener)
            except OSError as error:
                LOG.warning("a connection could not be accepted: %s", error)
                await asyncio.sleep(0.05)  # no file descriptors, most often: others end first
                continue
            connection = Connection(self, address)
            self.connections[connection] = connection
            connection.task = loop.create_task(self._serve(connection, sock))

    async def _serve(self, connection: "Connection", sock: socket) -> None:
        try:
            await connection.open(sock, self._tls)
            await connection.serve()
        except (OSError, TimeoutError, EOFError, ssl.SSLError) as error:
            LOG.debug("%s: %s", connection.address, error)
        finally:
            del self.connections[connection]
            connection.close()


class Connection(Client):
    """One client."""

    def __init__(self, server: Server, address: Any) -> None:
        super().__init__()
        self.address = address
        self.task: asyncio.Task[None] | None = None
        self._server = server
        self._limits = server.limits
        self._first = True
        self._reader: Any = None
        self._writer: Any = None

    async def open(self, sock: socket, tls: ssl.SSLContext | None) -> None:
        """Have the loop read and write; with TLS the handshake is a part of it."""
        loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader(limit=2**16, loop=loop)
        protocol = asyncio.StreamReaderProtocol(self._reader, loop=loop)
        limit = {"ssl": tls, "ssl_handshake_timeout": self._limits.client_s} if tls else {}
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, **limit)  # type: ignore[arg-type]
        except BaseException:
            sock.close()
            raise
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)

    async def serve(self) -> None:
        """Answer one request after the other."""
        while await self._one():
            self._first = False

    def end(self) -> None:
        """Cut the client off."""
        if self.task is not None:
            self.task.cancel()

    def over(self) -> bool:
        """Whether nothing is left of it."""
        return self.task is None or self.task.done()

    def close(self) -> None:
        """Let go of the socket, at the latest when a client has not read in time what is left."""
        if self._writer is None:
            return
        self._writer.close()
        transport = self._writer.transport
        if transport.get_write_buffer_size():
            runtime.loop().call_later(self._limits.client_s, transport.abort)

    async def _one(self) -> bool:
        """One request; whether the connection is kept for another."""
        limits = self._limits
        self.idle_since = monotonic()
        wait_s = limits.client_s if self._first else limits.keepalive_s
        async with asyncio.timeout(wait_s):
            first = await self._reader.read(1)
        if not first:
            return False
        self.idle_since = 0.0
        try:
            async with asyncio.timeout(limits.client_s):
                head = await self._head(first)
                given = await body(self._reader, head, limits.body_max_b, self._continue)
        except BadRequest as wrong:
            await self._refuse(wrong.status, str(wrong))
            return False
        except TimeoutError:
            await self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not come in time")
            return False
        keep = head.keep and bool(limits.keepalive_s)
        return await self._respond(head, given, keep)

    async def _head(self, first: bytes) -> Head:
        most_b, data = self._limits.header_max_b, bytearray(first)
        line_b = -1
        while True:
            line = await self._line(most_b - len(data) + 1)
            data += line
            if line_b < 0:
                line_b = len(data)
                if line_b > most_b:
                    raise BadRequest(414, f"the request line has over {most_b} bytes")
            elif len(data) > most_b:
                raise BadRequest(431, "the headers are too long")
            if line in {b"\r\n", b"\n"}:
                return Head(bytes(data))

    async def _line(self, most_b: int) -> bytes:
        try:
            line: bytes = await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            line = await self._reader.read(max(1, most_b))
        except asyncio.IncompleteReadError as error:
            raise EOFError("the client has gone") from error
        return line

    async def _continue(self) -> None:
        self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await self._writer.drain()

    async def _respond(self, head: Head, given: bytes, keep: bool) -> bool:
        server, answer = self._server, _Answer()
        environ = head.environ(given, server.scheme, self.address, self._writer)
        parts = await runtime.beside(server.application, environ, answer.start)
        try:
            keep = keep and not server.draining
            sizes = [len(p) for p in parts] if isinstance(parts, list | tuple) else None
            chunked = sizes is None and head.version >= (1, 1)
            keep = keep and (chunked or sizes is not None)
            length = None if sizes is None else sum(sizes)
            self._write(opening(answer.status, answer.headers, length, chunked, keep))
            if not head.without_body:
                async for part in _parts(parts):
                    await self._send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
                if chunked:
                    await self._send(b"0\r\n\r\n")
            await self._send(b"")
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                await runtime.beside(close)
        return keep

    def _write(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError("the client has gone")
        self._writer.write(data)

    async def _send(self, data: bytes) -> None:
        self._write(data)
        async with asyncio.timeout(self._limits.client_s):
            await self._writer.drain()

    async def _refuse(self, status: int, text: str) -> None:
        """Answer what is no request, and close."""
        headers, data = self._limits.refusal(status, text)
        line = f"{int(status)} {HTTPStatus(status).phrase}"
        with contextlib.suppress(OSError, TimeoutError):
            self._write(opening(line, list(headers.items()), len(data), False, False))
            await self._send(data)
            if self._writer.can_write_eof() and not self._writer.is_closing():
                self._writer.write_eof()
            async with asyncio.timeout(LINGER_S):
                while await self._reader.read(65536):
                    continue


class _Answer:
    """What an application says before its body."""

    status = "500 Internal Server Error"
    headers: list[tuple[str, str]] = []

    def start(self, status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
        self.status, self.headers = status, headers


async def _parts(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    """The parts of a body; the next of one that is made as it goes may be waited for."""
    if isinstance(parts, list | tuple):
        for part in parts:
            yield part
        return
    made = iter(parts)
    while (part := await runtime.beside(next, made, None)) is not None:
        if part:
            yield part
