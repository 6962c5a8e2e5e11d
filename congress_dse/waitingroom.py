"""WaitingRoom: subscriptions that came before their publisher, until their key is heard."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from congress_dse.d6message import d6msg

SEATS = 10_000  # subscriptions; the oldest gives way, and is sent again by its subscriber


class WaitingRoom:
    """The subscriptions of one cage that nobody has heard yet, by their keys."""

    def __init__(self, seats: int = SEATS) -> None:
        self.seats = seats
        self._waiting: OrderedDict[str, d6msg] = OrderedDict()
        self._by_key: dict[str, dict[str, None]] = {}

    def enter(self, msg: d6msg) -> None:
        """Let `msg` wait; one with the same correlation id is taken for its repetition."""
        self.forget(msg.correlationId)
        self._waiting[msg.correlationId] = msg
        self._by_key.setdefault(msg.key, {})[msg.correlationId] = None
        if len(self._waiting) > self.seats:
            self.forget(next(iter(self._waiting)))

    def forget(self, id_: str) -> None:
        """Let one go that was withdrawn."""
        msg = self._waiting.pop(id_, None)
        if msg is not None:
            same_key = self._by_key[msg.key]
            del same_key[id_]
            if not same_key:
                del self._by_key[msg.key]

    def leave(
        self, patterns: Iterable[str], routes: Callable[[str], tuple[Any, ...]]
    ) -> list[d6msg]:
        """Take those out that `patterns`, just bound, may reach and `routes` does."""
        if not self._waiting:
            return []
        several = list(patterns)
        wild = any("*" in pattern or "#" in pattern for pattern in several)
        keys = list(self._by_key) if wild else [key for key in several if key in self._by_key]
        ids = [id_ for key in keys if routes(key) for id_ in self._by_key[key]]
        found = [self._waiting[id_] for id_ in ids]
        for id_ in ids:
            self.forget(id_)
        return found

    def __len__(self) -> int:
        return len(self._waiting)
