"""Feeds: the tables that clients of this process follow, each subscribed to once.

A feed keeps the last changes of its table, encoded once for all. A follower is a place in it and no
queue: one that falls behind what is kept gets the table anew, so a slow client costs no memory.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from congress_dse import deepsix
from congress_dse.api.http import dumps
from congress_dse.dataobj import Mark
from congress_dse.datasources.desk import plain_row
from congress_dse.rows import plain as as_set
from congress_dse.runtime import chosen as runtime

KEPT = 200  # changes of one table
KEPT_B = 2**20  # of them, encoded
PART_ROWS = 2000  # encoded in one go; others have their turn between two
LINGER_S = 10.0  # a table that nobody follows any more is let go after this

NOTHING = Mark(0, 0)


class Change(NamedTuple):
    """One change: the version it builds on, the mark it leads to, and its event."""

    since: int
    mark: Mark
    event: bytes


class Feed:
    """One table, as the subscription of this process knows it."""

    def __init__(self, source: str, table: str) -> None:
        self.source, self.table = source, table
        self.mark = NOTHING
        self.followers: set[Follower] = set()
        self.subscription = ""
        self.let_go: Any = None
        self.looked_up = 0.0
        self.gone = False
        self._data: Any = None
        self._changes: deque[Change] = deque()
        self._kept_b = 0
        self._whole: list[bytes] = []
        self._whole_mark = NOTHING

    def take(self, update: Any) -> None:
        """Take one update of the table, and wake who follows it."""
        if not update.version:
            return  # nothing was published yet
        before, self.mark = self.mark, Mark(update.epoch, update.version)
        self._data = update.data
        in_order = before.epoch == update.epoch and before.version < update.version
        if update.since is None or update.opaque or not in_order:
            self._changes.clear()
            self._kept_b = 0
        else:
            self._keep(before.version, update)
        for follower in self.followers:
            follower.wake()

    def changes(self, since: Mark) -> list[Change] | None:
        """What came after `since`; None where that is not known any more."""
        if since == self.mark:
            return []
        if since.epoch != self.mark.epoch:
            return None
        found = [change for change in self._changes if change.since >= since.version]
        return found if found and found[0].since == since.version else None

    def kept_b(self) -> int:
        """Bytes of the changes that are kept."""
        return self._kept_b

    def whole(self) -> Iterator[bytes]:
        """The event of the whole table, in parts; encoded once for all who want this version."""
        if self._whole_mark == self.mark:
            yield from self._whole
            return
        mark, parts = self.mark, []
        for part in self._encoded(mark):
            parts.append(part)
            yield part
        if mark == self.mark:
            self._whole, self._whole_mark = parts, mark

    def _encoded(self, mark: Mark) -> Iterator[bytes]:
        data = as_set(self._data)
        rows = list(data) if isinstance(data, set | frozenset) else [data]
        head = dumps({**self._named(mark), "rows": []})[:-2]
        yield _opening("snapshot", mark) + head + b"\n"
        for at in range(0, len(rows), PART_ROWS):
            part = dumps([plain_row(row) for row in rows[at : at + PART_ROWS]])[1:-1]
            yield b"data: " + part + (b",\n" if at + PART_ROWS < len(rows) else b"\n")
            runtime.sleep(0)
        yield b"data: ]}\n\n"

    def _keep(self, since: int, update: Any) -> None:
        told = {
            **self._named(self.mark),
            "added": [plain_row(row) for row in update.added],
            "removed": [plain_row(row) for row in update.removed],
        }
        event = _opening("delta", self.mark) + dumps(told) + b"\n\n"
        self._changes.append(Change(since, self.mark, event))
        self._kept_b += len(event)
        while len(self._changes) > KEPT or (self._kept_b > KEPT_B and len(self._changes) > 1):
            self._kept_b -= len(self._changes.popleft().event)

    def _named(self, mark: Mark) -> dict[str, Any]:
        return {
            "source": self.source,
            "table": self.table,
            "epoch": mark.epoch,
            "version": mark.version,
        }


class Follower:
    """A client that follows one feed, from `at` on."""

    __slots__ = ("_waiter", "at", "feed")

    def __init__(self, feed: Feed, at: Mark) -> None:
        self.feed = feed
        self.at = at
        self._waiter: runtime.Waiter | None = None

    def behind(self) -> bool:
        """Whether there is something to send."""
        return self.feed.mark not in {self.at, NOTHING}

    def wait(self, timeout_s: float) -> None:
        """Wait until there may be something to send."""
        self._waiter = runtime.Waiter()
        try:
            self._waiter.wait(timeout_s)
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Have it look at its feed."""
        if self._waiter is not None:
            self._waiter.send()

    def news(self) -> Iterator[bytes]:
        """The events that bring it up to date."""
        changes = self.feed.changes(self.at)
        if changes is None:
            self.at = self.feed.mark
            yield from self.feed.whole()
        else:
            for change in changes:
                self.at = change.mark
                yield change.event


class Feeds(deepsix.deepSix):
    """The service of an API process that follows tables for its clients."""

    ending = False

    def feeds(self) -> dict[tuple[str, str], Feed]:
        """The feeds by source and table."""
        found: dict[tuple[str, str], Feed] = self.__dict__.setdefault("_feeds", {})
        return found

    def follow(self, source: str, table: str, at: Mark) -> Follower:
        """A new follower of a table; `leave` lets it go."""
        feed = self.feeds().get((source, table))
        if feed is None:
            feed = self.feeds()[source, table] = Feed(source, table)
            self.do(lambda: self._subscribe(feed))
        follower = Follower(feed, at)
        feed.followers.add(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Let a follower go, and its table a while later, unless another one comes."""
        feed = follower.feed
        feed.followers.discard(follower)
        if not feed.followers:
            self.do(lambda: self._rest(feed))

    def end(self) -> None:
        """Have every stream told that it ends."""
        self.ending = True
        for feed in self.feeds().values():
            for follower in feed.followers:
                follower.wake()

    def _subscribe(self, feed: Feed) -> None:
        take: Callable[[Any], None] = lambda msg: feed.take(msg.body)  # noqa: E731
        feed.subscription = self.subscribe(feed.source, feed.table, callback=take)

    def _rest(self, feed: Feed) -> None:
        if feed.let_go is not None:
            feed.let_go.cancel()
        feed.let_go = self.after(LINGER_S, self._let_go, feed)

    def _let_go(self, feed: Feed) -> None:
        if not feed.followers and self.feeds().get((feed.source, feed.table)) is feed:
            del self.feeds()[feed.source, feed.table]
            self.unsubscribe(corrId=feed.subscription)


def _opening(event: str, mark: Mark) -> bytes:
    return f"id: {mark.epoch}.{mark.version}\nevent: {event}\ndata: ".encode()
