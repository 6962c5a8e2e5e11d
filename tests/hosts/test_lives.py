"""Lives on the real runtime: own timers, kills, supervision, watching, and the end of the bus."""

import contextlib
import logging
import random

import pytest

from congress_dse import deepsix, exceptions
from congress_dse.d6message import d6msg
from congress_dse.runtime import chosen as runtime
from congress_dse.supervision import Policy

PATIENT = Policy(intensity=10**6, backoff_s=0.0)


class Counting(deepsix.deepSix):
    """Notes each command in a list that outlives it; fails, or hangs, when it is told to."""

    def __init__(self, name, keys, inbox, dataPath, args):
        super().__init__(name, keys, inbox, dataPath, args)
        self.seen = self.args.get("seen", [])

    def cmdhandler(self, msg):
        self.seen.append(msg.body)
        if msg.dataindex == "fail":
            raise KeyError("told to fail")
        if msg.dataindex == "hang":
            runtime.sleep(3600)
        if msg.dataindex == "wait":
            runtime.sleep(0)


@pytest.fixture
def make(host):
    """Create a service; returns a function that gives its present life."""

    def create(name, **how):
        how.setdefault("policy", PATIENT)
        host.createservice(name, factory=Counting, args={"seen": how.pop("seen", [])}, **how)
        return lambda: host.service_object(name)

    return create


def test_a_timer_calls_in_the_service_s_own_turn_and_can_be_taken_back(host, make, wait_for):
    service = make("s")()
    calls = []
    service.after(0.02, lambda: calls.append(("late", runtime.current_actor())))
    service.after(0.001, lambda: calls.append(("early", runtime.current_actor())))
    service.after(0.005, calls.append, "never").cancel()
    wait_for(lambda: len(calls) == 2)
    assert calls == [("early", service), ("late", service)]


def test_a_timer_that_fails_leaves_the_others(host, make, wait_for):
    service = make("s")()
    calls = []
    service.after(0.001, lambda: 1 / 0)
    service.after(0.001, calls.append, "at once")
    service.after(0.02, calls.append, "later")
    wait_for(lambda: calls == ["at once", "later"])
    assert not service.dead


def test_do_calls_in_the_service_s_own_turn_and_its_failure_ends_nothing(host, make, wait_for):
    service = make("s")()
    calls = []
    service.do(lambda: 1 / 0)
    service.do(lambda: calls.append(runtime.current_actor()))
    wait_for(lambda: calls)
    assert calls == [service]


def test_d6run_of_an_old_driver_is_called_again_and_again(host, wait_for, monkeypatch):
    monkeypatch.setattr(deepsix, "D6RUN_S", 0.001)

    class Old(deepsix.deepSix):
        runs = 0

        def d6run(self):
            type(self).runs += 1
            raise KeyError("once in a while")

    host.createservice("old", factory=Old)
    wait_for(lambda: Old.runs > 3)


@pytest.mark.parametrize("seed", range(5))
def test_kills_at_random_moments_lose_no_message_and_keep_the_order(
    host, make, settle, wait_for, seed
):
    draw = random.Random(seed)
    seen = []
    now = make("s", seen=seen)
    for n in range(300):
        host.tell("s", "wait", n)
        if draw.random() < 0.1:
            runtime.sleep(0)
        if draw.random() < 0.1 and not now().dead:
            now().kill()
    settle_life(host, now, wait_for)
    assert all(x.attempts == 3 for x in host.letters() if x.msg.type == "cmd")
    assert list(dict.fromkeys(seen)) == list(range(300))


def settle_life(host, now, wait_for):
    wait_for(lambda: not now().dead and now().at_rest() and host.at_rest() and now().inbox.empty())


def test_a_kill_before_the_first_turn_is_a_death_like_another(host, make, wait_for):
    now = make("s")
    first = now()
    first.kill()
    wait_for(lambda: now() is not first and now() is not None)
    assert host.statistics().restarts == {"s": 1}


def test_a_kill_costs_no_other_message_a_life(host, make, wait_for, settle):
    """Updates of one subscription have one correlation id; each is a message of its own."""
    make("s")
    settle(host)
    messages = [d6msg("s", "me", "same", "cmd", "hang", n) for n in range(6)]
    for msg in messages:
        plan = host.upkeep._plans["s"]
        host.upkeep._once_more(plan, msg, KeyError())
        assert plan.inbox.take()[1] is msg
    assert not [x for x in host.letters() if x.reason == "failed"]


def test_a_poison_message_is_parked_after_three_lives_and_replayed_once(
    host, make, wait_for, settle
):
    seen = []
    make("s", seen=seen, on_failure="restart")
    other = make("other")
    settle(host)
    alive = other()
    host.tell("s", "fail", "poison")
    host.tell("s", "x", "after")
    wait_for(lambda: "after" in seen)
    settle(host)
    assert seen == ["poison"] * 3 + ["after"]
    assert other() is alive
    assert not alive.dead
    letter = next(x for x in host.letters() if x.reason == "failed")
    assert (letter.receiver, letter.attempts, letter.msg.body) == ("s", 3, "poison")
    assert "told to fail" in letter.stack
    assert "cmdhandler" in letter.stack
    assert host.replay(letter.number)
    assert not host.replay(letter.number)
    wait_for(lambda: len(seen) == 5)
    wait_for(lambda: any(x.attempts == 4 for x in host.letters()))
    assert seen[4:] == ["poison"]
    assert host.replay(10**9) is False


def test_a_replayed_message_that_is_cured_is_handled_once(host, make, wait_for, settle):
    seen = []
    now = make("s", seen=seen)
    host.tell("s", "fail", "m")
    wait_for(host.letters)
    now().cmdhandler = lambda msg: seen.append("cured")
    assert host.replay(host.letters()[-1].number)
    settle(host)
    assert seen == ["m", "cured"]


def test_a_restart_keeps_the_mailbox_the_routes_and_the_followers(host, make, settle, wait_for):
    seen = []
    now = make("s", seen=seen, keys=["k"])
    sub = host.createservice("sub", factory=Counting)
    got = []
    sub.subscribe("s", "p", callback=lambda msg: got.append(set(msg.body.data)))
    now().publish("p", {("old",)})
    settle(host)
    first = now()
    host.tell("k", "hang", 1)
    host.tell("k", "x", 2)
    wait_for(lambda: seen == [1])
    first.cmdhandler = None
    first.kill()
    wait_for(lambda: seen.count(1) == 2)
    assert now() is not first
    assert now().inbox is first.inbox
    now().kill()
    wait_for(lambda: seen.count(1) == 3)
    now().kill()
    wait_for(lambda: seen[-1] == 2)
    settle(host)
    assert got[-1] == set()
    now().publish("p", {("new",)})
    settle(host)
    assert got[-1] == {("new",)}


@pytest.mark.parametrize(("strategy", "renewed"), [("one", "b"), ("rest", "bc"), ("all", "abc")])
def test_a_group_is_restarted_by_its_strategy(host, make, settle, wait_for, strategy, renewed):
    host.group("g", strategy, PATIENT)
    lives = {name: make(name, group="g") for name in "abc"}
    outside = make("outside")
    settle(host)
    before = {name: life() for name, life in lives.items()}
    lone = outside()
    before["b"].kill()
    wait_for(lambda: all(lives[n]() is not before[n] for n in renewed))
    settle(host)
    assert [n for n in "abc" if lives[n]() is not before[n]] == list(renewed)
    assert all(not life().dead for life in lives.values())
    assert outside() is lone


def test_a_service_that_dies_too_often_is_given_up_visibly(host, make, settle, wait_for):
    now = make("s", policy=Policy(intensity=2, backoff_s=0.0), on_failure="restart")
    for n in range(5):
        host.tell("s", "fail", n)
    wait_for(lambda: host.statistics().failures)
    assert "KeyError: 'told to fail'" in host.statistics().failures["s"]
    assert "3 deaths" in host.statistics().failures["s"]
    assert now().dead
    host.deleteservice("s")
    assert host.statistics().failures == {}


def test_a_group_that_is_given_up_stays_down_with_its_cause(host, make, settle, wait_for):
    host.group("g", "all", Policy(intensity=0))
    make("a", group="g", policy=Policy(intensity=0), on_failure="restart")
    b = make("b", group="g")
    for n in range(20):
        host.tell("a", "fail", n)
    wait_for(lambda: "g" in host.statistics().failures)
    assert "told to fail" in host.statistics().failures["g"]
    assert b().dead


def test_a_name_that_was_given_anew_is_not_restarted(host, make, settle, wait_for):
    slow = Policy(intensity=9, backoff_s=0.05, jitter=0)
    now = make("s", policy=slow)
    for _ in range(2):
        life = now()
        wait_for(lambda life=life: life.begun)
        life.kill()
        runtime.sleep(0.01)
    host.deleteservice("s")
    make("s")
    fresh = now()
    later = []
    fresh.after(0.2, later.append, True)
    wait_for(lambda: later)
    assert now() is fresh


def test_an_end_is_told_once_to_each_who_watches(host, make, settle, wait_for):
    now = make("s")
    watcher = make("watcher")()
    told = []
    host.watch("s", lambda name, cause: told.append(("host", name, str(cause))))
    host.watch(
        "s", lambda name, cause: told.append((runtime.current_actor(), name)), watcher="watcher"
    )
    settle(host)
    now().kill()
    wait_for(lambda: len(told) == 2)
    settle(host)
    assert (watcher, "s") in told
    now().kill()
    settle(host)
    assert len(told) == 2
    with pytest.raises(exceptions.NoSuchService):
        host.watch("nobody", print)


def test_a_deletion_is_told_too(host, make, settle):
    make("s")
    told = []
    host.watch("s", lambda name, cause: told.append((name, cause)))
    host.deleteservice("s")
    settle(host)
    assert told == [("s", "deleted")]


def test_groups_and_reactions_that_are_none_are_refused(host, make):
    with pytest.raises(exceptions.DataServiceError, match="group 'none'"):
        make("s", group="none")
    with pytest.raises(exceptions.DataServiceError, match="on_failure"):
        make("s", on_failure="panic")
    host.group("g")
    with pytest.raises(exceptions.DataServiceError, match="'g' exists"):
        host.group("g")
    with pytest.raises(ValueError, match="strategy"):
        host.group("h", "some")
    assert list(host.services) == [host.name]


# The end.


class Ending(Counting):
    ended = []

    def cleanup(self):
        self.ended.append(self.name)


def test_the_bus_ends_its_services_newest_first_and_each_handles_what_is_queued(host):
    Ending.ended.clear()
    seen = []
    for name in ("first", "second", "third"):
        host.createservice(name, factory=Ending, args={"seen": seen})
        host.tell(name, "x", name)
    assert host.d6stop() == []
    assert Ending.ended == ["third", "second", "first"]
    assert sorted(seen) == ["first", "second", "third"]
    assert host.d6stop() == []


def test_a_stop_kills_what_is_late_and_names_it(host, make, wait_for, monkeypatch):
    monkeypatch.setattr("congress_dse.d6cage.STEP_S", 0.1)
    seen = []
    for n in range(9):
        make(f"fine{n}")
    make("stuck", seen=seen)
    host.tell("stuck", "hang", 1)
    host.tell("stuck", "x", 2)
    wait_for(lambda: seen)
    begun = runtime.now()
    assert host.d6stop() == ["stuck"]
    assert runtime.now() - begun < 10
    assert seen == [1]
    assert 2 in [x.msg.body for x in host.letters() if x.reason == "stopped"]


def refused(host):
    with pytest.raises(exceptions.EngineError):
        host.ask("s4", "x")


def test_a_stop_ends_services_of_every_kind(host, settle, wait_for, monkeypatch):
    monkeypatch.setattr("congress_dse.d6cage.STEP_S", 0.1)

    class Timed(Counting):
        def __init__(self, *args):
            super().__init__(*args)
            self.after(3600, print)
            self.spawn(runtime.sleep, 3600)

    class Stubborn(Counting):
        def cmdhandler(self, msg):
            self.seen.append(1)
            while True:
                with contextlib.suppress(Exception):
                    runtime.sleep(3600)

    class Plain:
        def __init__(self, *args):
            pass

    kinds = [Counting, Ending, Timed, Plain, Stubborn]
    for n in range(10):
        host.createservice(f"s{n}", factory=kinds[n % 5])
    waiting = host.service_object("s0")
    waiting.subscribe("nobody", "p", interval=5)
    waiting.request("nobody", "q")
    asking = runtime.spawn(refused, host)
    stuck = host.service_object("s4")
    host.tell("s4", "x")
    wait_for(lambda: stuck.seen)
    assert host.d6stop() == ["s4"]
    asking.wait()


@pytest.mark.parametrize("whose", ["bus", "service"])
def test_a_stop_from_a_turn_of_one_s_own_ends_everything(host, make, wait_for, whose):
    make("a")
    service = make("s")()
    make("b")
    (host if whose == "bus" else service).do(host.d6stop)
    wait_for(lambda: host.stopped and host.dead and service.dead)


def test_a_stop_while_a_service_is_deleted_ends_both(host, wait_for):
    class Slow(Counting):
        def cleanup(self):
            runtime.sleep(0.05)

    host.createservice("other", factory=Counting)
    host.createservice("s", factory=Slow)
    deleting = runtime.spawn(host.deleteservice, "s")
    runtime.sleep(0)
    assert host.d6stop() == []
    deleting.wait()
    assert host.stopped


def test_a_stop_is_over_by_its_deadline(host, make, wait_for):
    seen = []
    for n in range(20):
        make(f"s{n}", seen=seen)
        host.tell(f"s{n}", "hang", n)
    wait_for(lambda: len(seen) == 20)
    begun = runtime.now()
    assert len(host.d6stop(deadline_s=0.2)) == 20
    assert runtime.now() - begun < 5


def test_native_threads_and_greenthreads_log_to_one_handler_without_a_hang(wait_for):
    log = logging.getLogger("tests.native")
    log.propagate = False
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log.addHandler(handler)
    log.setLevel(logging.INFO)

    def native(number):
        for at in range(500):
            log.info("native %d %d", number, at)

    def green(number):
        for at in range(200):
            log.info("green %d %d", number, at)
            runtime.sleep(0)

    try:
        natives = [runtime.spawn(runtime.in_thread, native, n) for n in range(8)]
        greens = [runtime.spawn(green, n) for n in range(4)]
        for thread in natives + greens:
            thread.wait()
    finally:
        log.removeHandler(handler)
    assert len(lines) == 8 * 500 + 4 * 200
