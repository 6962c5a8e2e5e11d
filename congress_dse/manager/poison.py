"""Work that ends its workers: counted, and parked at the third time. A machine."""

from dataclasses import asdict, dataclass, field
from typing import Any

from congress_dse.exceptions import NoSuchWorker

ATTEMPTS_MAX = 3
STACK_MAX = 8000  # characters kept of a stack
COUNTED_MAX = 10_000  # pieces of work with failures that are remembered; the oldest go first


@dataclass
class Work:
    """One piece of work, and how often it ended whoever had it in hand."""

    service: str
    key: str
    payload: Any
    attempts: int = 0
    stack: str = ""


@dataclass
class Poison:
    """What workers have in hand, what failed before, and what is parked."""

    in_hand: dict[int, dict[str, Work]] = field(default_factory=dict)
    counted: dict[tuple[str, str], Work] = field(default_factory=dict)
    parked: dict[tuple[str, str], Work] = field(default_factory=dict)

    def taken(self, serial: int, service: str, key: str, payload: Any) -> None:
        """A worker begins with a piece of work."""
        work = self.counted.get((service, key)) or Work(service, key, payload)
        self.in_hand.setdefault(serial, {})[key] = work

    def done(self, serial: int, key: str) -> None:
        """A worker finished it; what was held against it is forgotten."""
        work = self.in_hand.get(serial, {}).pop(key, None)
        if work:
            self.counted.pop((work.service, key), None)

    def raised(self, serial: int, key: str, stack: str) -> bool:
        """It raised in its worker, which lives; answer whether it is parked now."""
        work = self.in_hand.get(serial, {}).pop(key, None)
        return work is not None and self._count(work, stack)

    def died(self, serial: int, stack: str) -> list[Work]:
        """Its worker died; answer with what is parked now."""
        works = self.in_hand.pop(serial, {}).values()
        return [work for work in works if self._count(work, stack)]

    def ended(self, serial: int) -> None:
        """The worker ended as it was asked to; nothing is held against what it had in hand."""
        self.in_hand.pop(serial, None)

    def replay(self, service: str, key: str) -> Work:
        """Take a piece of work out of the parking; raises NoSuchWorker if it is not there."""
        try:
            return self.parked.pop((service, key))
        except KeyError:
            raise NoSuchWorker(f"{service}: nothing is parked under {key!r}") from None

    def keys(self, service: str) -> list[str]:
        """The keys that workers of `service` are not to touch."""
        return [key for owner, key in self.parked if owner == service]

    def statistics(self) -> list[dict[str, Any]]:
        """What is parked, as plain data."""
        return [asdict(work) for work in self.parked.values()]

    def _count(self, work: Work, stack: str) -> bool:
        work.attempts += 1
        work.stack = stack[-STACK_MAX:]
        place = (work.service, work.key)
        self.counted[place] = work
        if len(self.counted) > COUNTED_MAX:
            del self.counted[next(iter(self.counted))]
        if work.attempts < ATTEMPTS_MAX:
            return False
        self.counted.pop(place, None)
        self.parked[place] = work
        return True
