"""The bytes of one AMQP connection: what py-amqp calls a transport, without waiting.

py-amqp reads a frame in three blocking reads and writes each in a call of its own; a frame that is
cut in the middle makes its reads without a time limit spin. Here bytes come in as they come and go
out as they can, both at once: a broker that takes nothing more can still say why. What py-amqp
waits for by itself (handshake, declarations) has a deadline.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from congress_dse.links.broker_state import Native
from congress_dse.links.broker_url import BrokerHost, BrokerTLS

Frame = tuple[int, int, bytes]  # type, channel, payload

GREETING = b"AMQP\x00\x00\x09\x01"
FRAME_MAX_B = 131_072  # RabbitMQ's own, and py-amqp's; a longer one is no AMQP
FRAME_END = 0xCE
CHUNK_B = 65_536
LOOK_S = 0.25  # between two looks at whether there is still a use in waiting
READS = 8  # of a chunk in one turn, so that a flood leaves time for all else

_HEAD = struct.Struct(">BHI")


class Wire:
    """A non-blocking socket with frames in and bytes out."""

    def __init__(self, native: Native, host: BrokerHost, tls: BrokerTLS | None) -> None:
        self._native = native
        self._host, self._tls = host, tls
        self._would_block = (
            BlockingIOError,
            native.ssl.SSLWantReadError,
            native.ssl.SSLWantWriteError,
        )
        self.sock: Any = None
        self.connected = False
        self.deadline = 0.0  # of whatever py-amqp waits for
        self.closing_at: Callable[[], float | None] = _never  # it may come earlier
        self.frames: deque[Frame] = deque()
        self.received_at = self.sent_at = monotonic()
        self._in = bytearray()
        self._out = bytearray()

    def connect(self) -> None:
        """Connect within the deadline and greet; py-amqp calls it once more."""
        if self.connected:
            return
        left_s = max(0.1, self.deadline - monotonic())
        address = (self._host.host, self._host.port)
        self.sock = self._native.socket.create_connection(address, left_s)
        try:
            self.sock.setsockopt(
                self._native.socket.IPPROTO_TCP, self._native.socket.TCP_NODELAY, 1
            )
            if self._tls is not None:
                self.sock = tls_context(self._native, self._tls).wrap_socket(
                    self.sock, server_hostname=self._host.host
                )
            self.sock.setblocking(False)
        except BaseException:
            self.close()
            raise
        self.connected = True
        self.write(GREETING)

    def close(self) -> None:
        """Let go of the socket; nothing is said or waited for."""
        sock, self.sock, self.connected = self.sock, None, False
        if sock is not None:
            sock.close()

    def write(self, data: bytes | memoryview) -> None:
        """Have `data` sent, by the next `flush`."""
        self._out += data

    @property
    def unsent_b(self) -> int:
        return len(self._out)

    def flush(self) -> None:
        """Send as much as the system takes now; raises OSError on a broken connection."""
        while self._out:
            try:
                sent_b = self.sock.send(memoryview(self._out)[:CHUNK_B])
            except self._would_block:
                return
            del self._out[:sent_b]
            self.sent_at = monotonic()

    def fill(self) -> None:
        """Take in what is there; raises OSError when the other side is gone, or speaks no AMQP."""
        for _ in range(READS):
            try:
                data = self.sock.recv(CHUNK_B)
            except self._would_block:
                break
            if not data:
                raise ConnectionResetError("the broker hung up")
            self.received_at = monotonic()
            self._in += data
            if len(data) < CHUNK_B and not (self._tls and self.sock.pending()):
                break
        self._split()

    def read_frame(self, *_args: object) -> Frame:
        """The next frame, waited for until the deadline; py-amqp calls it."""
        with self._native.Selector() as selector:
            selector.register(self.sock, self._native.selectors.EVENT_READ)
            while not self.frames:
                self.flush()
                left_s = min(self.deadline, self.closing_at() or self.deadline) - monotonic()
                if left_s <= 0:
                    raise TimeoutError(f"{self._host} does not answer")
                selector.modify(self.sock, self.events())
                if selector.select(min(left_s, LOOK_S)):
                    self.fill()
        return self.frames.popleft()

    @contextmanager
    def having_timeout(self, _timeout_s: float | None) -> Iterator[None]:
        """py-amqp's way to limit a wait; ours is the deadline."""
        yield

    def events(self) -> int:
        """What to wait for on the socket."""
        selectors = self._native.selectors
        return int(selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0))

    def _split(self) -> None:
        """Cut what came in into frames."""
        data, at, size_b = self._in, 0, len(self._in)
        while size_b - at >= _HEAD.size:
            kind, channel, length = _HEAD.unpack_from(data, at)
            end = at + _HEAD.size + length
            if length > FRAME_MAX_B or kind not in {1, 2, 3, 8}:
                raise ConnectionAbortedError(f"{self._host} speaks no AMQP 0-9-1")
            if end >= size_b:
                break
            if data[end] != FRAME_END:
                raise ConnectionAbortedError(f"{self._host} sent a frame without its end")
            self.frames.append((kind, channel, bytes(data[at + _HEAD.size : end])))
            at = end + 1
        del data[:at]


def tls_context(native: Native, tls: BrokerTLS) -> Any:
    """How we speak TLS; made for each connection, so that renewed certificates are seen."""
    context = native.ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def _never() -> float | None:
    return None
