"""Which workers should run now: a machine without I/O and without a clock.

The host tells what happened and when; each call answers with decisions, to be carried out in
their order. The rules:

* a place (``slot``) of a service has one worker; a dead one is replaced as `supervision` says;
* a replacement that was asked for (reload, recycling, restart) starts beside the old worker, which
  is stopped when the new one is ready; at most ``out_max`` places change hands at once;
* a new generation that fails leaves the old one in its place, and counts against nobody;
* a ready worker without a heartbeat for ``liveness_s`` is killed; its stacks are asked for before;
* recycling rests after each exchange, in proportion to what the start took.
"""

import itertools
import logging
import random
from collections.abc import Callable

from congress_dse.manager.crew import Crew
from congress_dse.manager.deaths import End, ending, given_up, one_line
from congress_dse.manager.muster import Muster
from congress_dse.manager.roster import (
    EXIT_GAVE_UP,
    Announce,
    Dead,
    Decision,
    Finish,
    Happened,
    Member,
    Reloaded,
    Replaced,
    Say,
    Spec,
)
from congress_dse.supervision import Supervisor, Verdict

GIVE_UP_S = 1.5  # for the others, when supervision escalates
CAUSE_MAX = 4000  # characters that are kept of what ended a worker
RETRY_EXCHANGE_S = 10.0  # after a recycled worker's successor failed


class Fleet(Muster):
    """All services of one master, their workers, and what is to be done about them."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        super().__init__()
        self.supervisor = Supervisor(draw=draw)
        self._draw = draw
        self._out: list[Decision] = []
        self._serials = itertools.count(1)
        self._begun = False
        self._all_ready = False

    # What the host is asked to do.

    def add(self, spec: Spec) -> None:
        """Take a service into the fleet; its workers start at `begin`."""
        self.crews[spec.name] = Crew(spec, self._out, self._serials, self._draw)

    def begin(self, now: float) -> list[Decision]:
        """Start everything."""
        self._begun = True
        return self._settle(now)

    def resize(self, service: str, workers: int, now: float) -> list[Decision]:
        """Have `workers` workers of `service` from now on."""
        crew = self.crew(service)
        crew.workers = workers
        crew.retry_at.clear()
        self._say(logging.INFO, f"{service}: {workers} workers wanted")
        self._out.append(Happened("resize", service, f"{workers} workers are wanted"))
        return self._settle(now)

    def restart(self, service: str, slot: int | None, now: float) -> list[Decision]:
        """Replace the worker in `slot`, or all of the service; bring back what was drained."""
        crew = self.crew(service, slot)
        for number in range(crew.workers) if slot is None else (slot,):
            crew.held.discard(number)
            crew.retry_at.pop(number, None)
            if crew.inside(number, "ready"):
                crew.queue.setdefault(number, "restart")
        return self._settle(now)

    def drain(self, service: str, slot: int, now: float) -> list[Decision]:
        """Stop the worker in `slot` and leave its place empty."""
        crew = self.crew(service, slot)
        crew.held.add(slot)
        for member in crew.inside(slot, "starting", "ready"):
            crew.stop(member, now, "drained")
        return self._settle(now)

    def reload(self, now: float) -> list[Decision]:
        """Bring a new configuration, already checked, to all workers."""
        if self.ending or not self.reloading.begin(now):
            return self._drain()
        self._out.append(Announce("reloading"))
        for crew in self.crews.values():
            self.reloading.in_place |= crew.reload()
        return self._settle(now)

    def refuse(self, cause: str, now: float) -> list[Decision]:
        """Note that a new configuration was found bad before anything was touched."""
        if self.reloading.running:  # of an earlier one, which was good and goes on
            self._say(logging.ERROR, f"reload refused: {cause}")
            self._out.append(Reloaded(cause))
        else:
            self._end_reload(cause, now)
        return self._settle(now)

    def stop(
        self, now: float, end: Finish | None = None, within_s: float | None = None
    ) -> list[Decision]:
        """Stop every worker gracefully, newest first; asked again, kill what is left."""
        if self.ending:
            return self.stop_now(now)
        self.ending = end or Finish(0)
        self._out.append(Announce("stopping"))
        for member in reversed(list(self.members())):
            if member.state in {"starting", "ready"}:
                self.crews[member.service].stop(member, now, "the engine stops")
            if within_s is not None and member.state == "stopping":
                limit = now + within_s
                member.deadline = limit if member.deadline is None else min(member.deadline, limit)
        return self._settle(now)

    def stop_now(self, now: float) -> list[Decision]:
        """Kill every worker and end."""
        if self.ending is None:
            self._out.append(Announce("stopping"))
        if self.ending is None or self.ending.code == 0:
            self.ending = Finish(1, "stopped at once")
        for member in self.members():
            self.crews[member.service].kill(member, "stopped at once")
        return self._settle(now)

    def late(self, now: float) -> list[Decision]:
        """End what is late: while stopping, everything that is still there."""
        return self.stop_now(now) if self.ending else self._drain()

    # What happened to workers.

    def spawned(self, serial: int, pid: int | None) -> None:
        """Note the process of a worker."""
        member = self.find(serial)
        if member:
            member.pid = pid

    def ready(self, serial: int, now: float) -> list[Decision]:
        """Note that a worker serves."""
        member = self.find(serial)
        if member is None or member.state != "starting":
            return []
        crew = self.crews[member.service]
        boot_s = now - member.started_at
        member.state, member.ready_at, member.beat_at, member.deadline = "ready", now, now, None
        crew.longest_boot_s = max(crew.longest_boot_s, boot_s)
        if member.name in self.supervisor.children:
            self.supervisor.started(member.name, now)
        self._say(logging.INFO, f"{member.name}: ready after {boot_s:.2f} s, pid {member.pid}")
        text = f"pid {member.pid} serves after {boot_s:.2f} s; {member.why or 'a start'}"
        self._out.append(Happened("worker-ready", member.name, text))
        if member.replaces is not None:
            crew.take_over(member, now)
        return self._settle(now)

    def beat(self, serial: int, now: float, requests: int = 0, rss_b: int = 0) -> list[Decision]:
        """Note a heartbeat and what the worker says of itself."""
        member = self.find(serial)
        if member is None:
            return []
        member.beat_at, member.requests, member.rss_b = now, requests, rss_b
        member.asked_stacks = False
        return self._settle(now)

    def failed(self, serial: int, phase: str, failure: str) -> None:
        """Note what a worker said of its end before it died."""
        member = self.find(serial)
        if member:
            member.phase, member.failure = phase, failure

    def reloaded(self, serial: int, error: str, now: float) -> list[Decision]:
        """Note that a worker took the new configuration in place, or did not."""
        member = self.find(serial)
        if member and serial in self.reloading.in_place:
            self.reloading.in_place.discard(serial)
            if error:
                self._end_reload(f"{member.name}: {error}", now)
        return self._settle(now)

    def died(self, serial: int, exit_code: int | None, note: str, now: float) -> list[Decision]:
        """Decide about a dead worker; `note` is what its black box holds."""
        member = self.find(serial)
        if member is None:
            return []
        crew = self.crews[member.service]
        del crew.members[serial]
        self.reloading.in_place.discard(serial)
        end = ending(member, exit_code, note)
        self._out.append(Dead(member.service, member.slot, exit_code))
        self._note_end(member, exit_code, end, now)
        if self.ending or member.state == "stopping" or member.kill_cause == "late to stop":
            self._say(logging.INFO, f"{member.name}: ended with {exit_code}, pid {member.pid}")
        elif member.replaces in crew.members:
            self._successor_failed(crew, member, end, now)
        else:
            self._crashed(crew, member, end, now)
        return self._settle(now)

    # Time.

    def tick(self, now: float) -> list[Decision]:
        """Do what time asks for."""
        for member in list(self.members()):
            self.crews[member.service].check_time(member, now)
        if self.reloading.overdue(now):
            slow = (m.name for m in self.members() if m.serial in self.reloading.in_place)
            self._end_reload(f"no answer to the reload from {', '.join(sorted(slow))}", now)
        return self._settle(now)

    def due(self) -> float | None:
        """When time matters next; None if only a message can change anything."""
        times = [t for crew in self.crews.values() for t in crew.times()]
        return min(times + self.reloading.times(), default=None)

    # How it decides.

    def _settle(self, now: float) -> list[Decision]:
        if self.ending:
            if not any(True for _ in self.members()):
                self._out.append(self.ending)
        elif self._begun:
            for crew in self.crews.values():
                crew.settle(now, self.reloading.grace_s(crew))
            self._reload_progress(now)
            self._readiness()
        return self._drain()

    def _readiness(self) -> None:
        if not self._all_ready and all(
            crew.inside(slot, "ready")
            for crew in self.crews.values()
            for slot in range(crew.workers)
        ):
            self._all_ready = True
            self._out.append(Announce("ready"))

    def _reload_progress(self, now: float) -> None:
        rolled = (c for c in self.crews.values() if c.spec.reload == "restart")
        waits = not self.reloading.running or self.reloading.in_place
        if not waits and all(c.settled(slot) for c in rolled for slot in range(c.workers)):
            self._end_reload("", now)

    def _end_reload(self, cause: str, now: float) -> None:
        again = self.reloading.end(cause)
        for crew in self.crews.values():
            for slot in [s for s, why in crew.queue.items() if why == "reload"]:
                del crew.queue[slot]
        if cause:
            self._say(logging.ERROR, f"reload failed, what served before serves on: {cause}")
        self._out += [Reloaded(cause), Announce("ready")]
        self.reload_counts[not cause] += 1
        level = "error" if cause else "info"
        self._out.append(Happened("reload", "configuration", cause or "taken by all", level))
        if again:
            self._out += self.reload(now)

    def _successor_failed(self, crew: Crew, member: Member, end: End, now: float) -> None:
        self._say(logging.ERROR, f"{member.name}: successor not taken ({member.why}): {end.cause}")
        crew.rest_until = now + RETRY_EXCHANGE_S
        if member.why == "reload" and self.reloading.running:
            self._end_reload(f"{member.name}: {one_line(end.cause)}", now)
        if member.why == "restart":
            self._out.append(Replaced(member.name, one_line(end.cause)))

    def _crashed(self, crew: Crew, member: Member, end: End, now: float) -> None:
        rolled = crew.spec.reload == "restart" and member.generation == crew.generation
        if self.reloading.running and rolled and member.ready_at is None:
            self._end_reload(f"{member.name}: {one_line(end.cause)}", now)
        if member.slot >= crew.workers or crew.inside(member.slot, "starting", "ready"):
            return
        if member.name not in self.supervisor.children:
            self.supervisor.add(member.name, crew.spec.policy)
            if member.ready_at is not None:
                self.supervisor.started(member.name, member.ready_at)
        verdict = self.supervisor.died(member.name, end.cause, now, counted=end.counted)
        self._obey(crew, member, end, verdict, now)

    def _obey(self, crew: Crew, member: Member, end: End, verdict: Verdict, now: float) -> None:
        if verdict.action == "give-up":
            text = given_up(member.name, verdict, crew.spec.policy.period_s)
            self._say(logging.ERROR, f"{member.name}: {end.cause}")
            self._out.append(Happened("given-up", member.name, text, "error"))
            self._out += self.stop(now, Finish(EXIT_GAVE_UP, text), GIVE_UP_S)
        elif verdict.action == "forget":
            crew.held.add(member.slot)
            self._say(logging.INFO, f"{member.name}: {end.text}; its policy wants no other")
        else:
            crew.retry_at[member.slot] = now + verdict.delay_s
            wait = f"replaced in {verdict.delay_s:.2f} s" if verdict.delay_s else "replaced at once"
            self._say(logging.WARNING, f"{member.name}: pid {member.pid} {end.cause}; {wait}")

    def _note_end(self, member: Member, exit_code: int | None, end: End, now: float) -> None:
        asked = member.state == "stopping"
        why = (member.leaves or "told to stop") if asked else end.text
        lived_s = round(now - member.started_at, 3)
        self.end_counts[member.service, asked] += 1
        self.ends.append(
            {
                "name": member.name,
                "pid": member.pid,
                "generation": member.generation,
                "ended_at": now,
                "lived_s": lived_s,
                "requests": member.requests,
                "exit_code": exit_code,
                "asked": asked,
                "why": why,
                "cause": "" if asked else end.cause[-CAUSE_MAX:],
            }
        )
        kind, level = ("worker-ended", "info") if asked else ("worker-died", "error")
        text = f"pid {member.pid} after {lived_s:.1f} s: {why if asked else end.cause}"
        self._out.append(Happened(kind, member.name, text, level))

    def _say(self, level: int, text: str) -> None:
        self._out.append(Say(level, text))

    def _drain(self) -> list[Decision]:
        # The crews hold the same list: it is emptied, never replaced.
        out = self._out[:]
        self._out.clear()
        return out
