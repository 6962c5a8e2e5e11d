"""Clients: what the HTTP servers of every runtime have in common: their limits, and who is let go.

A server has room for so many connections, and when it has none, the one that has been without a
request for longest gives way. At the end each client that asked lately has a moment for its next
request, which tells it to close.
"""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import NamedTuple

IDLE_GRACE_S = 2.0  # at the end: for the next request of a client that asked lately
LATELY_S = 5.0
LINGER_S = 1.0  # a client that is refused in mid-request reads the answer before the reset

Refusal = Callable[[int, str], tuple[dict[str, str], bytes]]


class Limits(NamedTuple):
    """What one server takes; `refusal` makes headers and body of the answer to what is no request.

    Sizes are in bytes, times in seconds; with a `keepalive_s` of 0 no connection is kept.
    """

    refusal: Refusal
    header_max_b: int
    body_max_b: int
    connections_max: int
    client_s: float
    keepalive_s: float


class Client:
    """One connection; `idle_since` is when it began to be without a request, 0 while it has one."""

    def __init__(self) -> None:
        self.idle_since = monotonic()
        self._grace = 0.0

    def end(self) -> None:
        """Cut the client off."""
        raise NotImplementedError

    def asks(self) -> bool:
        """Whether a request has come that nobody has looked at yet."""
        raise NotImplementedError

    def silent(self, now: float, end: float) -> bool:
        """Whether the client has been given time enough, at the end of the server."""
        lately = now - self.idle_since < LATELY_S
        self._grace = self._grace or (now + IDLE_GRACE_S if lately else now)
        return now >= min(self._grace, end)


def make_room(clients: Iterable[Client]) -> None:
    """End the one that has been without a request for longest, if one is."""
    idle = [client for client in clients if client.idle_since]
    for client in sorted(idle, key=lambda client: client.idle_since):
        if not client.asks():
            client.end()
            return


def let_go(clients: Iterable[Client], end: float) -> None:
    """End those who will hardly ask again; `end` is when the server's patience does."""
    now = monotonic()
    for client in list(clients):
        if client.idle_since and client.silent(now, end) and not client.asks():
            client.end()
