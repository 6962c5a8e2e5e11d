"""The mailbox, its policies and what overtakes; timers; supervision; polling: machines alone."""

import pytest
from hypothesis import given, settings, strategies as st

from congress_dse import exceptions
from congress_dse.asks import Asks
from congress_dse.d6message import d6msg
from congress_dse.datasources.polling import JITTER, OPEN_AFTER, RETRY_S, Polling
from congress_dse.deadletters import DeadLetters
from congress_dse.runtime.mailbox import POLICIES, Mailbox
from congress_dse.runtime.timers import Timers
from congress_dse.supervision import Policy, Supervisor
from congress_dse.waitingroom import WaitingRoom


def of(kind, body=None, sender="me", corrId=""):
    return d6msg("k", sender, corrId, kind, "x", body)


def drained(box):
    taken = []
    while (entry := box.take()) is not None:
        taken.append(entry[1])
    return taken


kinds = st.sampled_from(["cmd", "pub", "rep", "unsub", "stop", "take"])


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(POLICIES), st.integers(1, 4), st.lists(kinds, max_size=30))
def test_a_mailbox_never_loses_silently_nor_exceeds_its_capacity(policy, capacity, history):
    box = Mailbox("m", capacity, policy)
    dropped, refused, taken, sent, always = [], [], [], [], 0
    box.on_drop = lambda msg, reason: dropped.append(msg)
    for n, kind in enumerate(history):
        if kind == "take":
            entry = box.take()
            taken += [] if entry is None else [entry[1]]
            continue
        msg = of(kind, n, corrId=f"c{n}")
        sent.append(msg)
        always += kind in {"rep", "unsub", "stop"}
        try:
            if box.put(msg) is False:
                refused.append(msg)
        except exceptions.MailboxFull:
            assert policy == "reject"
        assert len(box) <= capacity + always
    taken += drained(box)
    lost = {key[0] for m in taken if m.type == "lost" for key in m.body}
    handled = [m for m in taken if m.type != "lost"]
    for msg in sent:
        known = (msg in handled) + (msg in dropped) + (msg in refused)
        assert known + (msg.correlationId in lost) == 1
        if msg.type in {"rep", "unsub", "stop"} and policy != "drop-old":
            assert msg in handled
    plain = [m.body for m in handled if m.type != "stop"]
    assert plain == sorted(plain)
    assert box.idle


def test_control_messages_overtake_and_are_never_refused():
    box = Mailbox("m", 1, "reject")
    box.put(of("cmd", 1))
    for kind in ("shut", "stop", "tick", "do", "down"):
        box.put(of(kind))
    assert [m.type for m in drained(box)] == ["shut", "stop", "tick", "do", "down", "cmd"]


def test_an_idle_reader_is_woken_once():
    box, woken = Mailbox(), []
    box.wake = lambda: woken.append(1)
    for _ in range(3):
        box.put(of("cmd"))
    assert woken == [1]
    drained(box)
    box.put(of("cmd"))
    assert woken == [1, 1]


@pytest.mark.parametrize("kind", ["cmd", "rep", "pub", "stop"])
def test_a_closed_mailbox_takes_nothing_and_says_what_it_lost(kind):
    box, dropped = Mailbox("m"), []
    box.on_drop = lambda msg, reason: dropped.append((msg.type, reason))
    waiting = of("cmd")
    box.put(waiting)
    assert box.close() == [waiting]
    box.put(of(kind))
    assert box.empty()
    assert dropped == ([] if kind == "stop" else [(kind, "stopped")])


def test_what_waits_for_room_comes_in_by_its_order_and_nothing_overtakes_it():
    box, taken = Mailbox("m", 1, "block"), []
    box.put(of("cmd", 0))
    held = [box.hold(of("cmd", n), lambda n=n: taken.append(n)) for n in (1, 2, 3)]
    assert box.give_up(held[1])
    assert box.take()[1].body == 0
    assert box.put(of("cmd", 4)) is False
    assert (taken, box.received) == ([1], 4)
    assert not box.give_up(held[0])
    assert [m.body for m in drained(box)] == [1, 3]


def test_room_there_is_already_is_taken_at_once_and_the_reader_woken():
    box, woken = Mailbox("m", 1, "block"), []
    box.wake = lambda: woken.append("reader")
    box.hold(of("cmd", 1), lambda: woken.append("sender"))
    assert woken == ["reader", "sender"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_waits_for_room_in_a_closed_mailbox_is_lost_and_known(when):
    box, dropped, taken = Mailbox("m", 1, "block"), [], []
    box.on_drop = lambda msg, reason: dropped.append((msg.body, reason))
    box.put(of("cmd", 0))
    if when == "before":
        box.close()
    box.hold(of("cmd", 1), lambda: taken.append(1))
    box.close()
    assert (dropped, taken) == ([(1, "stopped")], [1])


@pytest.mark.parametrize(("capacity", "policy"), [(0, "block"), (1, "panic")])
def test_a_bound_that_is_none_is_refused(capacity, policy):
    with pytest.raises(ValueError, match=policy):
        Mailbox("m", capacity, policy)


moves = st.lists(st.tuples(st.sampled_from("add cancel pop".split()), st.integers(0, 20)))


@settings(max_examples=300, deadline=None)
@given(moves)
def test_timers_fire_in_order_once_and_never_when_cancelled(history):
    timers, live, fired, wanted = Timers(), {}, [], []
    for n, (move, number) in enumerate(history):
        if move == "add":
            live[n] = (number, timers.add(number, fired.append, n))
        elif move == "cancel" and live:
            live.pop(sorted(live)[number % len(live)])[1].cancel()
        elif move == "pop":
            due = sorted((at, k) for k, (at, _) in live.items() if at <= number)
            wanted += [k for _, k in due]
            for _, k in due:
                del live[k]
            for call, args in timers.pop(number):
                call(*args)
        assert timers.due() == min((at for at, _ in live.values()), default=None)
        assert len(timers) == len(live)
    assert fired == wanted


def test_a_timer_that_an_earlier_one_cancels_does_not_fire():
    timers, fired = Timers(), []
    first = timers.add(1, lambda: fired.extend([second.cancel()] * 0))
    second = timers.add(2, fired.append, 2)
    for call, args in timers.pop(5):
        call(*args)
    assert fired == []
    first.cancel()
    assert len(timers) == 0


def test_thousands_of_cancelled_timers_are_dropped():
    timers = Timers()
    for n in range(10_000):
        timers.add(1000 + n, print).cancel()
    assert len(timers._heap) < 200


# Supervision.


def test_intensity_deaths_are_borne_and_the_next_is_the_end_with_the_first_cause():
    group = Supervisor(policy=Policy(intensity=5, period_s=10))
    group.add("c")
    for n in range(5):
        assert group.died("c", f"cause {n}", float(n)).action == "restart"
    verdict = group.died("c", "last", 5.0)
    assert (verdict.action, verdict.deaths, verdict.cause) == ("give-up", 6, "cause 0")


def test_deaths_that_are_far_apart_are_borne_for_ever():
    group = Supervisor(policy=Policy(intensity=1, period_s=10))
    group.add("c")
    for n in range(20):
        group.started("c", n * 11.0 - 11)
        verdict = group.died("c", "x", n * 11.0)
        assert (verdict.action, verdict.delay_s) == ("restart", 0.0)


def test_back_off_doubles_to_its_limit_with_jitter():
    policy = Policy(backoff_s=1, backoff_max_s=6, jitter=0.25)
    assert [policy.delay_s(n, 0.5) for n in range(1, 7)] == [0, 1, 2, 4, 6, 6]
    assert policy.delay_s(2, 0.0) == 0.75
    assert policy.delay_s(2, 0.999) == pytest.approx(1.25, abs=0.01)
    assert policy.delay_s(10**6, 0.5) == 6


@pytest.mark.parametrize(
    ("strategy", "stop", "start"), [("one", "", "b"), ("rest", "c", "bc"), ("all", "ca", "abc")]
)
def test_a_strategy_says_who_stops_and_who_starts_in_which_order(strategy, stop, start):
    group = Supervisor(strategy)
    for name in "abc":
        group.add(name)
    verdict = group.died("b", "x", 0.0)
    assert (verdict.stop, verdict.start) == (tuple(stop), tuple(start))


@pytest.mark.parametrize(
    ("restart", "failed", "action"),
    [
        ("always", False, "restart"),
        ("on-failure", False, "forget"),
        ("on-failure", True, "restart"),
        ("never", True, "forget"),
    ],
)
def test_an_end_is_met_as_the_policy_says(restart, failed, action):
    group = Supervisor(policy=Policy(restart=restart))
    group.add("c")
    assert group.died("c", "x", 0.0, failed=failed).action == action


# Polling.


def test_a_poll_is_due_at_once_and_then_a_period_after_its_start():
    polling = Polling(10, draw=lambda: 0.5)
    assert polling.due() == float("-inf")
    polling.started(100)
    assert polling.due() is None
    polling.succeeded(103)
    assert polling.due() == 110
    polling.started(110)
    polling.succeeded(135)
    assert polling.due() == 135


def test_the_period_has_jitter():
    for draw, due in ((0.0, 10 * (1 - JITTER)), (1.0, 10 * (1 + JITTER))):
        polling = Polling(10, draw=lambda draw=draw: draw)
        polling.started(0)
        polling.succeeded(1)
        assert polling.due() == pytest.approx(due)


def test_retries_come_soon_and_then_ever_later_up_to_their_limit():
    polling, waits = Polling(4, draw=lambda: 0.5), []
    for n in range(6):
        polling.started(n)
        assert polling.open == (n >= OPEN_AFTER)
        polling.failed(n, KeyError())
        waits.append(polling.due() - n)
    assert waits == [RETRY_S, RETRY_S * 2, RETRY_S * 4, 4, 4, 4]
    assert polling.failing_since == 0
    polling.started(50)
    polling.succeeded(51)
    assert (polling.failures, polling.cause, polling.failing_since) == (0, None, None)
    assert polling.last_good == 51


def test_a_period_of_nothing_polls_on_request_alone():
    polling = Polling(0)
    assert polling.due() is None
    polling.request()
    assert polling.due() == float("-inf")
    polling.started(1)
    polling.request()
    assert polling.due() is None
    polling.failed(2, KeyError())
    assert polling.due() == float("-inf")
    polling.started(3)
    polling.succeeded(4)
    assert polling.due() is None


# Dead letters, waiting room, asks.


def test_the_ring_of_dead_letters_keeps_the_newest_and_counts_all(caplog):
    clock = [0.0]
    ring = DeadLetters(kept=3, clock=lambda: clock[0])
    for n in range(10):
        clock[0] += 0.25
        ring.add(of("cmd", n), "nothing matched")
    assert [x.msg.body for x in ring.letters()] == [7, 8, 9]
    assert ring.statistics() == {"kept": 3, "counts": {"nothing matched": 10}}
    assert len(caplog.records) == 3
    assert ring.take(10).msg.body == 9
    assert ring.take(10) is None


def test_a_dead_update_does_not_hold_its_table():
    ring = DeadLetters()
    assert ring.add(of("pub", {(1,)}), "x").msg.body == {}


def test_a_waiting_room_has_an_end_and_lets_go_who_is_heard():
    room = WaitingRoom(seats=3)
    for n in range(5):
        room.enter(d6msg(f"k{n}", "s", f"c{n}", "sub", "t"))
    room.enter(d6msg("k4", "s", "c4", "sub", "t"))
    assert len(room) == 3
    assert room.leave(["k0", "k9"], lambda key: (1,)) == []
    assert [m.key for m in room.leave(["k3"], lambda key: (1,))] == ["k3"]
    room.forget("c2")
    room.forget("c2")
    assert [m.key for m in room.leave(["#"], lambda key: (1,))] == ["k4"]
    assert len(room) == 0
    assert not room._by_key


def test_an_answer_that_nobody_waits_for_is_not_taken():
    assert not Asks().answered(of("rep"))
