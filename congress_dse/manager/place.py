"""Where a service works: what it is given by its master, and what it can tell it."""

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator
from socket import socket
from typing import Any

from congress_dse.exceptions import Poisoned
from congress_dse.manager.lines import Message

EVENTS_MAX, EVENTS_PER_S = 200, 5  # of one worker: at once, and in the long run
EVENT_TEXT_MAX = 4000  # characters


class Place:
    """A service's view of its worker; ``service.place``. Usable from any thread or greenthread.

    `slots` are the numbers of the service's workers that are to serve; the service's ``resized``,
    if it has one, is called when they change.
    """

    def __init__(
        self,
        send: Callable[[Message], object],
        parked: tuple[str, ...] = (),
        slots: tuple[int, ...] = (0,),
    ) -> None:
        self.listeners: dict[str, socket] = {}
        self.requests = 0
        self.parked: set[str] = set(parked)
        self.slots = slots
        self.before_reload: list[Callable[[], object]] = []
        self._send = send
        self._events_left: float = EVENTS_MAX
        self._event_at = time.monotonic()

    def ready(self) -> None:
        """Tell that the service serves, if its class has ``announces_ready``."""
        self._send({"is": "ready"})

    def happened(self, kind: str, subject: str, text: str, level: str = "info") -> None:
        """Tell what an operator will want to have known; a flood of it is cut short."""
        now = time.monotonic()
        self._events_left = min(
            EVENTS_MAX, self._events_left + EVENTS_PER_S * (now - self._event_at)
        )
        self._event_at = now
        if self._events_left >= 1:
            self._events_left -= 1
            event = {"kind": kind, "subject": subject, "text": text[:EVENT_TEXT_MAX]}
            self._send({"is": "event", "event": {**event, "level": level}})

    def stop(self, reason: str) -> None:
        """Have the whole application stopped, gracefully."""
        self._send({"is": "stop", "reason": reason})

    def served(self, count: int = 1) -> None:
        """Count requests, for recycling by number."""
        self.requests += count

    @contextlib.contextmanager
    def in_hand(self, key: str, payload: Any) -> Iterator[None]:
        """Work on `payload` (plain data) so that the master knows, should it end this process.

        Raises Poisoned if it did so three times before; the payload is parked with the master.
        """
        if key in self.parked:
            raise Poisoned(f"{key} ended workers before and is parked; replay it to have it again")
        self._send({"is": "taken", "key": key, "payload": payload})
        try:
            yield
        except Exception:
            self._send({"is": "raised", "key": key, "traceback": traceback.format_exc()})
            raise
        self._send({"is": "done", "key": key})
