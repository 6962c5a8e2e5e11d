"""Mailbox: what waits for one service, in the order of arrival, and never more than its capacity.

A pure machine: `put` and `take` never wait, and `wake` is called once when an idle reader has work.

* Control messages (shut, stop, timers) overtake all others and are never refused.
* When full, the policy says what gives way: ``block`` makes the sender wait, ``drop-new`` loses
  the new message, ``drop-old`` the oldest, ``reject`` raises MailboxFull at the sender.
* An update of a table is never waited for: when full it is dropped and the loss is remembered, and
  the reader asks for a snapshot once it has caught up. Answers and unsubscriptions are always
  taken. A subscription waits for room without its sender, who waits for the answer alone.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from congress_dse import exceptions
from congress_dse.d6message import d6msg
from congress_dse.runtime.clock import now

CAPACITY = 10_000  # messages; a service that falls this far behind has met its limit

CONTROL = frozenset({"shut", "stop", "tick", "do", "down", "lost"})
ALWAYS = frozenset({"rep", "unsub"})
ALONE = frozenset({"sub", "resync", "pull"})  # sent again and again until they are answered

Policy = Literal["block", "drop-new", "drop-old", "reject"]
POLICIES = ("block", "drop-new", "drop-old", "reject")

Entry = tuple[float, d6msg]


class Held:
    """A message that waits outside of a full mailbox; `taken` is called once it is inside."""

    __slots__ = ("msg", "taken")

    def __init__(self, msg: d6msg, taken: Callable[[], Any]) -> None:
        self.msg = msg
        self.taken = taken


@dataclass(frozen=True)
class MailboxStatistics:
    """Counts since the start; `oldest_s` is the age of the oldest message that waits."""

    depth: int
    capacity: int
    oldest_s: float
    received: int
    dropped: int
    coalesced: int


class Mailbox:
    """The queue of one service. It outlives the service's restarts, and loses nothing by them.

    Its reader may take from `control` and `waiting`, in this order, without a call of `take`; then
    it calls `make_room` where somebody waits for `room`, and `take` before it rests.
    """

    __slots__ = (
        "capacity",
        "closed",
        "coalesced",
        "control",
        "dropped",
        "far",
        "idle",
        "lost",
        "name",
        "on_drop",
        "policy",
        "received",
        "room",
        "waiting",
        "wake",
    )

    def __init__(self, name: str = "", capacity: int = CAPACITY, policy: Policy = "reject") -> None:
        self.name = name
        self.bound(capacity, policy)
        self.idle = True
        self.closed = False
        self.far = False  # whether its reader stands for other nodes
        self.wake: Callable[[], None] = _nobody
        self.on_drop: Callable[[d6msg, str], None] = _forget
        self.received = self.dropped = self.coalesced = 0
        self.lost: dict[tuple[str, str], None] = {}
        self.room: deque[Held] = deque()  # who waits for it
        self.waiting: deque[Entry] = deque()
        self.control: deque[Entry] = deque()

    def bound(self, capacity: int, policy: Policy) -> None:
        """Set the limit and what gives way at it; raises ValueError for a policy that is none."""
        if policy not in POLICIES or capacity < 1:
            raise ValueError(
                f"mailbox of {self.name!r}: capacity {capacity} with policy {policy!r}; "
                f"a capacity is at least 1, a policy one of {', '.join(POLICIES)}"
            )
        self.capacity = capacity
        self.policy = policy

    def put_nowait(self, msg: d6msg) -> bool:
        """Take `msg`; return False where it has to wait for room (policy ``block``); see `hold`.

        Raises MailboxFull where the policy is to reject.
        """
        if len(self.waiting) < self.capacity and msg.type not in CONTROL:
            self.waiting.append((now(), msg))
        elif self.closed:
            self._refuse(msg)
            return True
        elif msg.type in CONTROL:
            self.control.append((now(), msg))
        elif msg.type in ALWAYS:
            self.waiting.append((now(), msg))
        elif not self._full(msg):
            return False
        self.received += 1
        if self.idle:
            self.idle = False
            self.wake()
        return True

    def last(self, msg: d6msg) -> None:
        """Put `msg` behind everything that waits, whatever the capacity."""
        self.waiting.append((now(), msg))
        if self.idle:
            self.idle = False
            self.wake()

    def hold(self, msg: d6msg, taken: Callable[[], Any]) -> Held:
        """Let `msg` wait for room, behind all that do, and call `taken()` when it is in.

        While one waits the mailbox stays full, so nothing overtakes it. From any thread.
        """
        held = Held(msg, taken)
        self.room.append(held)
        self.received += 1
        if self.closed:
            self._refuse_held()
        else:
            self.make_room()  # the reader may have taken all of it since we were refused
        return held

    def give_up(self, held: Held) -> bool:
        """Have it wait no more; return False when it is in already."""
        try:
            self.room.remove(held)
        except ValueError:
            return False
        return True

    def again(self, msg: d6msg) -> None:
        """Put `msg` before everything that waits: its receiver died of it and tries once more."""
        self.waiting.appendleft((now(), msg))

    def withdraw(self, unwanted: Callable[[d6msg], bool]) -> list[d6msg]:
        """Take out, and return, the messages that are for nobody any more."""
        out = []
        for queue in (self.control, self.waiting):
            out += [msg for _, msg in queue if unwanted(msg)]
            kept = [entry for entry in queue if not unwanted(entry[1])]
            queue.clear()
            queue.extend(kept)
        self.make_room()
        return out

    def make_room(self) -> None:
        """Take in what waits for room, as far as there is any."""
        while len(self.waiting) < self.capacity:
            try:
                held = self.room.popleft()
            except IndexError:
                return
            self.waiting.append((now(), held.msg))
            if self.idle:
                self.idle = False
                self.wake()
            held.taken()

    def take(self) -> Entry | None:
        """The next (time of arrival, message); None, and the reader is idle, when there is none."""
        if self.control:
            return self.control.popleft()
        if self.waiting:
            entry = self.waiting.popleft()
            if self.room:
                self.make_room()
            return entry
        if self.lost:
            lost = d6msg(type="lost", body=list(self.lost))
            self.lost.clear()
            return now(), lost
        self.idle = True
        if self.waiting or self.control:
            self.idle = False  # a native thread has put one meanwhile, and thought us awake
            return self.take()
        return None

    def close(self) -> list[d6msg]:
        """Take nothing any more; return what was never handled."""
        left = [msg for _, msg in self.waiting]
        self.waiting.clear()
        self.control.clear()
        self.closed, self.capacity, self.idle, self.wake = True, 0, True, _nobody
        self._refuse_held()
        return left

    def statistics(self) -> MailboxStatistics:
        """A snapshot of the counts."""
        waiting = [q[0][0] for q in (self.waiting, self.control) if q]
        oldest_s = now() - min(waiting) if waiting else 0.0
        return MailboxStatistics(
            len(self), self.capacity, oldest_s, self.received, self.dropped, self.coalesced
        )

    def __len__(self) -> int:
        return len(self.waiting) + len(self.control)

    def __bool__(self) -> bool:
        return True

    # The names of the queue that Congress's own code puts to and asks.
    put = put_nowait

    def qsize(self) -> int:
        """How many messages wait."""
        return len(self)

    def empty(self) -> bool:
        """Whether none waits."""
        return not len(self)

    def _refuse(self, msg: d6msg) -> None:
        """What comes after the end: a dead letter, but of the engine's own messages."""
        if msg.type not in CONTROL:
            self.dropped += 1
            self.on_drop(msg, "stopped")

    def _refuse_held(self) -> None:
        while self.room:
            held = self.room.popleft()
            self._refuse(held.msg)
            held.taken()

    def _full(self, msg: d6msg) -> bool:
        if msg.type == "pub":
            self.coalesced += 1
            self.lost[msg.correlationId, msg.replyTo] = None
        elif self.policy == "block":
            if msg.type not in ALONE:
                return False
            if not any(held.msg.correlationId == msg.correlationId for held in self.room):
                self.room.append(Held(msg, _nobody))
        elif self.policy == "drop-old":
            _, old = self.waiting.popleft()
            self.waiting.append((now(), msg))
            self._drop(old)
        else:
            self._drop(msg)
            if self.policy == "reject":
                raise exceptions.MailboxFull(
                    f"mailbox of {self.name!r} is full: {len(self.waiting)} messages wait, "
                    f"the capacity is {self.capacity}"
                )
        return True

    def _drop(self, msg: d6msg) -> None:
        if msg.type == "pub":
            self.coalesced += 1
            self.lost[msg.correlationId, msg.replyTo] = None
            return
        self.dropped += 1
        self.on_drop(msg, "mailbox full")


def _nobody() -> None:
    """The wake of a mailbox that has no reader yet: what it takes waits."""


def _forget(_msg: Any, _reason: str) -> None:
    """The drop of a mailbox that belongs to no cage."""
