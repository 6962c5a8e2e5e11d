"""A change of 1 % in a table of 1,000,000 rows: time and memory, as a delta and as the whole table.

``python -m benchmarks.million`` prints the median of several rounds, beside two plain set
differences and a copy, which is what the same would cost without numbered deltas.
"""

import argparse
import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from congress_dse.dataobj import pubData, subData
from congress_dse.rows import Delta

Rows = set[tuple[Any, ...]]


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rows = {(number, f"name-{number % 997}", "up") for number in range(args.rows)}
    changed = args.rows // 200  # as many come as go: together one row in a hundred
    print(f"{args.rows:,} rows, {2 * changed:,} changed, median of {args.rounds}, CPU time")
    for name, measure in SUBJECTS.items():
        found = [_measured(measure, rows, changed) for _ in range(args.rounds)]
        cpu_s, peak_b = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{name:<44} {cpu_s * 1e3:10.1f} ms {peak_b / 2**20:9.1f} MiB more")


def delta(rows: Rows, changed: int) -> Callable[[], Any]:
    """The driver gives the change."""
    added, removed = _change(rows, changed)
    return _published(rows, Delta(added, removed))


def whole(rows: Rows, changed: int) -> Callable[[], Any]:
    """The driver gives the table as it is now."""
    added, removed = _change(rows, changed)
    return _published(rows, (rows - removed) | added)


def plain(rows: Rows, changed: int) -> Callable[[], Any]:
    """Without numbered deltas: both differences, and a copy for a subscriber."""
    added, removed = _change(rows, changed)
    after = (rows - removed) | added
    return lambda: (after - rows, rows - after, set(after))


def _published(rows: Rows, newdata: Any) -> Callable[[], Any]:
    table, mine = pubData("t"), subData("p", "t", "id", None)
    table.addsubscriber("s", "push", "id")
    table.update(rows)
    mine.receive("p", table.get())

    def publish() -> Any:
        update = table.update(newdata)
        assert update is not None
        return mine.receive("p", update)

    return publish


def _change(rows: Rows, changed: int) -> tuple[Rows, Rows]:
    removed = {row for row, _ in zip(rows, range(changed), strict=False)}
    return {(-1 - number, "new", "up") for number in range(changed)}, removed


def _measured(
    measure: Callable[[Rows, int], Callable[[], Any]], rows: Rows, changed: int
) -> tuple[float, float]:
    """CPU seconds of one call, and the bytes that another, of its own, held at most."""
    call = measure(rows, changed)
    gc.collect()
    begun = time.process_time()
    call()
    cpu_s = time.process_time() - begun
    call = measure(rows, changed)
    tracemalloc.start()
    call()
    _, peak_b = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return cpu_s, peak_b


SUBJECTS = {
    "delta given, until applied at a subscriber": delta,
    "whole table given, until applied": whole,
    "two differences and a copy": plain,
}

if __name__ == "__main__":
    main()
