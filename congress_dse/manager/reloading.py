"""How far a reload has come: a machine."""

from dataclasses import dataclass, field
from typing import Literal

from congress_dse.manager.crew import Crew

GRACE_S = 8.0  # for a new generation to be ready, unless starts were seen to take longer
GRACE_STARTS = 3.0  # times the longest start seen


@dataclass
class Reloading:
    """The reload in progress, or the last one."""

    state: Literal["none", "running", "done", "failed"] = "none"
    cause: str = ""
    count: int = 0
    in_place: set[int] = field(default_factory=set)
    until: float = 0.0
    again: bool = False

    @property
    def running(self) -> bool:
        """Whether a reload is on its way."""
        return self.state == "running"

    def begin(self, now: float) -> bool:
        """Begin, or note that another is wanted after the one on its way."""
        if self.running:
            self.again = True
            return False
        self.state, self.cause, self.until = "running", "", now + GRACE_S
        self.count += 1
        return True

    def end(self, cause: str) -> bool:
        """End with `cause`, or well if it is empty; answer whether another is wanted."""
        self.state = "failed" if cause else "done"
        self.cause = cause
        self.in_place.clear()
        again, self.again = self.again, False
        return again

    def overdue(self, now: float) -> bool:
        """Whether a worker that was told to reload in place has not answered in time."""
        return bool(self.in_place) and now >= self.until

    def times(self) -> list[float]:
        """When time matters to the reload."""
        return [self.until] if self.in_place else []

    @staticmethod
    def grace_s(crew: Crew) -> float:
        """How long a worker that replaces another may take to be ready."""
        grace_s = max(GRACE_S, GRACE_STARTS * crew.longest_boot_s)
        return min(grace_s, crew.spec.start_grace_s) if crew.spec.start_grace_s else grace_s
