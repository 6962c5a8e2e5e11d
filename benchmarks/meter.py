"""meter: what one stretch of work costs: wall time, processor time, wake-ups and memory.

Garbage is collected before the stretch, and the collector stays on during it as it does in
production; that holds for every subject alike.
"""

import gc
import resource
import time
from dataclasses import asdict, dataclass
from typing import Any

import psutil


@dataclass
class Meter:
    """A context; afterwards it holds what the stretch cost, for all threads of the process."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    wakeups: int = 0
    memory_b: int = 0

    def __enter__(self) -> "Meter":
        gc.collect()
        self.memory_b = -psutil.Process().memory_info().rss
        self.wakeups = -_switches()
        self.cpu_s, self.wall_s = -time.process_time(), -time.perf_counter()
        return self

    def __exit__(self, *_error: Any) -> None:
        self.wall_s += time.perf_counter()
        self.cpu_s += time.process_time()
        self.wakeups += _switches()
        self.memory_b += psutil.Process().memory_info().rss

    def figures(self) -> dict[str, float]:
        return asdict(self)


def _switches() -> int:
    """How often the process gave up a processor of itself; each time it is woken again."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
