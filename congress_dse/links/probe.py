"""Is the broker consumed from? A small message to one's own queue has to come back in time.

A machine: the host sends what `wants` asks for and tells what came. Any delivery is proof that
consumption works, so a probe behind a long queue is not overdue while the queue moves; and it is
not counted while nothing can come: the broker takes nothing, or the receiver has all it may have.
"""


class Probe:
    """One connection's probes; times are seconds of the host's monotonic clock."""

    def __init__(self, every_s: float, limit_s: float) -> None:
        self.every_s, self.limit_s = every_s, limit_s
        self.number = 0
        self.proof = ""
        self.round_trip_s: float | None = None
        self.back_at: float | None = None
        self._sent_at: float | None = None
        self._heard_at = 0.0
        self._next_at = 0.0
        self._taken = False

    @property
    def proven(self) -> bool:
        """Whether consumption is proven: `proof` is by what first, "probe" or "delivery"."""
        return bool(self.proof)

    def wants(self, now: float) -> bool:
        """Whether a probe is to be sent now."""
        return self._sent_at is None and now >= self._next_at

    def sent(self, now: float) -> None:
        self.number += 1
        self._sent_at = self._heard_at = now
        self._taken = False

    def taken(self) -> None:
        """The broker has confirmed the probe: publishing works."""
        self._taken = True

    def heard(self, now: float) -> None:
        """Something was delivered; with a probe in the queue behind it that proves both ways."""
        self._heard_at = now
        if self._taken:
            self.proof = self.proof or "delivery"

    def back(self, number: int, now: float) -> None:
        """A probe of ours came back; an older one says nothing."""
        if number == self.number and self._sent_at is not None:
            self.proof = self.proof or "probe"
            self.round_trip_s, self.back_at = now - self._sent_at, now
            self._sent_at, self._next_at = None, now + self.every_s

    def rest(self, now: float) -> None:
        """Nothing can come at this time, and that is no fault of the broker."""
        self._heard_at = now

    def overdue(self, now: float) -> bool:
        return self._sent_at is not None and now - self._heard_at > self.limit_s

    def due(self) -> float:
        """When time matters next."""
        return self._next_at if self._sent_at is None else self._heard_at + self.limit_s
