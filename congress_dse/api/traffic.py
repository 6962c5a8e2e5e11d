"""Traffic: how many requests this process has answered, how, and how long they took."""

from bisect import bisect_left

from congress_dse.counters import Series

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})


class Traffic:
    """The counts of one process; routes are told by their patterns, so there are few."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def served(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; what streams was when the stream began."""
        key = (method if method in METHODS else "other", route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        buckets = self._buckets.get(route)
        if buckets is None:
            buckets = self._buckets[route] = [0] * (len(BOUNDS_S) + 1)
        buckets[bisect_left(BOUNDS_S, seconds)] += 1
        self._seconds[route] = self._seconds.get(route, 0.0) + seconds

    def counters(self) -> list[Series]:
        """The counts as series; each bucket by itself, as one of them rises without the others."""
        series: list[Series] = [
            ["http_requests", {"method": method, "route": route, "status": str(status)}, count]
            for (method, route, status), count in list(self._requests.items())
        ]
        for route, buckets in list(self._buckets.items()):
            for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), list(buckets), strict=True):
                series.append(["http_request_seconds", {"route": route, "le": bound}, count])
            labels = {"route": route}
            series.append(["http_request_seconds_sum", labels, self._seconds.get(route, 0.0)])
        return series
