"""The engine's benchmarks: ours beside raw eventlet and Pykka, as one table.

Every figure is of a process of its own; the subjects take turns in each round, so noise hits all
alike, and the table shows medians over the rounds. `x wall` and `x cpu` say how many times ours the
other costs (above 1: ours is cheaper), by the clock on the wall and by processor time. With native
threads the wall clock counts, since their cost is the hand-over; in one thread both say the same
and processor time is steadier. Not in the table: ``python -m benchmarks.translation`` times the
translators of datasources, alone or beside the original's (``--upstream DIR``).
"""

import argparse
import json
import platform
import sys
from importlib.metadata import version

from benchmarks import report
from benchmarks.child import measured
from benchmarks.table import ROWS, Figures, Row

Subject = tuple[str, int]


def rounds(rows: list[Row], many: int) -> dict[Subject, list[Figures]]:
    """The figures of every subject, one a round; a subject of several rows is measured once."""
    subjects: dict[Subject, list[Figures]] = {}
    for row in rows:
        for subject in ((row.ours, row.many), *row.others.values()):
            subjects.setdefault(subject, [])
    for number in range(many):
        for at, (subject, figures) in enumerate(subjects.items()):
            progress = f"round {number + 1} of {many}: {at + 1} of {len(subjects)} {subject[0]}"
            print(f"\r{progress:<60}", end="", file=sys.stderr, flush=True)
            figures.append(measured(*subject))
    print(f"\r{'':<60}\r", end="", file=sys.stderr)
    return subjects


def machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("eventlet", "greenlet", "pykka"))
    return f"Python {platform.python_version()}, {libraries}, {platform.platform()}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", metavar="NAME", help="rows whose name begins so")
    parser.add_argument("--list", action="store_true", help="the names of the rows")
    parser.add_argument("--json", action="store_true", help="seconds, bytes, counts an operation")
    options = parser.parse_args()
    rows = [row for row in ROWS if row.name.startswith(options.only or "")]
    if options.list or not rows:
        print("\n".join(f"{row.name:<24} {row.what}" for row in ROWS))
        sys.exit(0 if options.list else 2)

    figures = rounds(rows, options.rounds)
    made = []
    for row in rows:
        others = {who: figures[subject] for who, subject in row.others.items()}
        made += report.lines(row, figures[row.ours, row.many], others)
    if options.json:
        print(json.dumps({"machine": machine(), "lines": report.as_data(made)}, indent=1))
        return
    print(f"{machine()}\nmedian of {options.rounds} rounds; x: how many times ours it costs\n")
    print(report.table(made, {row.what: row.unit for row in rows}))


if __name__ == "__main__":
    main()
