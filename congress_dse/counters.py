"""Counters: numbers that only rise, by name and labels, and how those of many lives are summed.

A series is ``[name, labels, value]``; names are those of the metrics, without their prefix. What a
life has counted is kept when it ends, so that a sum over lives never falls.
"""

import json
from collections.abc import Iterable
from typing import Any

Series = list[Any]  # name, labels, value
KEPT_MAX = 20_000  # series of those that ended; further names are not kept


class Sums:
    """The counters of many lives, those that are over among them. A machine."""

    def __init__(self) -> None:
        self._ended: dict[str, float] = {}
        self._living: dict[Any, dict[str, float]] = {}

    def heard(self, life: Any, series: Iterable[Series]) -> None:
        """Take what a life says that it has counted; less than before is not believed."""
        known = self._living.setdefault(life, {})
        for name, labels, value in series:
            key = _key(name, labels)
            known[key] = max(float(value), known.get(key, 0.0))

    def ended(self, life: Any) -> None:
        """A life is over; what it counted stays."""
        for key, value in self._living.pop(life, {}).items():
            if key in self._ended or len(self._ended) < KEPT_MAX:
                self._ended[key] = self._ended.get(key, 0.0) + value

    def series(self) -> list[Series]:
        """The sums over all lives."""
        sums = dict(self._ended)
        for known in list(self._living.values()):
            for key, value in list(known.items()):
                sums[key] = sums.get(key, 0.0) + value
        return [[*json.loads(key), value] for key, value in sorted(sums.items())]


def _key(name: str, labels: dict[str, str]) -> str:
    return json.dumps([name, labels], sort_keys=True)
