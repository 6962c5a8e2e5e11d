"""HTTP/1.1 as the server on a loop reads and writes it: heads, bodies, and what is none."""

import asyncio
import http.client
import io
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote_to_bytes

CHUNK_LINE_B = 1024


class BadRequest(Exception):
    """What came is no request; stays inside the server."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Head(BaseHTTPRequestHandler):
    """The request line and the headers of one request; raises BadRequest for what is none."""

    def __init__(self, data: bytes) -> None:
        self.rfile = io.BytesIO(data)
        self.raw_requestline = self.rfile.readline()
        self.close_connection = True
        self.command = ""
        try:
            if not self.parse_request():
                raise BadRequest(400, "that is no request")
        except http.client.HTTPException as error:
            raise BadRequest(431, "the headers are too long") from error
        self.keep = not self.close_connection
        self.version = (1, 1) if self.request_version >= "HTTP/1.1" else (1, 0)
        self.without_body = self.command == "HEAD"

    # The base class answers by itself; here the connection does.
    protocol_version = "HTTP/1.1"

    def handle_expect_100(self) -> bool:
        """Go on; the client is told when its body is wanted."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: Any = None) -> None:
        raise BadRequest(code, message or HTTPStatus(code).phrase)

    def environ(self, given: bytes, scheme: str, address: Any, writer: Any) -> dict[str, Any]:
        """The request under WSGI's words (PEP 3333)."""
        path, _, query = self.path.partition("?")
        local = writer.get_extra_info("sockname")
        name, port = local[:2] if isinstance(local, tuple) else ("localhost", 0)
        environ = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "RAW_PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(given)),
            "SERVER_NAME": str(name),
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": address[0] if isinstance(address, tuple) and address else "",
            "headers_raw": list(self.headers.items()),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": scheme,
            "wsgi.input": io.BytesIO(given),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        for key, value in self.headers.items():
            environ.setdefault("HTTP_" + key.upper().replace("-", "_"), value)
        return environ


async def body(
    reader: asyncio.StreamReader,
    head: Head,
    most_b: int,
    go_on: Callable[[], Awaitable[None]],
) -> bytes:
    """The body of a request, whole; raises BadRequest for one that is none, or too large."""
    lengths = set(head.headers.get_all("content-length", ()))
    coding = head.headers.get("transfer-encoding")
    if coding is not None and coding.strip().lower() != "chunked":
        raise BadRequest(501, f"the transfer coding {coding[:40]!r} is not supported")
    if lengths and coding is not None:
        raise BadRequest(400, "Content-Length and Transfer-Encoding are not allowed together")
    if len(lengths) > 1 or not all(v.isascii() and v.isdigit() for v in lengths):
        raise BadRequest(400, "Content-Length is no number")
    length = int(lengths.pop()[:20]) if lengths else 0
    if length > most_b:
        raise BadRequest(413, f"the body has over {most_b} bytes")
    if head.headers.get("expect", "").lower() == "100-continue" and (length or coding):
        await go_on()
    try:
        return await (_chunks(reader, most_b) if coding else reader.readexactly(length))
    except asyncio.IncompleteReadError as error:
        raise EOFError("the client has gone") from error


async def _chunks(reader: asyncio.StreamReader, most_b: int) -> bytes:
    data = bytearray()
    while size := await _size(reader):
        if len(data) + size > most_b:
            raise BadRequest(413, f"the body has over {most_b} bytes")
        data += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise BadRequest(400, "the chunks of the body are no chunks")
    while (await _line(reader)).strip():
        continue  # a trailer, which nobody reads
    return bytes(data)


async def _size(reader: asyncio.StreamReader) -> int:
    text = (await _line(reader)).partition(b";")[0].strip()
    if not text or len(text) > 16 or set(text) - set(b"0123456789abcdefABCDEF"):
        raise BadRequest(400, "the chunks of the body are no chunks")
    return int(text, 16)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        line: bytes = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError as error:
        raise BadRequest(400, "the chunks of the body are no chunks") from error
    if len(line) > CHUNK_LINE_B:
        raise BadRequest(400, "the chunks of the body are no chunks")
    return line


def opening(
    status: str, headers: list[tuple[str, str]], length: int | None, chunked: bool, keep: bool
) -> bytes:
    """The head of an answer."""
    given = {name.lower() for name, _ in headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    if length is not None and "content-length" not in given:
        lines.append(f"Content-Length: {length}")
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    if "date" not in given:
        lines.append(f"Date: {formatdate(usegmt=True)}")
    if not keep:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
