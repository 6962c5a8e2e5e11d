"""The fleet as a pure machine: what happened goes in, decisions come out."""

import itertools

import pytest
from hypothesis import given, settings, strategies as st

from congress_dse.exceptions import NoSuchWorker
from congress_dse.manager.deaths import one_line
from congress_dse.manager.fleet import Fleet
from congress_dse.manager.roster import (
    EXIT_GAVE_UP,
    Announce,
    Finish,
    Kill,
    Reloaded,
    Replaced,
    Spec,
    Start,
    Tell,
)


class Simulated:
    """A host without processes: it carries decisions out in a list."""

    def __init__(self, *specs):
        self.now = 100.0
        self.fleet = Fleet(draw=lambda: 0.5)
        for spec in specs or (Spec("a", workers=2),):
            self.fleet.add(spec)
        self.log = []
        self.alive = {}
        self.take(self.fleet.begin(self.now))

    def take(self, decisions):
        self.log += decisions
        for decision in decisions:
            if isinstance(decision, Start):
                self.alive[decision.serial] = decision
                self.fleet.spawned(decision.serial, 1000 + decision.serial)
        return decisions

    def of(self, kind):
        return [d for d in self.log if isinstance(d, kind)]

    def ready(self, *serials):
        for serial in serials or [m.serial for m in self.fleet.members() if m.state == "starting"]:
            self.take(self.fleet.ready(serial, self.now))

    def die(self, serial, code=1, note=""):
        self.alive.pop(serial, None)
        return self.take(self.fleet.died(serial, code, note, self.now))

    def wait(self, seconds):
        self.now += seconds
        return self.take(self.fleet.tick(self.now))

    def until_due(self):
        due = self.fleet.due()
        assert due is not None
        return self.wait(max(0.0, due - self.now))

    def count(self, state, service="a"):
        return sum(m.state == state for m in self.fleet.members() if m.service == service)

    def beat(self, **stats):
        for member in list(self.fleet.members()):
            self.take(self.fleet.beat(member.serial, self.now, **stats))


def test_every_place_gets_a_worker_and_readiness_is_announced_once():
    host = Simulated(Spec("a", workers=2), Spec("b", workers=1))
    assert [(s.service, s.slot) for s in host.of(Start)] == [("a", 0), ("a", 1), ("b", 0)]
    host.ready()
    host.beat()
    assert host.of(Announce) == [Announce("ready")]


def test_a_ready_worker_killed_from_outside_is_replaced_at_once_however_often():
    host = Simulated()
    for _ in range(20):
        host.ready()
        before = len(host.of(Start))
        host.die(next(m.serial for m in host.fleet.members()), -9)
        assert len(host.of(Start)) == before + 1
    assert not host.fleet.ending


def test_a_crash_loop_backs_off_and_escalates_at_the_sixth_death_with_the_first_cause():
    host = Simulated(Spec("bad", workers=1), Spec("good", workers=1))
    host.ready(2)
    for n in itertools.count(1):
        serial = next(m.serial for m in host.fleet.members() if m.service == "bad")
        host.fleet.failed(serial, "run", f"Traceback\nboom {n}")
        host.die(serial)
        if host.fleet.ending:
            break
        if not host.fleet.crews["bad"].members:
            host.until_due()
    assert n == 6
    assert host.now < 102
    host.die(2, 0)
    (end,) = host.of(Finish)
    assert end.code == EXIT_GAVE_UP
    assert "bad.0: died 6 times in 10 s" in end.last_line
    assert "boom 1" in end.last_line
    assert "\n" not in end.last_line


def test_a_crash_looping_service_never_delays_another():
    host = Simulated(Spec("bad", workers=1), Spec("good", workers=1))
    host.ready()
    for _ in range(3):
        host.die(max(m.serial for m in host.fleet.members() if m.service == "bad"))
        if not host.fleet.crews["bad"].members:
            host.until_due()
    bad = max(m.serial for m in host.fleet.members() if m.service == "bad")
    host.die(bad)
    decisions = host.die(2, -9)
    assert [d.service for d in decisions if isinstance(d, Start)] == ["good"]


def test_a_silent_worker_is_asked_for_its_stacks_and_then_killed():
    host = Simulated(Spec("a", workers=1, liveness_s=5))
    host.ready()
    host.wait(4.4)
    assert not host.of(Tell)
    host.wait(0.1)
    assert [t.order["order"] for t in host.of(Tell)] == ["stacks"]
    host.wait(0.5)
    assert host.of(Kill) == [Kill(1)]
    decisions = host.die(1, -9, "stacks")
    assert [d for d in decisions if isinstance(d, Start)]


def test_a_starting_worker_has_its_grace_and_no_liveness():
    host = Simulated(Spec("a", workers=1, liveness_s=5, start_grace_s=60))
    host.wait(59)
    assert not host.of(Kill)
    host.wait(1)
    assert host.of(Kill) == [Kill(1)]


def test_a_reload_rolls_one_by_one_new_before_old():
    host = Simulated(Spec("a", workers=3))
    host.ready()
    host.take(host.fleet.reload(host.now))
    for _ in range(3):
        assert host.count("starting") == 1
        assert host.count("ready") == 3
        host.ready()
        old = next(m.serial for m in host.fleet.members() if m.state == "stopping")
        host.die(old, 0)
    assert host.of(Reloaded) == [Reloaded("")]
    assert {m.generation for m in host.fleet.members()} == {2}


def test_a_new_generation_that_fails_leaves_the_old_one_and_counts_against_nobody():
    host = Simulated(Spec("a", workers=2))
    host.ready()
    old = {m.serial for m in host.fleet.members()}
    host.take(host.fleet.reload(host.now))
    host.fleet.failed(3, "boot", "ValueError: bad option")
    host.die(3, 3)
    (result,) = host.of(Reloaded)
    assert "bad option" in result.cause
    assert {m.serial for m in host.fleet.members()} == old
    assert host.count("ready") == 2
    assert host.fleet.statistics()["reload"]["state"] == "failed"
    assert not any(child.died_at for child in host.fleet.supervisor.children.values())


def test_a_new_generation_that_never_gets_ready_is_given_up_after_its_grace():
    host = Simulated(Spec("a", workers=1))
    host.ready()
    host.take(host.fleet.reload(host.now))
    host.beat()
    host.wait(7.9)
    assert not host.of(Kill)
    host.wait(0.1)
    host.die(2, -9)
    assert "not ready" in host.of(Reloaded)[0].cause
    assert host.count("ready") == 1


def test_a_reload_during_a_reload_is_done_after_it():
    host = Simulated(Spec("a", workers=1))
    host.ready()
    host.take(host.fleet.reload(host.now))
    host.take(host.fleet.reload(host.now))
    host.ready()
    host.ready()
    assert [r.cause for r in host.of(Reloaded)] == ["", ""]
    assert max(m.generation for m in host.fleet.members()) == 3


def test_a_bad_configuration_in_the_middle_of_a_reload_does_not_end_it():
    host = Simulated(Spec("a", workers=2))
    host.ready()
    host.take(host.fleet.reload(host.now))
    host.take(host.fleet.refuse("bad file", host.now))
    host.ready()
    host.ready()
    assert [r.cause for r in host.of(Reloaded)] == ["bad file", ""]
    assert {m.generation for m in host.fleet.members() if m.state == "ready"} == {2}


def test_a_reload_in_place_is_done_when_all_have_answered():
    host = Simulated(Spec("a", workers=2, reload="reload"))
    host.ready()
    host.take(host.fleet.reload(host.now))
    host.take(host.fleet.reloaded(1, "", host.now))
    assert not host.of(Reloaded)
    host.take(host.fleet.reloaded(2, "", host.now))
    assert host.of(Reloaded) == [Reloaded("")]
    assert len(host.of(Start)) == 2


def test_a_reload_in_place_that_nobody_answers_fails_by_name():
    host = Simulated(Spec("a", workers=1, reload="reload"))
    host.ready()
    host.take(host.fleet.reload(host.now))
    host.until_due()
    assert "a.0" in host.of(Reloaded)[0].cause


def test_recycling_takes_one_at_a_time_and_rests_between():
    host = Simulated(Spec("a", workers=4, max_requests=200, recycle_jitter=0.0))
    host.ready()
    host.beat(requests=200)
    assert host.count("starting") == 1
    host.now += 0.5
    host.ready()
    assert host.count("ready") == 4
    host.beat(requests=200)
    assert host.count("starting") == 0
    host.until_due()
    assert host.now == pytest.approx(105.0)
    assert host.count("starting") == 1


def test_exclusive_workers_are_replaced_old_before_new():
    host = Simulated(Spec("a", workers=2, overlap=False))
    host.ready()
    host.take(host.fleet.restart("a", None, host.now))
    assert (host.count("stopping"), host.count("starting")) == (1, 0)
    host.die(1, 0)
    assert (host.count("ready"), host.count("starting")) == (1, 1)


def test_resizing_starts_and_stops_the_youngest_places():
    host = Simulated(Spec("a", workers=2))
    host.ready()
    host.take(host.fleet.resize("a", 4, host.now))
    host.ready()
    assert host.count("ready") == 4
    host.take(host.fleet.resize("a", 1, host.now))
    assert sorted(m.slot for m in host.fleet.members() if m.state == "stopping") == [1, 2, 3]


def test_a_drained_place_stays_empty_until_it_is_restarted():
    host = Simulated(Spec("a", workers=2))
    host.ready()
    host.take(host.fleet.drain("a", 1, host.now))
    host.die(2, 0)
    assert len(host.of(Start)) == 2
    host.take(host.fleet.restart("a", 1, host.now))
    assert len(host.of(Start)) == 3


def test_a_restart_of_one_is_answered_when_its_successor_serves():
    host = Simulated(Spec("a", workers=2))
    host.ready()
    host.take(host.fleet.restart("a", 0, host.now))
    assert not host.of(Replaced)
    host.ready()
    assert host.of(Replaced) == [Replaced("a.0", "")]


def test_a_stop_is_graceful_then_late_then_over():
    host = Simulated(Spec("a", workers=2, stop_timeout_s=3))
    host.ready(1)
    host.take(host.fleet.stop(host.now))
    assert host.of(Tell) == [Tell(1, {"order": "stop"})]
    assert host.of(Kill) == [Kill(2, soft=True)]
    host.die(2, -15)
    host.wait(3)
    assert host.of(Kill)[-1] == Kill(1)
    host.die(1, -9)
    assert host.of(Finish) == [Finish(0)]


def test_a_second_stop_kills_at_once():
    host = Simulated()
    host.ready()
    host.take(host.fleet.stop(host.now))
    host.take(host.fleet.stop(host.now))
    assert [k.serial for k in host.of(Kill)] == [1, 2]
    host.die(1, -9)
    host.die(2, -9)
    assert host.of(Finish)[0].code == 1


def test_an_unknown_service_or_worker_is_named():
    host = Simulated()
    with pytest.raises(NoSuchWorker, match="no service 'x', there are: a"):
        host.fleet.resize("x", 1, host.now)
    with pytest.raises(NoSuchWorker, match="workers 0 to 1, not 7"):
        host.fleet.restart("a", 7, host.now)


STEP = st.sampled_from(
    ["ready", "kill", "crash", "wait", "beat", "reload", "restart", "more", "less", "drain", "back"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(STEP, st.integers(0, 7)), max_size=60), st.booleans(), st.booleans())
def test_after_any_history_the_fleet_is_whole_and_a_stop_ends_it(steps, overlap, in_place):
    spec = Spec("a", 3, overlap=overlap, reload="reload" if in_place else "restart", max_requests=9)
    host = Simulated(spec, Spec("b", 1))
    for step, number in steps:
        if host.fleet.ending:
            break
        _step(host, step, number)
        _never_two_in_one_place(host)
    if not host.fleet.ending:
        host.take(host.fleet.restart("a", None, host.now))
        _quiesce(host)
        assert {m.slot for m in host.fleet.members() if m.service == "a"} == set(
            range(host.fleet.crews["a"].workers)
        )
        assert not host.fleet.reloading.running
        host.take(host.fleet.stop(host.now))
    while host.alive:
        host.die(next(iter(host.alive)), 0)
    assert len(host.of(Finish)) == 1


def _step(host, step, number):
    members = list(host.fleet.members())
    one = members[number % len(members)] if members else None
    if step == "wait":
        host.wait(number * 0.7)
        for member in list(host.fleet.members()):
            if member.state == "killed":
                host.die(member.serial, -9)
    elif step == "beat":
        host.beat(requests=number * 2)
    elif step == "reload":
        host.take(host.fleet.reload(host.now))
    elif step == "restart":
        host.take(host.fleet.restart("a", None, host.now))
    elif step in {"more", "less"}:
        workers = host.fleet.crews["a"].workers + (1 if step == "more" else -1)
        host.take(host.fleet.resize("a", max(1, min(workers, 6)), host.now))
    elif step in {"drain", "back"}:
        act = host.fleet.drain if step == "drain" else host.fleet.restart
        host.take(act("a", number % host.fleet.crews["a"].workers, host.now))
    elif one and step == "ready":
        host.ready(one.serial)
    elif one:
        host.die(one.serial, -9 if step == "kill" else 1)


def _never_two_in_one_place(host):
    for crew in host.fleet.crews.values():
        for slot in {m.slot for m in crew.members.values()}:
            starting = [m for m in crew.inside(slot, "starting") if m.replaces is None]
            assert len(crew.inside(slot, "ready")) + len(starting) <= 2
            assert len(starting) <= 1
            if not crew.spec.overlap:
                assert len(crew.inside(slot)) == 1


def _quiesce(host):
    """Let everything that starts become ready, and everything that stops end, until it is calm."""
    for _ in range(400):
        for member in list(host.fleet.members()):
            if member.state == "starting":
                host.ready(member.serial)
            elif member.state in {"stopping", "killed"}:
                host.die(member.serial, 0)
        for crew in host.fleet.crews.values():
            for member in list(crew.members.values()):
                host.take(host.fleet.reloaded(member.serial, "", host.now))
                host.take(host.fleet.beat(member.serial, host.now, 0))
        busy = any(m.state != "ready" for m in host.fleet.members())
        busy = busy or any(c.queue or c.retry_at for c in host.fleet.crews.values())
        if not busy and not host.fleet.reloading.running:
            return
        host.wait(0.5)
    raise AssertionError(host.fleet.statistics())


def test_a_traceback_in_one_line_has_no_marks_under_its_lines():
    text = 'Traceback:\n  File "a.py", line 1\n    made(1)\n    ~~~~^^^\nValueError: ^ is none\n\n'
    assert one_line(text) == 'Traceback: | File "a.py", line 1 | made(1) | ValueError: ^ is none'
