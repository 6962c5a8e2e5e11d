"""Polling: when a source is read next; a pure machine over the host's monotonic clock.

* The first poll is at once, the next a period after the start of the one before, with jitter.
* A poll never overlaps itself: while one runs, nothing is due.
* After a failure the next try comes sooner than the period, and then ever later, up to
  `retry_max_s`.
* After `OPEN_AFTER` failures in a row the circuit is open: the source is known to be down.
"""

import random
from collections.abc import Callable

RETRY_S = 0.5  # after the first failure; doubled with each further one
OPEN_AFTER = 3
JITTER = 0.05  # of the period, to either side


class Polling:
    """The polls of one source. A period of 0 means: only on request."""

    def __init__(
        self,
        period_s: float,
        retry_max_s: float | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.period_s = period_s
        self.retry_max_s = period_s if retry_max_s is None else retry_max_s
        self.failures = 0
        self.cause: BaseException | None = None
        self.failing_since: float | None = None
        self.running_since: float | None = None
        self.last_good: float | None = None
        self.took_s: float | None = None  # the last poll, from its start to its end
        self.count = self.failed_count = 0
        self.total_s = 0.0
        self._draw = draw
        self._requested = False
        self._due: float | None = float("-inf") if period_s else None

    def due(self) -> float | None:
        """When the next poll is to start; None while one runs, and when none is wanted."""
        if self.running_since is not None:
            return None
        return float("-inf") if self._requested else self._due

    def request(self) -> None:
        """Want a poll now, or as soon as the running one is over."""
        self._requested = True

    def started(self, now: float) -> None:
        """A poll starts at `now`."""
        assert self.running_since is None
        self.running_since = now
        self._requested = False

    def succeeded(self, now: float) -> None:
        """The running poll has brought its rows."""
        begun = self._over(now)
        self.failures, self.cause, self.failing_since = 0, None, None
        self.last_good = now
        if self.period_s:
            wait_s = self.period_s * (1 + JITTER * (2 * self._draw() - 1))
            self._due = max(now, begun + wait_s)

    def failed(self, now: float, cause: BaseException) -> None:
        """The running poll has failed, or was ended for being late."""
        self._over(now)
        self.failures += 1
        self.failed_count += 1
        self.cause = cause
        if self.failing_since is None:
            self.failing_since = now
        if self.period_s:
            retry_s = min(RETRY_S * 2.0 ** min(self.failures - 1, 30), self.retry_max_s)
            self._due = now + retry_s * (1 + JITTER * (2 * self._draw() - 1))

    @property
    def open(self) -> bool:
        """Whether the source counts as down."""
        return self.failures >= OPEN_AFTER

    def _over(self, now: float) -> float:
        begun = self.running_since
        assert begun is not None
        self.count += 1
        self.took_s = round(now - begun, 6)
        self.total_s += now - begun
        self.running_since = None
        return begun
