"""report: from the figures of all rounds to the table that is printed."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.data import LOOKUPS
from benchmarks.table import Figures, Goal, Row

Rounds = list[Figures]  # of one subject, one a round

HEAD = ("what", "who", "wall", "cpu", "x wall", "x cpu", "goal", "")
WIDTHS = (46, 18, 11, 11, 8, 8, 13, 6)


@dataclass
class Line:
    """One subject of one row: its figures, and how many times ours they are."""

    what: str
    who: str
    figures: Figures
    times: Figures
    goal: str
    met: bool | None


def lines(row: Row, ours: Rounds, others: dict[str, Rounds]) -> Iterator[Line]:
    """Our line, then one for each of the others."""
    scaled = [_scaled(row, figures, row.many) for figures in ours]
    bound = "" if row.bound is None else f"<= {row.bound:g}"
    own = _median(scaled)
    met = None if row.bound is None else max(own.values()) <= row.bound
    yield Line(row.what, "ours", own, {}, bound, met)
    for who, rounds in others.items():
        theirs = [_scaled(row, figures, row.others[who][1]) for figures in rounds]
        paired = zip(scaled, theirs, strict=True)
        times = _median([{key: b[key] / (a[key] or 1e-9) for key in a} for a, b in paired])
        goals = [goal for goal in row.goals if goal.other == who]
        yield Line(row.what, who, _median(theirs), times, _text(goals), _met(goals, times))


def table(made: list[Line], units: dict[str, str]) -> str:
    """All lines under one head."""
    rows: list[tuple[str, ...]] = [HEAD]
    before = ""
    for line in made:
        what = "" if line.what == before else line.what
        before = line.what
        unit = units[line.what]
        cells = [_shown(line.figures.get(key), unit) for key in ("wall", "cpu")]
        cells += [_times(line.times.get(key), unit) for key in ("wall", "cpu")]
        verdict = {True: "met", False: "MISSED", None: ""}[line.met]
        rows.append((what, line.who, *cells, line.goal, verdict))
    return "\n".join(_row(cells) for cells in rows)


def as_data(made: list[Line]) -> list[dict[str, Any]]:
    """The same for machines: seconds, bytes or counts for each operation."""
    return [asdict(line) for line in made]


def _scaled(row: Row, figures: Figures, many: int) -> Figures:
    """The figures of one operation, in the row's unit."""
    if row.unit == "memory":
        return {"wall": figures["memory_b"] / many}
    if row.unit == "wakeups":
        return {"wall": figures["wakeups"] / figures["wall_s"]}
    if row.unit == "load":
        return {"cpu": figures["cpu_s"] / figures["wall_s"]}
    operations = LOOKUPS if row.unit == "lookup" else many
    return {"wall": figures["wall_s"] / operations, "cpu": figures["cpu_s"] / operations}


def _median(rounds: Rounds) -> Figures:
    return {key: median(figures[key] for figures in rounds) for key in rounds[0]}


def _text(goals: list[Goal]) -> str:
    return " ".join(f">= {goal.times:g} {goal.by}" for goal in goals)


def _met(goals: list[Goal], times: Figures) -> bool | None:
    return all(times[goal.by] >= goal.times for goal in goals) if goals else None


def _shown(figure: float | None, unit: str) -> str:
    if figure is None:
        return ""
    if unit == "memory":
        return f"{figure / 1024:.1f} KiB"
    if unit == "wakeups":
        return f"{figure:.2f} /s"
    if unit == "load":
        return f"{figure:.3%}"
    return f"{figure * 1e6:,.2f} us"


def _times(ratio: float | None, unit: str) -> str:
    return "" if ratio is None or unit in {"wakeups", "load"} else f"{ratio:.2f}"


def _row(cells: tuple[str, ...]) -> str:
    aligned = (
        f"{cell:<{width}}" if at < 2 or at > 5 else f"{cell:>{width}}"
        for at, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    return " ".join(aligned).rstrip()
