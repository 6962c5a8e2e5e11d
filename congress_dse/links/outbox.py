"""What is to be published, in order: it is kept until the broker has confirmed it.

Any thread puts; one thread takes, sends and confirms. A message that was taken in is sent at least
once, also over a loss of the connection, so the limits count what waits and what is unconfirmed
alike, and when they are met the new message is refused: who published knows, and can send the whole
instead when there is room again.
"""

from collections import OrderedDict, deque
from contextlib import AbstractContextManager
from typing import Any

Message = tuple[str, bytes]  # routing key, body


class Outbox:
    """A bounded queue with a part that is on its way. `lock` is held for the time of a put."""

    def __init__(self, lock: AbstractContextManager[Any], count_max: int, size_max_b: int) -> None:
        self._lock = lock
        self._count_max, self._size_max_b = count_max, size_max_b
        self._waiting: deque[Message] = deque()
        self._sent: OrderedDict[int, Message | None] = OrderedDict()
        self._tag = 0
        self._put = self._put_b = 0  # written by those who put
        self._done = self._done_b = 0  # written by the one who sends
        self.refused = 0
        self.confirmed = 0
        self.full = False

    def put(self, routing_key: str, body: bytes) -> bool:
        """Take a message in; False, and nothing is taken, when a limit is met."""
        with self._lock:
            size_b = self.size_b + len(body)
            if self.depth >= self._count_max or (size_b > self._size_max_b and self.depth):
                self.refused += 1
                self.full = True
                return False
            self._put += 1
            self._put_b += len(body)
            self._waiting.append((routing_key, body))
            return True

    @property
    def depth(self) -> int:
        """How many wait or are unconfirmed."""
        return self._put - self._done

    @property
    def size_b(self) -> int:
        return self._put_b - self._done_b

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def unconfirmed(self) -> int:
        return len(self._sent)

    def take(self) -> Message | None:
        """The next message to send, or None; it is unconfirmed from now on."""
        if not self._waiting:
            return None
        message = self._waiting.popleft()
        self._tag += 1
        self._sent[self._tag] = message
        return message

    def pass_by(self) -> int:
        """The tag of a message that is sent past the queue and not kept."""
        self._tag += 1
        self._sent[self._tag] = None
        return self._tag

    def confirm(self, tag: int, multiple: bool) -> None:
        """The broker has taken the message `tag`, or all up to it."""
        for message in self._pop(tag, multiple):
            if message is not None:
                self.confirmed += 1
                self._done_b += len(message[1])
                self._done += 1

    def refuse(self, tag: int, multiple: bool) -> None:
        """The broker could not take them: they are sent again, first."""
        self._again(self._pop(tag, multiple))

    def lost(self) -> int:
        """The connection is lost: what is unconfirmed is sent again, first; return how many."""
        messages = list(self._sent.values())
        self._sent.clear()
        self._tag = 0
        return self._again(messages)

    def has_room(self) -> bool:
        """Whether a message was refused and half of the room is free since; says so once."""
        if not self.full:
            return False
        if self.depth * 2 > self._count_max or self.size_b * 2 > self._size_max_b:
            return False
        self.full = False
        return True

    def _pop(self, tag: int, multiple: bool) -> list[Message | None]:
        sent = self._sent
        if not multiple:
            return [sent.pop(tag)] if tag in sent else []
        popped = []
        while sent and (next(iter(sent)) <= tag or not tag):
            popped.append(sent.popitem(last=False)[1])
        return popped

    def _again(self, messages: list[Message | None]) -> int:
        kept = [message for message in reversed(messages) if message is not None]
        self._waiting.extendleft(kept)
        return len(kept)
