"""Stream: one connection to one far node, and the bridge that stands for it.

Three flows of control: the reader, who hands what came to the bridge and reads on when that is
done; the writer, who sends what waits, many messages at a time; and the bridge. What is under way
is bounded by `WINDOW_B` (the far side tells what it has handled), and so is what waits to be sent:
an update that does not fit is dropped and made good later. A peer that says nothing for `SILENCE_S`
is taken for dead, since the system's own buffers hide one that is frozen.
"""

import contextlib
import hashlib
import hmac
import logging
import secrets
import socket
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from congress_dse.exceptions import EngineError, LinkError, WireError
from congress_dse.links import wire
from congress_dse.links.bridge import Bridge
from congress_dse.links.directory import STOPPED, STOPPING
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)

PROTOCOL = 1
HELLO_S = 5.0
PING_S = 2.0
SILENCE_S = 6.0
READ_B = 256 * 1024
WRITE_B = 64 * 1024  # messages are joined up to this
WINDOW_B = 2 * 1024 * 1024  # sent and not yet handled by the far side
OUTBOX_B = 8 * 1024 * 1024  # waiting to be sent; above it updates are dropped
OUTBOX_MAX_B = 1024 * 1024 * 1024  # above it the far side is given up
ACK_B = 128 * 1024


class Peer(NamedTuple):
    """Who is at the other end."""

    node: str
    epoch: int


class Stream:
    """The host of one connection; `run` serves it to its end. A `Transport` of its bridge."""

    def __init__(self, sock: socket.socket, kind: str) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._kind = kind
        self._frames = wire.Frames()
        self._messages = wire.Messages()
        self._outbox: deque[bytes] = deque()
        self._waiting_b = self._sent_b = self._acked_b = self._read_b = self._told_b = 0
        self._writing = False
        self._wake = runtime.Waiter()
        self._handled = runtime.Waiter()
        self._handled.send()
        self._heard = self._since = runtime.now()
        self._full = self._ack_due = False
        self._bridge: Bridge | None = None
        self.ended = ""
        self.peer = Peer("", 0)

    # The handshake.

    def greet(self, node: str, epoch: int, bus: str, key: bytes = b"") -> Peer:
        """Say who we are and learn who is there; with a `key` each proves that he has it.

        Raises WireError for a peer that speaks otherwise, or is none of this bus.
        """
        nonce = secrets.token_bytes(32)
        self._write_all(_frame(["hello", PROTOCOL, node, epoch, bus, nonce if key else b""]))
        hello = self._first()
        if hello[0] != "hello" or [type(x) for x in hello[1:]] != [int, str, int, str, bytes]:
            raise WireError("a peer that does not say who it is")
        _, protocol, far, far_epoch, far_bus, far_nonce = hello
        if protocol != PROTOCOL:
            raise WireError(f"node {far} speaks protocol {protocol}, this one {PROTOCOL}")
        if far_bus != bus:
            raise WireError(f"node {far} is of the bus {far_bus!r}, this one of {bus!r}")
        if key:
            self._write_all(_frame(["proof", _proof(key, far_nonce, node)]))
            proof = self._first()
            if proof[0] != "proof" or not _same(proof[1:], _proof(key, nonce, far)):
                raise WireError(f"node {far} has not the key of this bus")
        if (far, far_epoch) == (node, epoch):
            raise LinkError("that is this node itself")
        if far == node:
            raise LinkError(
                f"another process is node {node!r}, too: each needs a name of its own on a bus"
            )
        self.peer = Peer(far, far_epoch)
        return self.peer

    def _first(self) -> list[Any]:
        """One message of a peer that is not known yet."""
        end = runtime.now() + HELLO_S
        found: list[bytes] = []
        while not found:
            data = self._read(max(0.0, end - runtime.now()))
            if not data:
                raise LinkError("the peer said nothing" if data is None else "the peer is gone")
            if self._frames.size() + len(data) > READ_B:
                raise WireError("a peer that says too much before who it is")
            found = self._frames.feed(data)
        self._frames.put_back(found[1:])
        return wire.decode(found[0])

    # The transport of the bridge.

    def send(self, nodes: Iterable[str], topic: str, parts: list[bytes], can_wait: bool) -> bool:
        """Take a message; see `Transport`. There is but one node, and no topics."""
        if self.ended:
            return not can_wait
        if can_wait and self._waiting_b > OUTBOX_B:
            self._full = True
            return False
        for part in parts:
            framed = wire.frame(part)
            self._outbox.append(framed)
            self._waiting_b += len(framed)
        if self._waiting_b > OUTBOX_MAX_B:
            self.end(f"{self._waiting_b} bytes wait, and it does not read")
        self._wake.send()
        return True

    def follow(self, topic: str, yes: bool) -> None:
        """Nothing: what is sent over a connection comes to its one node."""

    def end(self, why: str) -> None:
        """Close the connection; reader and writer see it and end."""
        if self.ended:
            return
        self.ended = why
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._wake.send()
        self._handled.send()

    def leave(self) -> None:
        """Close the connection in order: the far side is told, where it can be at once."""
        if not self.ended and not self._writing:
            with contextlib.suppress(OSError):
                self._sock.send(_frame(["bye"]))
        self.end(STOPPING)

    def statistics(self) -> dict[str, Any]:
        """What an operator wants to know of the connection; ages in seconds, sizes in bytes."""
        now = runtime.now()
        return {
            "kind": self._kind,
            "state": "down" if self.ended else "up",
            "ready": not self.ended,
            "error": self.ended,
            "since_s": now - self._since,
            "heard_s": now - self._heard,
            "sent_b": self._sent_b,
            "received_b": self._read_b,
            "waiting_b": self._waiting_b,
            "unacknowledged_b": self._sent_b - self._acked_b,
        }

    # Service.

    def run(self, cage: Any) -> None:
        """Be the link of `cage` to the node that was greeted, until either ends it."""
        name = f"link.{self.peer.node}"
        writer = None
        try:
            bridge = cage.createservice(name, factory=Bridge, args={"transport": self})
            self._bridge = bridge
            writer = runtime.spawn(self._write)
            bridge.do(lambda: bridge.joined(*self.peer))
            self._serve()
        except EngineError as error:
            self.end(str(error))
        except OSError as error:
            self.end(f"{type(error).__name__}: {error}")
        finally:
            self.end("closed")
            LOG.debug("link to node %s ended: %s", self.peer.node, self.ended)
            if cage.service_object(name) is self._bridge and self._bridge is not None:
                cage.deleteservice(name)
            if writer is not None:
                writer.wait()
            self._sock.close()

    def close(self) -> None:
        """Close a connection that never came to serve."""
        self._sock.close()

    def _serve(self) -> None:
        data: bytes | None = b""
        while not self.ended:
            frames = self._frames.feed(data or b"")
            if frames:
                self._take(frames)
            self._acknowledge()
            data = self._read(None)
            if not data:
                self.end("the far side closed it")
            else:
                self._heard = runtime.now()
                self._read_b += len(data)

    def _take(self, frames: list[bytes]) -> None:
        """Have the bridge handle what came, and wait until it has."""
        batch = []
        for data in frames:
            message = self._messages.take(data)
            if message is None or message[0] == "ping":
                continue
            if message[0] == "ack":
                self._ack(message)
            elif message == ["bye"]:
                self.end(STOPPED)
            else:
                batch.append(message)
        if batch and self._bridge is not None:
            handled = self._handled = runtime.Waiter()
            self._bridge.do(lambda: self._handle(batch, handled))
            handled.wait()

    def _handle(self, batch: list[list[Any]], handled: runtime.Waiter) -> None:
        """In the bridge's own turn."""
        try:
            for message in batch:
                self._bridge.arrived(self.peer.node, message)  # type: ignore[union-attr]
        except WireError as error:
            self.end(f"closed for what came over it: {error}")
            LOG.warning("link to node %s: %s", self.peer.node, self.ended)
        finally:
            handled.send()

    def _ack(self, message: list[Any]) -> None:
        if len(message) != 2 or not isinstance(message[1], int):
            raise WireError("an acknowledgement that is none")
        if not self._acked_b <= message[1] <= self._sent_b:
            raise WireError("an acknowledgement of what was never sent")
        self._acked_b = message[1]
        self._wake.send()

    def _acknowledge(self) -> None:
        """Tell the far side what is handled, not for every little."""
        if self._read_b - self._told_b >= ACK_B:
            self._told_b = self._read_b
            self._ack_due = True
            self._wake.send()

    def _write(self) -> None:
        """The writer: sends what waits, pings when there is nothing, and listens for silence."""
        try:
            while not self.ended:
                self._wake = runtime.Waiter()
                if self._ready():
                    self._write_all(self._next())
                    self._make_room()
                elif not self._wake.wait(PING_S):
                    self._ping()
        except OSError as error:
            self.end(f"{type(error).__name__}: {error}")

    def _ready(self) -> bool:
        """Whether something may be sent; an acknowledgement may always."""
        return self._ack_due or (bool(self._outbox) and self._may_send())

    def _may_send(self) -> bool:
        return self._sent_b - self._acked_b < WINDOW_B

    def _next(self) -> bytes:
        """What is sent next: an acknowledgement first, of all that is handled by now."""
        pieces, size = [], 0
        if self._ack_due:
            self._ack_due = False
            pieces.append(_frame(["ack", self._told_b]))
        while self._outbox and size < WRITE_B and self._may_send():
            pieces.append(self._outbox.popleft())
            size += len(pieces[-1])
        self._waiting_b -= size
        return b"".join(pieces)

    def _make_room(self) -> None:
        if self._full and self._waiting_b < OUTBOX_B // 2 and self._bridge is not None:
            self._full = False
            self._bridge.do(self._bridge.room)

    def _ping(self) -> None:
        if not self._handled.done:
            self._heard = runtime.now()  # we do not listen while the bridge is at work
        silent_s = runtime.now() - self._heard
        if silent_s > SILENCE_S:
            self.end(f"nothing heard for {silent_s:.1f} s")
        elif not self._outbox:
            self.send((), "", [wire.encode(["ping"])], can_wait=False)

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        self._sent_b += len(data)
        self._writing = True
        while view and not self.ended:
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                if not runtime.wait_io(self._sock, write=True, timeout_s=SILENCE_S):
                    self.end(f"it took nothing for {SILENCE_S:g} s")
        self._writing = False

    def _read(self, timeout_s: float | None) -> bytes | None:
        """What can be read; empty at the end of the stream, None when nothing came in time."""
        while True:
            try:
                return self._sock.recv(READ_B)
            except BlockingIOError:
                if not runtime.wait_io(self._sock, timeout_s=timeout_s):
                    return None


def _frame(message: list[Any]) -> bytes:
    return wire.frame(wire.encode(message))


def _proof(key: bytes, nonce: bytes, node: str) -> bytes:
    return hmac.digest(key, nonce + node.encode(), hashlib.sha256)


def _same(given: list[Any], wanted: bytes) -> bool:
    return len(given) == 1 and isinstance(given[0], bytes) and hmac.compare_digest(given[0], wanted)
