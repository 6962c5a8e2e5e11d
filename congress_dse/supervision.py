"""When something dies: restart, wait, or give up.

One machine for greenthreads and for processes; it reads no clock and starts nothing. The host
tells it of a death and obeys the verdict. The rules, after Erlang/OTP (stdlib, ``supervisor``):

* ``intensity`` deaths in ``period_s`` are borne; at the next the child is given up, and the
  first cause is kept;
* strategy ``one`` restarts the dead child, ``rest`` also those started after it, ``all`` every one;
* each restart in a row waits twice as long as the last, with jitter; the first does not wait;
* a child that stayed up for ``period_s`` has earned a clean slate.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Strategy = Literal["one", "rest", "all"]
Restart = Literal["always", "on-failure", "never"]


@dataclass(frozen=True)
class Policy:
    """How many deaths of one child are borne, and how long each restart waits."""

    restart: Restart = "on-failure"
    intensity: int = 5
    period_s: float = 10.0
    backoff_s: float = 0.05
    backoff_max_s: float = 30.0
    jitter: float = 0.25

    def delay_s(self, in_a_row: int, draw: float) -> float:
        """The wait before restart number `in_a_row` (from 1); `draw` is in [0, 1)."""
        if in_a_row <= 1:
            return 0.0
        wait_s: float = min(self.backoff_s * 2.0 ** min(in_a_row - 2, 60), self.backoff_max_s)
        return wait_s * (1 + self.jitter * (2 * draw - 1))


@dataclass
class Child:
    """What is remembered of one child between its lives."""

    name: str
    policy: Policy
    died_at: deque[float] = field(default_factory=deque)
    in_a_row: int = 0
    restarts: int = 0
    first_cause: object = None
    last_cause: object = None
    started_at: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What the host does: stop `stop` in order, then start `start` in order after `delay_s`."""

    action: Literal["restart", "forget", "give-up"]
    child: str
    deaths: int = 0
    cause: object = None
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    delay_s: float = 0.0


class Supervisor:
    """The children of one group, oldest first, and what to do when one dies."""

    def __init__(
        self,
        strategy: Strategy = "one",
        policy: Policy | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        if strategy not in SIBLINGS:
            raise ValueError(f"strategy {strategy!r} is none of {', '.join(SIBLINGS)}")
        self.strategy = strategy
        self.policy = policy or Policy()
        self.children: dict[str, Child] = {}
        self._draw = draw

    def add(self, name: str, policy: Policy | None = None) -> Child:
        """Take `name` under supervision, as the youngest child."""
        child = self.children[name] = Child(name, policy or self.policy)
        return child

    def remove(self, name: str) -> None:
        """Forget `name`; its end is no death any more."""
        self.children.pop(name, None)

    def started(self, name: str, now: float) -> None:
        """Note that `name` is up since `now` (seconds of the host's monotonic clock)."""
        self.children[name].started_at = now

    def died(
        self, name: str, cause: object, now: float, *, failed: bool = True, counted: bool = True
    ) -> Verdict:
        """Decide about the death of `name`.

        `failed` is false for an end that was neither a crash nor a kill. `counted` is false for an
        end that says nothing about the child, such as a ready process killed from outside: it is
        restarted at once.
        """
        child = self.children[name]
        child.last_cause = cause
        if child.policy.restart == "never" or (not failed and child.policy.restart == "on-failure"):
            return Verdict("forget", name, len(child.died_at), cause)
        if counted and self._too_many(child, cause, now):
            stop = (
                tuple(n for n in reversed(self.children) if n != name)
                if self.strategy != "one"
                else ()
            )
            return Verdict("give-up", name, len(child.died_at), child.first_cause, stop=stop)
        child.restarts += 1
        siblings = SIBLINGS[self.strategy](tuple(self.children), name)
        delay_s = child.policy.delay_s(child.in_a_row, self._draw()) if counted else 0.0
        stop = tuple(n for n in reversed(siblings) if n != name)
        return Verdict("restart", name, len(child.died_at), cause, stop, siblings, delay_s)

    def _too_many(self, child: Child, cause: object, now: float) -> bool:
        period_s = child.policy.period_s
        if child.started_at is not None and now - child.started_at > period_s:
            child.in_a_row = 0
        child.started_at = None
        child.in_a_row += 1
        while child.died_at and now - child.died_at[0] > period_s:
            child.died_at.popleft()
        if not child.died_at:
            child.first_cause = cause
        child.died_at.append(now)
        return len(child.died_at) > child.policy.intensity


SIBLINGS: dict[str, Callable[[tuple[str, ...], str], tuple[str, ...]]] = {
    "one": lambda names, dead: (dead,),
    "rest": lambda names, dead: names[names.index(dead) :],
    "all": lambda names, dead: names,
}
