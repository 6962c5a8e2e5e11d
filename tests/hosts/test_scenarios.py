"""The acceptance scenarios on the real runtime: asks, floods, slow subscribers, hung sources."""

import gc
import os
import tracemalloc

import pytest

from congress_dse import deepsix, exceptions
from congress_dse.d6message import d6msg
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.rows import Delta
from congress_dse.runtime import chosen as runtime
from tests.support import modes

ASKS = int(os.environ.get("CONGRESS_DSE_ASKS", "20000"))
FLOOD = 100_000


class Asking(deepsix.deepSix):
    """Asks the services that the request's body lists, one after the other."""

    def reqhandler(self, msg):
        if not msg.body:
            return "end"
        return self.ask(msg.body[0], "on", msg.body[1:], timeout_s=20)


# Asks in a circle.


@pytest.mark.parametrize("way", ["a", "ab", "abc", "abcdefgh"])
def test_an_ask_in_a_circle_is_refused_at_once_naming_every_hop(host, way):
    for name in way:
        host.createservice(name, factory=Asking)
    begun = runtime.now()
    with pytest.raises(exceptions.RequestFailed) as failure:
        host.ask(way[0], "on", list(way[1:] + way[0]))
    assert runtime.now() - begun < 5
    cause = failure.value
    while cause.__cause__ is not None:
        cause = cause.__cause__
    assert isinstance(cause, exceptions.DeadlockError)
    assert all(f"{name} (on)" in str(cause) for name in way)
    assert host.asks.waits() == []
    assert all(host.ask(name, "on", []) == "end" for name in way)


def test_asks_that_make_no_circle_raise_no_alarm(host):
    names = [f"s{n}" for n in range(10)]
    for name in names:
        host.createservice(name, factory=Asking)
    done = []

    def many(first, count):
        for n in range(count):
            assert host.ask(names[first], "on", names[first + 1 :][: n % 4]) == "end"
            done.append(1)

    threads = [runtime.spawn(many, first, ASKS // 5) for first in range(5)]
    for thread in threads:
        thread.wait()
    assert len(done) == ASKS // 5 * 5
    assert len(host.asks) == 0


# An ask that takes too long.


class Slow(deepsix.deepSix):
    """Holds a request until it is let go."""

    def __init__(self, *args):
        super().__init__(*args)
        self.held, self.go = [], runtime.Waiter()

    def reqhandler(self, msg):
        self.held.append(msg.body)
        self.go.wait()
        return "late"


def test_an_ask_that_times_out_tells_why_and_is_not_done_later(host, wait_for, settle):
    slow = host.createservice("slow", factory=Slow)
    first = runtime.spawn(lambda: host.ask("slow", "q", 1, timeout_s=20))
    wait_for(lambda: slow.held)
    with pytest.raises(exceptions.AskTimeout) as late:
        host.ask("slow", "q", 2, timeout_s=0.05)
    text = str(late.value)
    assert "'q' of 'slow'" in text
    assert "slow has 1 messages waiting" in text
    assert "<req 'q' to 'slow'" in text
    assert "test_scenarios.py" in text
    assert "in reqhandler" in text
    assert isinstance(late.value, TimeoutError)
    slow.go.send()
    assert first.wait() == "late"
    settle(host)
    assert slow.held == [1]
    assert host.statistics().dead_letters["counts"]["expired"] == 1
    assert host.statistics().ask_timeouts == 1


def test_a_late_reply_is_dropped_and_counted(host, wait_for, settle):
    slow = host.createservice("slow", factory=Slow)
    with pytest.raises(exceptions.AskTimeout):
        host.ask("slow", "q", 1, timeout_s=0.05)
    slow.go.send()
    settle(host)
    assert host.statistics().dead_letters["counts"]["late"] == 1
    assert host.statistics().open_asks == 0


def test_an_ask_that_nobody_can_answer_is_answered_at_once(host):
    host.createservice("mute", factory=deepsix.deepSix)
    with pytest.raises(exceptions.NothingMatched, match="nobody"):
        host.ask("nobody", "q")
    with pytest.raises(exceptions.RequestFailed, match="takes no requests"):
        host.ask("mute", "q")


def test_an_ask_fails_with_the_error_of_its_receiver(host):
    class Failing(deepsix.deepSix):
        def reqhandler(self, msg):
            raise KeyError("why")

    host.createservice("s", factory=Failing)
    with pytest.raises(exceptions.RequestFailed, match="KeyError: 'why'") as failure:
        host.ask("s", "q")
    assert isinstance(failure.value.__cause__, KeyError)


# A mailbox that is full.


class Flooded(deepsix.deepSix):
    """Handles nothing until it is let go; notes what it handles then."""

    mailbox_capacity = 1000

    def __init__(self, *args):
        super().__init__(*args)
        self.go, self.seen = runtime.Waiter(), []

    def cmdhandler(self, msg):
        self.go.wait()
        self.seen.append(msg.body)


def flooded(policy):
    return type("Flooded_" + policy.replace("-", "_"), (Flooded,), {"mailbox_policy": policy})


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("drop-new", range(1001)),
        ("drop-old", [0, *range(FLOOD - 1000, FLOOD)]),
        ("reject", range(1001)),
    ],
)
def test_a_flood_is_met_as_the_policy_says(host, settle, wait_for, caplog, policy, kept):
    service = host.createservice("s", factory=flooded(policy))
    settle(host)
    host.tell("s", "x", 0)
    wait_for(lambda: service.in_hand)
    gc.collect()
    tracemalloc.start()
    rejected = 0
    for n in range(1, FLOOD):
        try:
            host.tell("s", "x", n)
        except exceptions.MailboxFull:
            rejected += 1
    grown_b, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    lost = FLOOD - 1001
    assert grown_b < 20_000_000
    assert rejected == (lost if policy == "reject" else 0)
    assert service.statistics().dropped == lost
    assert host.statistics().dead_letters["counts"]["mailbox full"] == lost
    assert sum("dead letter" in r.getMessage() for r in caplog.records) < 60
    service.go.send()
    settle(host)
    assert service.seen == list(kept)


def test_block_makes_the_sender_wait_and_loses_nothing(host, settle, wait_for):
    service = host.createservice("s", factory=flooded("block"))
    settle(host)
    sent = []

    def send(first):
        for n in range(first, first + FLOOD // 10):
            host.tell("s", "x", n)
            sent.append(n)

    senders = [runtime.spawn(send, n * FLOOD // 10) for n in range(10)]
    wait_for(lambda: len(sent) >= 1000)
    wait_for(lambda: len(service.inbox.room) == 10)
    assert len(sent) <= 1001
    service.go.send()
    for sender in senders:
        sender.wait()
    settle(host)
    assert sorted(service.seen) == list(range(FLOOD))
    for n in range(10):
        mine = [x for x in service.seen if x * 10 // FLOOD == n]
        assert mine == sorted(mine)


def test_a_service_that_has_slept_goes_on_with_what_waits(host, settle):
    class Sleeping(deepsix.deepSix):
        def cmdhandler(self, msg):
            runtime.sleep(0.001)  # it is not the run queue that resumes it
            if msg.body == 9:
                over.send()

    over = runtime.Waiter()
    host.createservice("s", factory=Sleeping)
    settle(host)
    for n in range(10):
        host.tell("s", "x", n)
    assert over.wait(20)


def test_a_service_that_never_runs_out_of_messages_keeps_nobody_from_his_turn(
    host, settle, wait_for
):
    class Endless(deepsix.deepSix):
        def cmdhandler(self, msg):
            if not over:
                self.dataPath.tell(self.name, "again")

    over, calls = [], []
    host.createservice("endless", factory=Endless)
    other = host.createservice("other", factory=deepsix.deepSix)
    settle(host)
    host.tell("endless", "first")
    other.after(0.01, calls.append, "timer")
    runtime.call_later(0.01, calls.append, "hub")
    wait_for(lambda: len(calls) == 2)
    over.append(True)
    settle(host)


def test_a_control_message_is_handled_in_a_flood(host, settle, wait_for):
    class Busy(deepsix.deepSix):
        mailbox_capacity = 1000
        mailbox_policy = "drop-new"

        def cmdhandler(self, msg):
            self.dataPath.tell(self.name, "again")
            self.dataPath.tell(self.name, "again")
            runtime.sleep(0)

    service = host.createservice("s", factory=Busy)
    host.tell("s", "x")
    wait_for(lambda: len(service.inbox) >= 1000)
    calls = []
    handled = service.handled
    service.do(lambda: calls.append(service.handled - handled))
    wait_for(lambda: calls)
    assert calls[0] <= 2
    host.routemsg(d6msg("s", type="shut"))
    wait_for(lambda: service.dead)


@pytest.mark.parametrize("end", ["kill", "delete"])
def test_who_waits_for_room_is_not_forgotten(host, settle, wait_for, end):
    kind = type("Small", (Flooded,), {"mailbox_capacity": 1, "mailbox_policy": "block"})
    service = host.createservice("s", factory=kind)
    settle(host)
    host.tell("s", "x", 0)
    wait_for(lambda: service.in_hand)
    host.tell("s", "x", 1)
    senders = []
    for n in (2, 3):
        senders.append(runtime.spawn(host.tell, "s", "x", n))
        wait_for(lambda n=n: len(service.inbox.room) == n - 1)
    if end == "kill":
        service.go.send()
        wait_for(lambda: len(service.inbox.room) < 2)
        senders[0].kill()
        senders[1].wait()
        settle(host)
        assert service.seen[-1] == 3
    else:
        killer = runtime.spawn(host.deleteservice, "s")
        service.go.send()
        for thread in (*senders, killer):
            thread.wait()
        dead = [x.msg.body for x in host.letters() if x.msg.type == "cmd"]
        assert sorted(service.seen + dead) == [0, 1, 2, 3]


def test_an_ask_of_a_full_mailbox_that_blocks_ends_with_its_deadline(host, settle, wait_for):
    kind = type("Small", (Flooded,), {"mailbox_capacity": 1, "mailbox_policy": "block"})
    service = host.createservice("s", factory=kind)
    settle(host)
    for n in range(2):
        host.tell("s", "x", n)
        wait_for(lambda: service.in_hand)
    with pytest.raises(exceptions.AskTimeout):
        host.ask("s", "q", timeout_s=0.05)
    assert not service.inbox.room
    service.go.send()
    settle(host)
    assert service.seen == [0, 1]


# A slow subscriber.


def test_a_slow_subscriber_delays_nobody_and_catches_up(host, settle, wait_for):
    class Follower(deepsix.deepSix):
        mailbox_capacity = 50

        def __init__(self, *args):
            super().__init__(*args)
            self.view, self.steps, self.go = set(), 0, None

        def follow(self, msg):
            if self.go is not None:
                self.go.wait()
            self.view = (self.view - set(msg.body.removed)) | set(msg.body.added)
            self.steps += 1
            assert self.view == msg.body.data

    pub = host.createservice("pub", factory=deepsix.deepSix)
    pub.publish("p", {("start",)})
    subs = [host.createservice(f"sub{n}", factory=Follower) for n in range(100)]
    for sub in subs:
        sub.subscribe("pub", "p", callback=sub.follow)
    settle(host)
    slow = subs[0]
    slow.go = runtime.Waiter()
    for n in range(500):
        pub.publish("p", Delta(added=[(n,)], removed=[(n - 100,)]))
        runtime.sleep(0)
    wait_for(lambda: all(sub.steps == 501 for sub in subs[1:]))
    assert slow.steps == 1
    slow.go.send()
    wait_for(lambda: slow.view == pub.pubdata["p"].get().data)
    settle(host)
    assert slow.steps < 100
    assert slow.statistics().failed == 0
    assert slow.statistics().coalesced > 0
    pub.publish("p", {("after",)})
    settle(host)
    assert all(sub.view == {("after",)} for sub in subs)


# Sources that hang or fail.


class Source(PollingDataSourceDriver):
    """Reads a counter; hangs, or fails, while its `mood` says so."""

    def __init__(self, *args):
        super().__init__(*args)
        self.mood, self.polls, self.inside, self.overlaps = self.args.get("mood"), 0, 0, 0

    def update_from_datasource(self):
        self.polls += 1
        self.overlaps += self.inside
        self.inside += 1
        try:
            if self.mood == "hang":
                runtime.sleep(3600)
            if isinstance(self.mood, BaseException):
                raise self.mood
            self.state["t"] = {(self.polls,)}
        finally:
            self.inside -= 1


def source(host, name, **args):
    args = {"poll_time": 0.02, "poll_deadline": 0.1, **args}
    return host.createservice(name, factory=Source, args=args)


def test_a_source_that_hangs_or_fails_is_stale_and_the_others_go_on(host, wait_for):
    fine = [source(host, f"fine{n}") for n in range(8)]
    hung = source(host, "hung", mood="hang")
    failing = source(host, "failing", mood=KeyError("gone"))
    bad = (hung, failing)
    wait_for(lambda: all(s.polls >= 5 for s in fine) and all(s.stale for s in bad))
    assert all(not s.stale and s.number_of_updates >= 4 for s in fine)
    assert "poll_deadline" in hung.stale["*"].cause
    assert "KeyError" in failing.stale["*"].cause
    assert "gone" in failing.get_status()["last_error"]
    followed = {(row[0], row[1]) for row in failing.pubdata["_stale"].get().data}
    assert followed == {("*", "KeyError: 'gone'")}
    for one in bad:
        one.mood = None
    wait_for(lambda: all(not s.stale and s.state.get("t") for s in bad))
    assert all(s.pubdata["_stale"].get().data == set() for s in bad)
    assert all(s.overlaps == 0 for s in (*fine, *bad))


def test_a_source_that_fails_keeps_its_last_good_rows(host, wait_for):
    one = source(host, "one")
    wait_for(lambda: one.state)
    one.mood = KeyError("gone")
    wait_for(lambda: one.stale)
    rows = set(one.state["t"])
    polls = one.polls
    wait_for(lambda: one.polls > polls)
    assert one.state["t"] == rows
    assert one.pubdata["t"].get().data == rows


@pytest.mark.parametrize("kind", ["limit", "exit"])
def test_a_time_limit_of_the_driver_s_own_is_a_failure_like_another(host, wait_for, kind):
    error = SystemExit("driver") if kind == "exit" else modes.time_limit()
    one = source(host, "one", mood=error)
    wait_for(lambda: one.polls >= 2)
    assert one.stale
    one.mood = None
    wait_for(lambda: not one.stale and one.state)


def test_a_poll_that_hangs_in_one_table_is_over_for_all(host, wait_for):
    class Tables(Source):
        def update_from_datasource(self):
            for table in "ab":
                with self.reading(table):
                    self.polls += 1
                    runtime.sleep(3600)

    one = host.createservice("s", factory=Tables, args={"poll_time": 0.02, "poll_deadline": 0.05})
    wait_for(lambda: "*" in one.stale)
    assert one.polls == 1


def test_a_refresh_during_a_poll_is_done_after_it_and_not_beside_it(host, wait_for):
    one = source(host, "one", poll_time=3600, poll_deadline=60)
    wait_for(lambda: one.number_of_updates == 1)
    for _ in range(5):
        one.request_refresh()
    wait_for(lambda: one.number_of_updates >= 2)
    assert one.overlaps == 0


def test_a_source_that_is_deleted_in_its_poll_ends_it(host, wait_for):
    hung = source(host, "hung", mood="hang", poll_deadline=60)
    wait_for(lambda: hung.inside)
    host.deleteservice("hung")
    wait_for(lambda: not hung.inside)  # at once, or as soon as its thread notices


def test_a_lazy_table_is_read_when_somebody_follows_it(host, wait_for, settle):
    class Lazy(Source):
        def update_from_datasource(self):
            self.polls += 1
            if self.wanted("t"):
                self.state["t"] = {(1,)}

    one = host.createservice("s", factory=Lazy, args={"poll_time": 3600, "lazy_tables": ["t"]})
    wait_for(lambda: one.number_of_updates)
    assert "t" not in one.state
    sub = host.createservice("sub", factory=deepsix.deepSix)
    got = []
    sub.subscribe("s", "t", callback=lambda msg: got.append(set(msg.body.data)))
    wait_for(lambda: got and got[-1] == {(1,)})


# Idle.


def test_an_idle_engine_makes_no_wake_ups(host, settle, wait_for):
    services = [host.createservice(f"s{n}", factory=deepsix.deepSix) for n in range(100)]
    for service in services:
        service.subscribe("s0", "p")
    settle(host)
    handled = sum(s.handled for s in services) + host.handled
    # Other tests may have left the hub a timer or two: those end, an engine that polls does not.
    assert any(modes.wake_ups(1.0) <= 1 for _ in range(10))
    assert sum(s.handled for s in services) + host.handled == handled
