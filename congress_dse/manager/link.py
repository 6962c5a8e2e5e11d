"""The worker's end of the channel to its master: orders come in, signs of life go out.

Everything here is native also when the process is patched afterwards, since this module is loaded
before, and keeps the functions it found.
"""

from _thread import allocate_lock
from select import select
from socket import socket

from congress_dse.manager.lines import Lines, Message, encode

SEND_LIMIT_S = 5.0
CHUNK_B = 65536


class Link:
    """One channel, usable from any thread or greenthread."""

    def __init__(self, channel: socket) -> None:
        channel.setblocking(False)
        channel.set_inheritable(False)  # the worker's own children must not keep it open
        self._channel = channel
        self._lines = Lines()
        self._lock = allocate_lock()

    def send(self, message: Message) -> None:
        """Send one message; a master that is gone or reads nothing is no error of the worker's."""
        data = encode(message)
        with self._lock:
            try:
                while data:
                    data = data[self._some(data) :]
            except OSError:
                return

    def _some(self, data: bytes) -> int:
        try:
            return self._channel.send(data)
        except BlockingIOError:
            if not select([], [self._channel], [], SEND_LIMIT_S)[1]:
                raise TimeoutError(f"the master read nothing for {SEND_LIMIT_S} s") from None
            return 0

    def receive(self) -> list[Message] | None:
        """Wait natively for orders; None when the master is gone."""
        select([self._channel], [], [])
        try:
            data = self._channel.recv(CHUNK_B)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return self._lines.feed(data) if data else None
