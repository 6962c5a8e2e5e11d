"""Leases: which sources one node may run, of those that several nodes have; a machine.

A node runs a source for as long as it has the source's lock at a coordination service. What such a
service does to a lock when it restarts, or when it cuts a session, is not relied on:

- A node proves its locks every beat. A proof is as old as the moment it was asked for.
- ``fence_s`` after the last proof the node stops the source, whether it knows why or not.
- Who gets a lock waits for ``settle_s`` before it runs the source: longer than ``fence_s`` and the
  time that a stop may take. The one before it has stopped by then, or proved the lock later than
  the new one got it, which cannot be.

So no two nodes run a source at a time, if their clocks run at one rate; what they show is all the
same. A node that has what belongs to another one hands it over as soon as that one is there.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

ALL_AT_ONCE = (
    4  # the part of the free sources, one in so many, that is tried where no node is known
)


class Times(NamedTuple):
    """How a lease is divided, in seconds. `ttl_s` is what a service is told, where it asks."""

    beat_s: float
    ttl_s: int
    fence_s: float
    settle_s: float

    @property
    def stop_s(self) -> float:
        """How long the stop of a source may take."""
        return self.settle_s - self.fence_s


def times(lease_s: float) -> Times:
    """The division of a lease: what a dead node had is taken over within `lease_s`."""
    return Times(0.1 * lease_s, max(1, int(0.4 * lease_s)), 0.33 * lease_s, 0.45 * lease_s)


@dataclass
class Held:
    """A lock of this node: since when it counts, its last proof, and since when it is to go."""

    since: float
    proved: float
    revoked: float | None = None


class Leases:
    """The leases of one node. All times are of one monotonic clock.

    `members` are the nodes that are there with the sources that each has, None where the service
    cannot say; `quiet` is whether nobody here runs what is revoked any more.
    """

    def __init__(self, node: str, divided: Times) -> None:
        self.node = node
        self.times = divided
        self.members: Mapping[str, frozenset[str]] | None = None
        self.wanted: dict[str, str] = {}
        self.held: dict[str, Held] = {}
        self.grants: dict[str, int] = {}  # of each source, how often this node got its lease
        self.losses: dict[str, int] = {}  # and how often it was without, unasked
        self._elsewhere: dict[str, float] = {}
        self._tried: dict[str, float] = {}

    def want(self, pins: Mapping[str, str]) -> None:
        """These sources are configured here, each with the node that it names, or ""."""
        self.wanted = dict(pins)

    def to_try(self, now: float) -> list[str]:
        """The sources whose locks this node should try to get."""
        free = [name for name in self.wanted if name not in self.held and self.home(name)]
        if self.members is None:
            # First those that were not tried for the longest time, then those that are ours rather.
            free.sort(key=lambda name: (self._tried.get(name, 0.0), bid(name, self.node)))
            free = free[: -(-len(free) // ALL_AT_ONCE)]
        self._tried |= dict.fromkeys(free, now)
        return free

    def got(self, name: str, asked: float, now: float) -> None:
        """The lock was free and is ours; it was asked for at `asked`."""
        self.held[name] = Held(since=now, proved=asked)
        self.grants[name] = self.grants.get(name, 0) + 1

    def proved(self, name: str, asked: float) -> None:
        """The lock is ours still. One that was out of sight for too long counts anew."""
        held = self.held[name]
        if asked > held.proved + self.times.fence_s:
            held.since = asked
            self.losses[name] = self.losses.get(name, 0) + 1
            self.grants[name] += 1
        held.proved = asked

    def lost(self, name: str) -> None:
        """The lock is not ours any more; what was to go is no loss."""
        if self.held.pop(name).revoked is None:
            self.losses[name] = self.losses.get(name, 0) + 1

    def lapsed(self, now: float) -> list[str]:
        """The locks of which nothing was heard for too long: they are lost, or to be let go."""
        return [n for n, held in self.held.items() if now > held.proved + self.times.settle_s]

    def review(self, now: float) -> None:
        """Revoke what is not wanted any more, and what belongs to a node that has come."""
        for name, held in self.held.items():
            if self.home(name):
                self._elsewhere.pop(name, None)
            since = self._elsewhere.setdefault(name, now) if not self.home(name) else now
            gone = name not in self.wanted or now - since >= self.times.settle_s
            if gone and held.revoked is None:
                held.revoked = now

    def granted(self, now: float) -> dict[str, float]:
        """The sources that may run here, and until when unless a later proof says more."""
        found = {}
        for name, held in self.held.items():
            until = held.proved + self.times.fence_s
            if held.revoked is None and held.since + self.times.settle_s <= now < until:
                found[name] = until
        return found

    def to_release(self, now: float, quiet: bool) -> list[str]:
        """The revoked locks that may go to another node: those who ran the sources have stopped."""
        return [
            name
            for name, held in self.held.items()
            if held.revoked is not None and (quiet or now > held.revoked + self.times.settle_s)
        ]

    def home(self, name: str) -> bool:
        """Whether this node is the one to run `name`, as far as the others are known."""
        if name not in self.wanted or self.members is None:
            return name in self.wanted
        nodes = {node for node, names in self.members.items() if name in names} | {self.node}
        pinned = self.wanted[name]
        return self.node == (pinned if pinned in nodes else max(nodes, key=lambda n: bid(name, n)))


def bid(name: str, place: object) -> bytes:
    """What a worker or a node bids for a source; the highest one has it (rendezvous hashing)."""
    return hashlib.blake2b(f"{place}:{name}".encode(), digest_size=8).digest()


def colliding(names: Iterable[str], key_b: int = 2) -> list[tuple[str, str]]:
    """Names that are one lock where a service's locks have but the first bytes of an MD5."""
    seen: dict[bytes, str] = {}
    found = []
    for name in sorted(names):
        key = hashlib.md5(name.encode(), usedforsecurity=False).digest()[:key_b]
        if key in seen:
            found.append((seen[key], name))
        seen.setdefault(key, name)
    return found
