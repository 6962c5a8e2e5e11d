"""Waits that would never end, and what is told to those who wait for a service that stays down."""

import asyncio

import pytest

from congress_dse import deepsix, exceptions
from congress_dse.d6message import d6msg
from congress_dse.runtime import chosen as runtime
from congress_dse.supervision import Policy

ONE_DEATH = Policy(intensity=0)


class Sending(deepsix.deepSix):
    """Sends commands on to those whom its own name, until it is told of an error."""

    mailbox_capacity = 2
    mailbox_policy = "block"

    def __init__(self, *args):
        super().__init__(*args)
        self.errors, self.sent, self.seen = [], 0, []

    def cmdhandler(self, msg):
        self.seen.append(msg.dataindex)
        for key in msg.body or ():
            try:
                for n in range(10):
                    self.command(key, f"from {self.name} {n}", timer=0)
                    self.sent += 1
            except exceptions.DeadlockError as error:
                self.errors.append(str(error))

    def reqhandler(self, msg):
        runtime.sleep(0)
        for n in range(10):
            self.command(msg.body, f"late {n}", timer=0)
        return "sent"


class Suspended(Sending):
    """The same in a coroutine, which cannot wait in a call that is not awaited."""

    async def cmdhandler(self, msg):
        await asyncio.sleep(0)
        super().cmdhandler(msg)
        await asyncio.sleep(0)


# A mailbox that blocks, and coroutines.


def test_what_a_coroutine_sends_to_a_full_mailbox_is_held_until_its_turn_is_over(
    host, wait_for, settle
):
    slow, go = host.createservice("slow", factory=Sending), runtime.Waiter()
    settle(host)
    slow.do(go.wait)
    sender = host.createservice("sender", factory=Suspended)
    host.tell("sender", "flood", ["slow"])
    host.tell("sender", "next")
    wait_for(lambda: [wait[:2] for wait in host.asks.waits()] == [("sender", "slow")])
    assert sender.seen == ["flood"], "its next message comes after what it has sent"
    assert len(slow.inbox) == 2
    go.send()
    settle(host)
    assert slow.seen == [f"from sender {n}" for n in range(10)]
    assert sender.seen == ["flood", "next"]
    assert list(host.letters()) == []


def test_a_service_whose_mailbox_blocks_and_is_full_does_not_hold_the_bus(host, settle, wait_for):
    slow, go = host.createservice("slow", factory=Sending), runtime.Waiter()
    slow.publish("t", {("row",)})
    settle(host)
    slow.do(go.wait)
    for _ in range(2):
        host.tell("slow", "x")
    states = []
    reader = host.createservice("reader", factory=deepsix.deepSix)
    reader.subscribe("slow", "t", callback=lambda msg: states.append(msg.body.data), interval=0.01)
    wait_for(lambda: slow.inbox.room)
    received = slow.inbox.received
    wait_for(lambda: slow.inbox.received >= received + 3)  # it subscribes again and again
    assert host.asks.waits() == []
    assert sum(held.msg.replyTo == "reader" for held in slow.inbox.room) == 1
    go.send()
    wait_for(lambda: states)
    assert states == [{("row",)}]


def test_a_coroutine_may_have_so_many_messages_held_and_no_more(
    host, wait_for, settle, monkeypatch
):
    monkeypatch.setattr("congress_dse.d6cage.CAPACITY", 5)
    slow, go = host.createservice("slow", factory=Sending), runtime.Waiter()
    settle(host)
    slow.do(go.wait)
    sender = host.createservice("sender", factory=Suspended)
    host.tell("sender", "flood", ["slow"])
    wait_for(lambda: len(slow.inbox.room) == 5)
    go.send()
    wait_for(lambda: sender.failures and len(slow.seen) == 7)
    assert sender.last_failure == (
        "MailboxFull: mailbox of 'slow' is full: 2 messages wait, and 'sender' cannot wait for "
        "room here"
    )
    assert [letter.reason for letter in host.letters()] == ["mailbox full", "failed"]


def test_coroutines_and_full_mailboxes_in_a_circle_are_seen_too(host, wait_for, settle):
    made = [host.createservice(name, factory=Suspended) for name in "ab"]
    host.tell("a", "flood", ["b"])
    host.tell("b", "flood", ["a"])
    wait_for(lambda: any(service.failures for service in made))
    settle(host)
    told = [service.last_failure for service in made if service.failures]
    assert all(failure.startswith("DeadlockError: there would never be") for failure in told)
    assert host.asks.waits() == []
    for name in "ab":
        host.tell(name, "next")
    settle(host)
    assert all(service.seen[-1] == "next" for service in made), "both go on"


@pytest.mark.parametrize("way", ["ab", "abc", "abcdef"])
def test_full_mailboxes_in_a_circle_fail_one_sender_naming_every_hop(host, wait_for, settle, way):
    made = [host.createservice(name, factory=Sending) for name in way]
    for name, following in zip(way, way[1:] + way[0], strict=True):
        host.tell(name, "flood", [following])
    wait_for(lambda: sum(service.sent for service in made) >= 10 * (len(way) - 1))
    settle(host)
    (error,) = [error for service in made for error in service.errors]
    assert error.startswith("there would never be room in a full mailbox: ")
    assert all(f"-> {name} (from " in error for name in way)
    assert host.asks.waits() == []
    assert [letter.reason for letter in host.letters()] == ["mailbox full"]
    for name in way:
        host.tell(name, "next")
    settle(host)
    assert all(service.seen[-1] == "next" for service in made), "all go on"


def test_an_ask_and_a_full_mailbox_in_a_circle_are_seen_too(host, wait_for, settle):
    answers = []

    class Asker(Sending):
        def cmdhandler(self, msg):
            if msg.dataindex == "ask":
                try:
                    answers.append(self.ask("b", "work", "a", timeout_s=30))
                except exceptions.RequestFailed as error:
                    answers.append(error.__cause__)

    host.createservice("a", factory=Asker)
    host.createservice("b", factory=Sending)
    host.tell("a", "ask")
    wait_for(lambda: answers)
    assert isinstance(answers[0], exceptions.DeadlockError)
    assert "b -> a (late 2) -> b (work)" in str(answers[0])


def test_a_sender_that_waits_for_a_slow_receiver_is_no_circle(host, settle):
    a = host.createservice("a", factory=Sending)
    b = host.createservice("b", factory=Sending)
    host.tell("a", "flood", ["b"])
    settle(host)
    host.tell("b", "flood", ["a"])
    settle(host)
    assert a.errors == b.errors == []
    assert len(a.seen) == len(b.seen) == 11


def test_who_has_its_answer_already_is_no_hop_of_a_circle(host, wait_for):
    """B is answered, and before it has its next turn the one that answered asks it."""
    heard, go = [], runtime.Waiter()

    class Partner(deepsix.deepSix):
        def reqhandler(self, msg):
            if self.name == "a":
                go.wait()
            return "answer"

        def cmdhandler(self, msg):
            heard.append((self.name, self.ask(msg.body, "question", timeout_s=10)))

    host.createservice("a", factory=Partner)
    host.createservice("b", factory=Partner)
    # One after the other in the mailbox of a: the question of b, and the order to ask b.
    host.routemsg(d6msg("b", "test", "", "cmd", "go", "a"))
    wait_for(host.asks.waits)
    host.routemsg(d6msg("a", "test", "", "cmd", "go", "b"))
    go.send()
    wait_for(lambda: len(heard) == 2)
    assert sorted(heard) == [("a", "answer"), ("b", "answer")]


# A service that supervision gave up.


class Frail(deepsix.deepSix):
    """Dies of what it is asked."""

    def reqhandler(self, msg):
        raise KeyError("told to fail")


def test_asks_of_a_service_that_was_given_up_fail_at_once_with_the_cause(host, wait_for):
    host.createservice("s", factory=Frail, on_failure="restart", policy=ONE_DEATH)
    failures = []

    def ask(n):
        try:
            host.ask("s", f"work {n}", timeout_s=60)
        except exceptions.EngineError as error:
            failures.append(error)

    for n in range(3):  # one is answered by the death, two wait in the mailbox meanwhile
        runtime.spawn(ask, n)
    wait_for(lambda: len(failures) == 3)
    wait_for(lambda: host.statistics().failures)
    begun = runtime.now()
    with pytest.raises(
        exceptions.ServiceGivenUp, match=r"s: given up after 1 deaths, .*told to fai"
    ):
        host.ask("s", "more", timeout_s=60)
    assert runtime.now() - begun < 5
    assert isinstance(failures[-1], exceptions.ServiceGivenUp)
    assert len(host.asks) == 0


def test_a_group_that_was_given_up_answers_for_each_of_its_services(host, wait_for):
    host.group("g", "all", Policy(intensity=0))
    host.upkeep._root.children["g"].policy = Policy(intensity=0)
    host.createservice("s", factory=Frail, group="g", on_failure="restart", policy=ONE_DEATH)
    host.createservice("t", factory=Frail, group="g", on_failure="restart", policy=ONE_DEATH)
    with pytest.raises(exceptions.RequestFailed):
        host.ask("s", "work")
    wait_for(lambda: host.statistics().failures.get("g"))
    for name in "st":
        with pytest.raises(exceptions.ServiceGivenUp, match="s: given up"):
            host.ask(name, "work", timeout_s=60)


def test_a_service_that_is_made_anew_after_it_was_given_up_answers_again(host, wait_for):
    host.createservice("s", factory=Frail, on_failure="restart", policy=ONE_DEATH)
    with pytest.raises(exceptions.RequestFailed):
        host.ask("s", "work")
    wait_for(lambda: host.statistics().failures)
    mended = type("Mended", (Frail,), {"reqhandler": lambda self, msg: "mended"})
    host.upkeep.renew("s", mended)
    assert host.ask("s", "work") == "mended"


# What belongs to one life.


def test_a_call_given_to_a_life_is_not_made_again_on_it_after_its_death(host, wait_for, settle):
    lives, calls = [], []

    class Called(deepsix.deepSix):
        def __init__(self, *args):
            super().__init__(*args)
            lives.append(self)

    patient = Policy(intensity=100, backoff_s=0.0)
    service = host.createservice("s", factory=Called, on_failure="restart", policy=patient)

    def call():
        calls.append(runtime.current_actor())
        raise KeyError("told to fail")

    service.do(call)
    service.do(lambda: calls.append("by the dead"))
    wait_for(lambda: len(lives) == 2 and host.service_object("s") is lives[1])
    settle(host)
    assert calls == [service]
    assert len(lives) == 2
    reasons = sorted(letter.reason for letter in host.letters())
    assert reasons == ["failed", "its life ended"]


def test_a_pull_is_a_pull_again_when_its_publisher_was_restarted(host, wait_for, settle):
    got = []

    class Table(deepsix.deepSix):
        def __init__(self, *args):
            super().__init__(*args)
            self.publish("t", {("first",)})

    patient = Policy(intensity=100, backoff_s=0.0)
    host.createservice("p", factory=Table, on_failure="restart", policy=patient)
    reader = host.createservice("r", factory=deepsix.deepSix)
    reader.subscribe("p", "t", callback=lambda msg: got.append(msg.body.data), pull=True)
    wait_for(lambda: len(got) == 1)
    first = host.service_object("p")
    first.kill()
    wait_for(lambda: host.service_object("p") is not first and len(got) == 2)
    settle(host)
    host.service_object("p").publish("t", {("second",)})
    settle(host)
    assert got == [{("first",)}, {("first",)}], "a later version is pulled again, not sent"
