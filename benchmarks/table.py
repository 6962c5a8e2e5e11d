"""table: what is measured, of whom, in which unit, and the goals.

A goal is a bound on a ratio to another subject (at least so many times ours) or on a figure of our
own. Where threads hand over to each other the wall clock tells the cost; where one thread does all
the work, processor time says the same and is not disturbed by neighbours. Both are shown.
"""

from typing import NamedTuple

Figures = dict[str, float]


class Goal(NamedTuple):
    """`other` costs at least `times` what we do, by the clock `by`."""

    other: str
    times: float
    by: str = "wall"


class Row(NamedTuple):
    """One line of the table; `many` is how often the thing is done."""

    name: str
    what: str
    many: int
    ours: str
    others: dict[str, tuple[str, int]]  # name: (subject, many)
    goals: tuple[Goal, ...] = ()
    unit: str = "time"
    bound: float | None = None  # for our own figure, in the row's unit


def _others(function: str, many: int, threads: int = 0) -> dict[str, tuple[str, int]]:
    return {
        "eventlet": (f"green.{function}", many),
        "Pykka": (f"threads.{function}", threads or many),
    }


def _lookups(kind: str, subject: str) -> list[Row]:
    return [
        Row(
            f"router-{kind}-{bindings}",
            f"router lookup, {kind}, {bindings:,} other bindings",
            bindings,
            subject,
            {"with 100": (subject, 100)} if bindings > 100 else {},
            (Goal("with 100", 0.5, "cpu"),) if bindings > 100 else (),
            unit="lookup",
        )
        for bindings in (100, 1_000, 10_000, 100_000)
    ]


def _delta(name: str, what: str, goal: float = 0) -> Row:
    others = {"difference + copy": ("data.plain", 20)}
    goals = (Goal("difference + copy", goal, "cpu"),) if goal else ()
    return Row(name, what, 20, f"data.{name.replace('-', '_')}", others, goals)


N = 20_000
ROWS = [
    Row("tell", "one way: cage.tell until handled", N, "ours.tell", _others("tell", N),
        (Goal("Pykka", 1.5),)),
    Row("send", "one way: service to service", N, "ours.send", _others("tell", N),
        (Goal("Pykka", 1.5),)),
    Row("tell-one", "one way, each handled before the next", N, "ours.tell_one",
        _others("tell_one", N, 5_000), (Goal("Pykka", 1.5),)),
    Row("ask", "request and reply: cage.ask", N, "ours.ask", _others("ask", N, 5_000),
        (Goal("Pykka", 5), Goal("eventlet", 1, "cpu"))),
    Row("fan-out", "a delivery, 1 publisher to 1,000", N, "ours.fan_out", _others("fan_out", N)),
    Row("spawn", "spawnService, of 10,000", 10_000, "ours.spawn",
        _others("spawn", 10_000), (Goal("Pykka", 10),)),
    Row("spawn-handle", "the same until each handled a message", 10_000, "ours.spawn_and_handle",
        _others("spawn_and_handle", 10_000), (Goal("Pykka", 10),)),
    Row("create", "cage.createservice, of 10,000", 10_000, "ours.create",
        _others("spawn", 10_000)),
    Row("stop", "d6stop, of 10,000 services", 10_000, "ours.stop",
        _others("stop", 10_000), (Goal("eventlet", 0.33, "cpu"),)),
    Row("memory", "memory a service, of 10,000 in a cage", 10_000, "ours.memory",
        _others("memory", 10_000), unit="memory"),
    Row("idle-wakeups", "wake-ups a second, 1,000 idle services", 1_000, "ours.idle",
        _others("idle", 1_000), unit="wakeups", bound=0.5),
    Row("idle-cpu", "processor, 1,000 idle services", 1_000, "ours.idle",
        _others("idle", 1_000), unit="load", bound=0.001),
    *_lookups("kept", "data.lookup_kept"),
    *_lookups("walked", "data.lookup_walked"),
    _delta("delta-given", "10 rows of 100,000, as a Delta", 10),
    _delta("delta-given-unfollowed", "a Delta, and nobody follows", 10),
    _delta("whole-given", "10 rows of 100,000, as a whole set"),
    _delta("whole-given-unfollowed", "a whole set, and nobody follows", 10),
]  # fmt: skip
