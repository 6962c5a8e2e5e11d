"""Which routing keys reach this node's queue: what is wanted, and what the broker has."""

from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

KEY_MAX_B = 255  # AMQP 0-9-1, short string


class Bindings:
    """Any thread changes what is wanted; the thread that speaks with the broker brings it there."""

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock
        self._wanted: set[str] = set()
        self._there: set[str] = set()
        self._unsure: set[str] = set()  # the queue may have them: all that it has, and more
        self._changed: dict[str, None] = {}

    def bind(self, routing_key: str) -> None:
        with self._lock:
            self._wanted.add(routing_key)
            self._changed[routing_key] = None

    def unbind(self, routing_key: str) -> None:
        with self._lock:
            self._wanted.discard(routing_key)
            self._changed[routing_key] = None

    def changes(self, at_most: int) -> tuple[list[str], list[str]]:
        """The keys to bind and those to unbind since the last time; `settled` ends it."""
        if not self._changed:
            return [], []
        with self._lock:
            changed = list(islice(self._changed, at_most))
            for key in changed:
                del self._changed[key]
            bind = [key for key in changed if key in self._wanted and key not in self._there]
            unbind = [key for key in changed if key not in self._wanted and key in self._unsure]
            self._there.update(bind)
            self._unsure.update(bind)
            self._there.difference_update(unbind)
            return bind, unbind

    @property
    def changed(self) -> bool:
        """Whether the broker has yet to be told something."""
        return bool(self._changed)

    def anew(self) -> None:
        """Tell all again: the connection is new, and the queue may be, or may have old bindings."""
        with self._lock:
            self._there = set()
            self._changed = dict.fromkeys([*self._unsure, *self._wanted])

    def settled(self) -> None:
        """The broker has done what it was told."""
        self._unsure &= self._there

    def __len__(self) -> int:
        return len(self._wanted)
