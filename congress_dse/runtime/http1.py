"""HTTP/1.1 as a machine: the bytes of one connection come in, requests come out; no I/O.

After RFC 9112. What is no request raises BadRequest with the status that says so, and so does what
is larger than the limits; nothing is guessed: a head with a space before a colon, a folded line or
two lengths is no request.
"""

import re
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

CHUNK_LINE_B = 1024
AGAIN_B = 1024  # a request up to this is known again when it is repeated

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 (RFC 9110, 5.6.2)
_NAME = re.compile(_TOKEN)
_LINE = re.compile(rf"({_TOKEN}) ([!-~\x80-\xff]+) HTTP/(\d)\.(\d)")
_FOLD = re.compile(r"[\r\n]+")
_END = re.compile(rb"\r?\n\r?\n")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_STATUS = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n" for s in HTTPStatus}
_BODILESS = frozenset({204, 304})

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BadRequest(Exception):
    """What came is no request; stays inside the server."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Asked:
    """One request. Names of headers are in lower case; several of one name are joined by commas.

    `path` is decoded, `query` is as it came. `keep` is whether the client keeps the connection, and
    `expects` whether it waits for `CONTINUE` before the body.
    """

    __slots__ = ("body", "expects", "headers", "keep", "method", "modern", "path", "query")

    def __init__(self, text: str) -> None:
        """Read a head; its lines end with newlines alone."""
        line, _, rest = text.partition("\n")
        found = _LINE.fullmatch(line)
        if found is None:
            raise BadRequest(400, f"Bad request syntax ({line[:60]!r})")
        self.method, target, major, minor = found.groups()
        if major != "1":
            raise BadRequest(505, f"Invalid HTTP version ({major}.{minor})")
        self.modern = minor != "0"  # HTTP/1.1, which has chunks and keeps connections
        self.path, self.query = _parted(target)
        self.headers = _headers(rest)
        self.body, self.expects = b"", False
        words = self.headers.get("connection")
        self.keep = self.modern
        if words is not None:
            said = {word.strip() for word in words.lower().split(",")}
            self.keep = "close" not in said if self.modern else "keep-alive" in said

    def again(self) -> "Asked":
        """The same once more, for a client that asks it again."""
        made = Asked.__new__(Asked)
        made.method, made.path, made.query = self.method, self.path, self.query
        made.modern, made.keep, made.headers = self.modern, self.keep, self.headers
        made.body, made.expects = b"", False
        return made


class Inbound:
    """One connection's bytes; `feed` takes them, and `take` has the next request."""

    def __init__(self, header_max_b: int, body_max_b: int) -> None:
        self._header_max_b = header_max_b
        self._body_max_b = body_max_b
        self._parts: list[bytes] = []
        self._size_b = 0
        self._need_b = 0  # before so much is there, nothing can be done
        self._head: Asked | None = None
        self._body: list[bytes] | None = None  # of one that comes in chunks
        self._body_b = 0
        self._last: tuple[bytes, Asked] | None = None  # whoever polls sends the same each time

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        self._parts.append(data)
        self._size_b += len(data)

    def take(self) -> Asked | None:
        """The next request, whole; None while it is not. Raises BadRequest."""
        if self._size_b < self._need_b or not self._size_b:
            return None
        if self._head is None:
            if self._last is not None and self._parts[0] == self._last[0]:
                self._left(b"".join(self._parts[1:]))
                return self._last[1].again()
            self._begin()
        head = self._head
        if head is None or not (self._whole() if self._body is None else self._chunked()):
            return None
        if self._body is not None:
            head.body = b"".join(self._body)
        self._head = self._body = None
        self._need_b = 0
        return head

    @property
    def begun(self) -> bool:
        """Whether a part of a request is here."""
        return bool(self._size_b) or self._head is not None

    def waits(self) -> bool:
        """Whether the client waits for `CONTINUE`; says so once."""
        head = self._head
        if head is None or not head.expects:
            return False
        head.expects = False
        return True

    def _begin(self) -> None:
        """Read the head, if it is here; see what body follows."""
        data = self._joined().lstrip(b"\r\n")
        end = _END.search(data)
        self._check_size(data, len(data) if end is None else end.end())
        if end is None:
            self._left(data)
            return
        text = data[: end.start()].decode("latin-1").replace("\r\n", "\n")
        if "\r" in text or "\0" in text:
            raise BadRequest(400, "the head has a character that no head may have")
        self._left(data[end.end() :])
        self._head = head = Asked(text)
        length = _length(head, self._body_max_b)
        self._body, self._body_b = (None, length) if length is not None else ([], 0)
        if length == 0 and end.end() == len(data) <= AGAIN_B:
            self._last = data, head
        if length != 0:
            head.expects = head.modern and head.headers.get("expect", "").lower() == "100-continue"

    def _check_size(self, data: bytes, head_b: int) -> None:
        most_b = self._header_max_b
        if head_b > most_b:
            if not 0 <= data.find(b"\n") < most_b:
                raise BadRequest(414, f"the request line has over {most_b} bytes")
            raise BadRequest(431, "the headers are too long")

    def _whole(self) -> bool:
        """Whether the body, of a known length, is here; it is taken then."""
        size_b = self._body_b
        if not size_b:
            return True
        if self._size_b < size_b:
            self._need_b = size_b
            return False
        data = self._joined()
        assert self._head is not None
        self._head.body = data[:size_b]
        self._left(data[size_b:])
        return True

    def _chunked(self) -> bool:
        """Take the chunks that are here; whether the last was among them."""
        data, at = self._joined(), 0
        assert self._body is not None
        while (line := _line(data, at)) is not None:
            text, after = line
            size_b = _chunk_size(text)
            if not size_b:
                return self._trailed(data, at, after)
            if self._body_b + size_b > self._body_max_b:
                raise BadRequest(413, f"the body has over {self._body_max_b} bytes")
            end = after + size_b
            if len(data) < end + 2:
                self._left(data[at:])
                self._need_b = end + 2 - at
                return False
            if data[end : end + 2] != b"\r\n":
                raise BadRequest(400, "the chunks of the body are no chunks")
            self._body.append(data[after:end])
            self._body_b += size_b
            at = end + 2
        self._left(data[at:])
        self._need_b = 0
        return False

    def _trailed(self, data: bytes, at: int, after: int) -> bool:
        """Whether the end is here; what trails the last chunk is read by nobody."""
        if len(data) - at > self._header_max_b:
            raise BadRequest(431, "what follows the body is too long")
        line = _line(data, after)
        while line is not None and line[0].strip():
            line = _line(data, line[1])
        self._left(data[at:] if line is None else data[line[1] :])
        return line is not None

    def _joined(self) -> bytes:
        if len(self._parts) != 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0]

    def _left(self, data: bytes) -> None:
        self._parts, self._size_b = [data] if data else [], len(data)


def opening(
    asked: Asked | None, status: int, headers: dict[str, str], length: int | None, keep: bool
) -> bytes:
    """The head of the answer to `asked`, or to what was no request, but for its last line, `date`.

    A body without a `length` comes in chunks, or ends with the connection of an old client.
    """
    lines = [_STATUS.get(status) or f"HTTP/1.1 {status} \r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
    if asked is not None and asked.method == "HEAD":
        pass  # its headers are those of the whole answer, as far as they are known
    elif length is None:
        if asked is not None and asked.modern:
            lines.append("Transfer-Encoding: chunked\r\n")
    elif status not in _BODILESS and "content-length" not in headers:
        lines.append(f"Content-Length: {length}\r\n")
    if not keep:
        lines.append("Connection: close\r\n")
    elif asked is not None and not asked.modern:
        lines.append("Connection: keep-alive\r\n")
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        text = "".join(_FOLD.sub(" ", line[:-2]) + "\r\n" for line in lines)
    return text.encode("latin-1", "replace")


@lru_cache(4)
def date(second: int) -> bytes:
    """The line of the date, and the end of the head; `second` is of the wall clock."""
    return f"Date: {formatdate(second, usegmt=True)}\r\n\r\n".encode()


def _parted(target: str) -> tuple[str, str]:
    """Path, decoded, and query of what the request line names; in whole, too, as proxies do."""
    path, _, query = target.partition("?")
    if not path.startswith("/") and "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    elif path.startswith("//"):
        path = "/" + path.lstrip("/")  # else it would name a host in a link of ours
    if "%" in path or not path.isascii():
        path = unquote_to_bytes(path.encode("latin-1")).decode("utf-8", "replace")
    return path, query


def _headers(text: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    if not text:
        return headers
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        key = _lower(name)
        if not colon:
            raise BadRequest(400, "a line of the head is none")
        value = value.strip(" \t")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


@lru_cache(1024)
def _lower(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadRequest(400, "a line of the head is none")
    return name.lower()


def _length(head: Asked, most_b: int) -> int | None:
    """The length of a body, None for one in chunks; raises BadRequest for what cannot be."""
    given, coding = head.headers.get("content-length"), head.headers.get("transfer-encoding")
    if given is None and coding is None:
        return 0
    if coding is not None and coding.lower() != "chunked":
        raise BadRequest(501, f"the transfer coding {coding[:40]!r} is not supported")
    if given is None:
        return None
    if coding is not None:
        raise BadRequest(400, "Content-Length and Transfer-Encoding are not allowed together")
    lengths = {text.strip() for text in given.split(",")}
    text = lengths.pop()
    if lengths or not (text.isascii() and text.isdigit()):
        raise BadRequest(400, "Content-Length is no number")
    length = int(text[:20])
    if length > most_b:
        raise BadRequest(413, f"the body has over {most_b} bytes")
    return length


def _line(data: bytes, at: int) -> tuple[bytes, int] | None:
    """The line from `at` on and where the next begins; None while it has no end."""
    end = data.find(b"\n", at, at + CHUNK_LINE_B)
    if end < 0:
        if len(data) - at >= CHUNK_LINE_B:
            raise BadRequest(400, "the chunks of the body are no chunks")
        return None
    return data[at:end], end + 1


def _chunk_size(line: bytes) -> int:
    text = line.partition(b";")[0].strip()
    ended = line.endswith(b"\r") and line.count(b"\r") == 1
    if not ended or not text or len(text) > 16 or not _HEX.issuperset(text):
        raise BadRequest(400, "the chunks of the body are no chunks")
    return int(text, 16)
