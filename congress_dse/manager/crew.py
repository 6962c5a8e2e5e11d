"""The workers of one service: a machine, the fleet's smaller half.

What it decides goes into ``out``, which all crews of a fleet share. A place (``slot``) may for a
while have two members: the one that serves, and the one that ``replaces`` it.
"""

import logging
from collections.abc import Callable, Iterator

from congress_dse.manager.roster import (
    Decision,
    Kill,
    Member,
    Replaced,
    Say,
    Spec,
    Start,
    State,
    Tell,
)

RECYCLE_REST = 9.0  # times the last start: recycling takes at most a tenth of the time
TERMINATE_S = 1.0  # for a worker that is still starting
SUSPECT_AT = 0.9  # of ``liveness_s``: stacks are asked for


class Crew:
    """The places of one service, who is in them, and who is to be exchanged."""

    def __init__(
        self,
        spec: Spec,
        out: list[Decision],
        serials: Iterator[int],
        draw: Callable[[], float],
    ) -> None:
        self.spec = spec
        self.workers = spec.workers
        self.generation = 1
        self.members: dict[int, Member] = {}
        self.retry_at: dict[int, float] = {}
        self.held: set[int] = set()
        self.queue: dict[int, str] = {}
        self.rest_until = 0.0
        self.longest_boot_s = 0.0
        self._out = out
        self._serials = serials
        self._draw = draw

    def slots(self) -> list[int]:
        """The places that are to have a worker."""
        return [slot for slot in range(self.workers) if slot not in self.held]

    def inside(self, slot: int, *states: State) -> list[Member]:
        """The members of `slot` that are in one of `states`; in any, if none is named."""
        found = (m for m in self.members.values() if m.slot == slot)
        return [m for m in found if not states or m.state in states]

    def settled(self, slot: int) -> bool:
        """Whether `slot` is served by the present generation, or nobody waits for it."""
        if slot in self.held or slot in self.retry_at:
            return True
        return any(m.generation == self.generation for m in self.inside(slot, "ready"))

    def settle(self, now: float, grace_s: float) -> None:
        """Start, stop and exchange what should be; `grace_s` is for those that replace."""
        if now >= self.rest_until:
            self.rest_until = 0.0
        self._shrink(now)
        self._fill(now)
        self.retry_at = {slot: at for slot, at in self.retry_at.items() if at > now}
        for member in self.members.values():
            why = self._over_limit(member, now)
            if why and not self._successor(member):
                self.queue.setdefault(member.slot, why)
        for slot, why in list(self.queue.items()):
            if self._out_count() >= self.spec.out_max:
                break
            if not (why.startswith("recycle") and now < self.rest_until):
                self._exchange(slot, why, now, grace_s)

    def reload(self) -> set[int]:
        """Begin a reload; the numbers of those who will answer that they took it in place."""
        if self.spec.reload == "restart":
            self.generation += 1
            self.queue.update(dict.fromkeys(range(self.workers), "reload"))
            return set()
        heed = [m for m in self.members.values() if m.state in {"starting", "ready"}]
        self._out += [Tell(member.serial, {"order": "reload"}) for member in heed]
        return {member.serial for member in heed if member.state == "ready"}

    def stop(self, member: Member, now: float, why: str = "") -> None:
        """Stop `member` gracefully; a starting one has no ear yet and nothing in hand."""
        member.leaves = member.leaves or why
        if member.state == "starting":
            self._out.append(Kill(member.serial, soft=True))
            member.deadline = now + TERMINATE_S
        else:
            self._out.append(Tell(member.serial, {"order": "stop"}))
            timeout_s = self.spec.stop_timeout_s
            member.deadline = now + timeout_s if timeout_s else None
        member.state = "stopping"

    def kill(self, member: Member, cause: str) -> None:
        """End `member` at once, because of `cause`."""
        if member.state != "killed":
            self._out.append(Kill(member.serial))
            member.state, member.kill_cause, member.deadline = "killed", cause, None

    def take_over(self, new: Member, now: float) -> None:
        """Let `new`, which is ready, have the place of the member it replaces."""
        old = self.members.get(new.replaces or 0)
        boot_s = now - new.started_at
        new.replaces = None
        if new.why.startswith("recycle"):
            self.rest_until = now + RECYCLE_REST * boot_s
        if old and old.state == "ready":
            self._say(
                logging.INFO, f"{old.name}: pid {old.pid} makes way to pid {new.pid} ({new.why})"
            )
            self.stop(old, now, f"{new.why}: pid {new.pid} takes over")
        if new.why == "restart":
            self._out.append(Replaced(new.name, ""))

    def check_time(self, member: Member, now: float) -> None:
        """Act on the limits in time that `member` has passed."""
        if member.deadline is not None and now >= member.deadline:
            passed_s = now - member.started_at
            late = (
                f"not ready after {passed_s:.1f} s"
                if member.state == "starting"
                else "late to stop"
            )
            self._say(logging.WARNING, f"{member.name}: {late}, killed, pid {member.pid}")
            self.kill(member, late)
        silent_s = now - member.beat_at
        limit_s = self.spec.liveness_s
        if member.state != "ready" or not limit_s:
            return
        if silent_s >= limit_s:
            cause = f"no heartbeat for {silent_s:.1f} s, the limit is {limit_s:.1f} s"
            self._say(logging.ERROR, f"{member.name}: {cause}; killed, pid {member.pid}")
            self.kill(member, cause)
        elif silent_s >= SUSPECT_AT * limit_s and not member.asked_stacks:
            member.asked_stacks = True
            self._out.append(Tell(member.serial, {"order": "stacks", "why": "silent"}))

    def times(self) -> Iterator[float]:
        """The moments at which time will matter to this crew."""
        yield from self.retry_at.values()
        if self.queue and self.rest_until:
            yield self.rest_until
        for member in self.members.values():
            if member.deadline is not None:
                yield member.deadline
            if member.state == "ready" and self.spec.liveness_s:
                share = 1.0 if member.asked_stacks else SUSPECT_AT
                yield member.beat_at + share * self.spec.liveness_s
            if member.state == "ready" and self.spec.max_age_s and not self._busy(member):
                yield member.started_at + self.spec.max_age_s * member.stretch

    def _shrink(self, now: float) -> None:
        for member in list(self.members.values()):
            if member.slot >= self.workers and member.state in {"starting", "ready"}:
                self.stop(member, now, "resize: not wanted any more")

    def _fill(self, now: float) -> None:
        for slot in range(self.workers):
            if slot in self.held or self.retry_at.get(slot, now) > now:
                continue
            alive: tuple[State, ...] = ("starting", "ready", "killed") if self.spec.overlap else ()
            if not self.inside(slot, *alive):
                self.retry_at.pop(slot, None)
                self._start(slot, now, self.spec.start_grace_s)

    def _exchange(self, slot: int, why: str, now: float, grace_s: float) -> None:
        ready = self.inside(slot, "ready")
        if self.inside(slot, "starting") and not ready and slot < self.workers:
            return
        del self.queue[slot]
        if not ready or slot >= self.workers:
            return
        if self.spec.overlap:
            self._start(slot, now, grace_s, replaces=ready[0].serial, why=why)
        else:
            self._say(logging.INFO, f"{ready[0].name}: stops for its successor ({why})")
            self.stop(ready[0], now, f"{why}: its successor waits for the place")

    def _start(
        self, slot: int, now: float, grace_s: float, replaces: int | None = None, why: str = ""
    ) -> None:
        serial = next(self._serials)
        stretch = 1 + self.spec.recycle_jitter * self._draw()
        deadline = now + grace_s if grace_s else None
        member = Member(
            serial, self.spec.name, slot, self.generation, now, deadline, replaces, why, stretch
        )
        self.members[serial] = member
        self._out.append(Start(serial, self.spec.name, slot, self.generation))

    def _out_count(self) -> int:
        if self.spec.overlap:
            return sum(m.replaces is not None for m in self.members.values())
        return sum(not self.inside(slot, "ready") for slot in range(self.workers))

    def _successor(self, member: Member) -> bool:
        return any(m.replaces == member.serial for m in self.members.values())

    def _busy(self, member: Member) -> bool:
        return member.slot in self.queue or self._successor(member)

    def _over_limit(self, member: Member, now: float) -> str:
        if member.state != "ready":
            return ""
        for limit, value, unit in (
            (self.spec.max_requests, member.requests, "requests"),
            (self.spec.max_age_s, now - member.started_at, "s of age"),
            (self.spec.max_rss_b, member.rss_b, "bytes of memory"),
        ):
            if limit and value >= limit * member.stretch:
                return f"recycle: {value:.0f} {unit}, the limit is {limit:.0f}"
        return ""

    def _say(self, level: int, text: str) -> None:
        self._out.append(Say(level, text))
