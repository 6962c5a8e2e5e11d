"""Who is in the fleet, and what of it is to be seen from outside."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from congress_dse.counters import Series
from congress_dse.exceptions import NoSuchWorker
from congress_dse.manager.crew import Crew
from congress_dse.manager.reloading import Reloading
from congress_dse.manager.roster import Finish, Member

SEEN = (
    *("name", "service", "slot", "pid", "state", "generation", "started_at", "ready_at"),
    *("beat_at", "requests", "rss_b"),
)


ENDS_KEPT = 200


class Muster:
    """The services, their workers, and how a reload and the end stand."""

    def __init__(self) -> None:
        self.crews: dict[str, Crew] = {}
        self.reloading = Reloading()
        self.ending: Finish | None = None
        self.ends: deque[dict[str, Any]] = deque(maxlen=ENDS_KEPT)
        self.end_counts: Counter[tuple[str, bool]] = Counter()
        self.reload_counts: Counter[bool] = Counter()

    def members(self) -> Iterator[Member]:
        """Every worker that lives, in the order of their services."""
        for crew in self.crews.values():
            yield from tuple(crew.members.values())

    def find(self, serial: int) -> Member | None:
        """The worker with this number, unless it is gone."""
        return next((m for m in self.members() if m.serial == serial), None)

    def crew(self, service: str, slot: int | None = None) -> Crew:
        """The crew of `service`, which has `slot`; raises NoSuchWorker."""
        crew = self.crews.get(service)
        if crew is None:
            raise NoSuchWorker(f"no service {service!r}, there are: {', '.join(self.crews)}")
        if slot is not None and not 0 <= slot < crew.workers:
            raise NoSuchWorker(f"{service} has workers 0 to {crew.workers - 1}, not {slot}")
        return crew

    def counters(self) -> list[Series]:
        """What the fleet has counted."""
        ends = [
            ["worker_ends", {"pool": pool, "asked": "yes" if asked else "no"}, count]
            for (pool, asked), count in self.end_counts.items()
        ]
        taken = [
            ["reloads", {"taken": "yes" if taken else "no"}, count]
            for taken, count in self.reload_counts.items()
        ]
        return [*ends, *taken]

    def gauges(self) -> list[Series]:
        """How many workers serve, and are to."""
        found = []
        for name, crew in self.crews.items():
            ready = sum(m.state == "ready" for m in crew.members.values())
            found.append(["workers", {"pool": name}, ready])
            found.append(["workers_wanted", {"pool": name}, crew.workers])
        return found

    def statistics(self) -> dict[str, Any]:
        """What there is, as plain data that does not change afterwards; times are the host's."""
        services = {
            name: {
                "wanted": crew.workers,
                "ready": sum(m.state == "ready" for m in crew.members.values()),
                "generation": crew.generation,
                "held": sorted(crew.held),
                "retry_at": dict(crew.retry_at),
            }
            for name, crew in self.crews.items()
        }
        reloading = self.reloading
        return {
            "state": "stopping" if self.ending else "running",
            "services": services,
            "workers": [{key: getattr(m, key) for key in SEEN} for m in self.members()],
            "ends": [dict(end) for end in self.ends],
            "reload": {
                "state": reloading.state,
                "cause": reloading.cause,
                "count": reloading.count,
            },
        }
