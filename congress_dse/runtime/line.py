"""Line: the bytes of one connection, for one greenthread that reads and writes; also under TLS.

The hub watches the socket for as long as the connection lives, so that a request costs no more of
it than one look. What comes while nobody reads is kept, up to `HELD_B`; then the sender waits.
"""

import contextlib
import socket
import ssl
from typing import Any

from congress_dse.runtime import chosen as runtime

READ_B = 64 * 1024
HELD_B = 256 * 1024


class Line:
    """A connected socket; `read` and `write` let others run while they wait."""

    def __init__(self, sock: Any, patience_s: float) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._patience_s = patience_s  # for the far side to take a part of what is written
        self._got: list[bytes] = []
        self._got_b = 0
        self._ended = False
        self._waiter: Any = None
        self._watch: Any = runtime.watch_io(sock, self._readable)

    def read(self) -> bytes:
        """What came, one byte at least; none at the end. Raises what `throw` was given."""
        while not self._got:
            if self._ended:
                return b""
            if self._watch is None:
                self._watch = runtime.watch_io(self._sock, self._readable)
            self._waiter = runtime.Waiter()
            try:
                self._waiter.wait()
            finally:
                self._waiter = None
        data = self._got[0] if len(self._got) == 1 else b"".join(self._got)
        self._got, self._got_b = [], 0
        return data

    def write(self, data: bytes) -> None:
        """Have all of it taken; raises OSError where the far side has gone, or does not take it."""
        left: Any = data
        while True:
            try:
                sent = self._sock.send(left)
            except BlockingIOError:
                sent = 0
            if sent == len(left):
                return
            left = memoryview(left)[sent:]
            if not runtime.wait_io(self._sock, write=True, timeout_s=self._patience_s):
                raise TimeoutError(f"it took nothing for {self._patience_s:g} s")

    def throw(self, error: BaseException) -> None:
        """Have `read` raise this, if it waits."""
        if self._waiter is not None:
            self._waiter.throw(error)

    def came(self) -> bool:
        """Whether something is here that was not read yet, be it with the system."""
        if self._got:
            return True
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def say_no_more(self) -> None:
        """Tell the far side that all was written."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the socket."""
        self._rest()
        self._sock.close()

    def _readable(self) -> None:
        """Called by the hub."""
        try:
            data = self._sock.recv(READ_B)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._got.append(data)
            self._got_b += len(data)
        else:
            self._ended = True
        if self._ended or self._got_b > HELD_B:
            self._rest()
        if self._waiter is not None:
            self._waiter.send()

    def _rest(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None


class TlsLine:
    """A line whose bytes are TLS's; it shakes hands with the first read."""

    def __init__(self, line: Line, context: ssl.SSLContext) -> None:
        self._line = line
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes, server_side=True)
        self._greeted = False
        self.came, self.throw, self.close = line.came, line.throw, line.close

    def read(self) -> bytes:
        """What came; see `Line`. Raises SSLError, an OSError, for what is no TLS."""
        while True:
            try:
                if not self._greeted:
                    self._tls.do_handshake()
                    self._greeted = True
                return self._tls.read(READ_B)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                pass
            finally:
                self._flush()
            data = self._line.read()
            if not data:
                return b""
            self._came.write(data)

    def write(self, data: bytes) -> None:
        """Have all of it taken; see `Line`."""
        left = memoryview(data)
        while left:
            left = left[self._tls.write(left) :]
            self._flush()

    def say_no_more(self) -> None:
        """Tell the far side that all was written."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()
        self._line.say_no_more()

    def _flush(self) -> None:
        if self._goes.pending:
            self._line.write(self._goes.read())


def without_delay(sock: Any) -> None:
    """Have what is written sent at once; a socket of another kind does so anyway."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
