"""Where Congress's own DSE was wrong, and ours is right: one test for each."""

import logging

import pytest

from congress_dse import d6cage, deepsix, exceptions
from congress_dse.amqprouter import routeTable
from congress_dse.d6message import d6msg
from congress_dse.dataobj import dataObject
from congress_dse.runtime import chosen as runtime
from tests.support import modes


class Recorder(deepsix.deepSix):
    """Notes all that its callbacks get."""

    def __init__(self, *args):
        super().__init__(*args)
        self.got = []

    def note(self, msg):
        self.got.append(msg.body.data)


@pytest.fixture
def pair(host):
    return host.createservice("pub", factory=Recorder), host.createservice("sub", factory=Recorder)


class Hooked(Recorder):
    """Fails in the hook that it is told to."""

    def __init__(self, *args):
        self.failing = True
        super().__init__(*args)

    def _fail(self, msg):
        if self.failing:
            raise KeyError("a hook failed")
        return True

    reqhandler = cmdhandler = unsubhandler = _fail

    def subhandler(self, msg):
        if msg.dataindex != "routeKeys":
            self._fail(msg)


def test_an_exception_in_a_callback_ends_nothing(host, pair, settle, caplog):
    pub, sub = pair

    def fail(msg):
        sub.got.append(msg.body.data)
        raise KeyError("in the callback")

    sub.subscribe("pub", "p", callback=fail)
    settle(host)
    pub.publish("p", {(1,)})
    settle(host)
    assert sub.got == [{}, {(1,)}]
    assert not sub.dead
    assert sub.statistics().failed == 2
    assert host.statistics().dead_letters["counts"]["failed"] == 2
    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert all("sub" in r.getMessage() and r.exc_info for r in errors)
    assert len(errors) == 2


@pytest.mark.parametrize("kind", ["req", "cmd", "sub", "unsub"])
def test_an_exception_in_a_hook_ends_nothing(host, settle, kind):
    service = host.createservice("s", factory=Hooked)
    other = host.createservice("other", factory=Recorder)
    settle(host)
    if kind == "unsub":
        service.failing = False
        corrId = other.subscribe("s", "p")
        settle(host)
        service.failing = True
        other.unsubscribe(corrId=corrId)
    else:
        host.routemsg(d6msg("s", "other", "c", kind, "p"))
    settle(host)
    assert service.statistics().failed == 1
    assert not service.dead
    service.failing = False
    assert host.statistics().restarts["s"] == 0


@pytest.mark.parametrize("error", ["timeout", SystemExit])
def test_a_time_limit_or_an_exit_of_a_service_ends_nothing_either(host, settle, error):

    class Strange(Recorder):
        def cmdhandler(self, msg):
            if error == "timeout":
                with runtime.deadline(0.001, modes.time_limit()):
                    runtime.sleep(3600)
            raise error

    service = host.createservice("s", factory=Strange)
    host.tell("s", "x")
    settle(host)
    assert service.statistics().failed == 1
    assert not service.dead
    assert host.service_object("s") is service


def test_the_last_unsubscription_leaves_a_table_without_subscribers(host, pair, settle):
    pub, sub = pair
    pub.publish("p", {(1,)})
    sub.subscribe("pub", "p")
    settle(host)
    sub.unsubscribe("pub", "p")
    settle(host)
    assert pub.pubdata["p"].getsubscribers() == {}
    assert pub.statistics().failed == 0
    sub.unsubscribe("pub", "p")
    settle(host)
    assert pub.statistics().failed == sub.statistics().failed == 0


def test_a_shut_with_many_subscriptions_ends_each(host, pair, settle, wait_for):
    pub, sub = pair
    for n in range(50):
        sub.subscribe("pub", f"t{n}")
    settle(host)
    host.routemsg(d6msg("sub", type="shut"))
    wait_for(lambda: sub.dead)
    settle(host)
    assert pub.subscriber_list() == [(host.name, "routeKeys")]
    assert sub.statistics().failed == 0


def test_a_push_to_many_requesters_answers_each(host, settle):
    class Slow(Recorder):
        def reqhandler(self, msg):
            pass

    pub = host.createservice("pub", factory=Slow)
    subs = [host.createservice(f"sub{n}", factory=Recorder) for n in range(20)]
    for sub in subs:
        sub.request("pub", "q", callback=sub.note)
    settle(host)
    pub.publish("q", {(1,)})
    settle(host)
    assert all(sub.got == [{(1,)}] for sub in subs)
    assert pub.pubdata["q"].requesters == {}
    assert pub.statistics().failed == 0


def test_two_requests_of_one_name_are_both_answered(host, settle):
    class Slow(Recorder):
        def reqhandler(self, msg):
            pass

    pub = host.createservice("pub", factory=Slow)
    sub = host.createservice("sub", factory=Recorder)
    for _ in range(2):
        sub.request("pub", "q", callback=sub.note)
    settle(host)
    pub.reply("q", "yes")
    settle(host)
    assert sub.got == ["yes", "yes"]


def test_a_request_on_a_published_table_leaves_its_subscribers(host, settle):
    class Answering(Recorder):
        def reqhandler(self, msg):
            self.reply(msg.dataindex)

    pub = host.createservice("pub", factory=Answering)
    sub = host.createservice("sub", factory=Recorder)
    pub.publish("p", {(1,)})
    sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    answers = []
    sub.request("pub", "p", callback=lambda msg: answers.append(msg.body.data))
    settle(host)
    assert answers == [{(1,)}]
    pub.publish("p", {(2,)})
    settle(host)
    assert sub.got == [{(1,)}, {(2,)}]


def test_an_unknown_id_is_unsubscribed_at_its_sender_never_at_nobody(host, pair, settle):
    settle(host)
    keys = []
    route = host.routemsg
    host.routemsg = lambda msg: (keys.append((msg.type, msg.key)), route(msg))
    for kind in ("pub", "rep"):
        for sender in ("pub", ""):
            route(d6msg("sub", sender, "unknown", kind, "p", dataObject({(1,)})))
    settle(host)
    assert keys == [("unsub", "pub")]
    assert host.statistics().dead_letters["counts"]["late"] == 2


def test_the_callback_of_each_subscription_is_called(host, pair, settle):
    pub, sub = pair
    got = {1: [], 2: []}
    for mine in got.values():
        sub.subscribe("pub", "p", callback=lambda msg, mine=mine: mine.append(msg.body.data))
    settle(host)
    pub.publish("p", {(1,)})
    settle(host)
    assert got[1] == got[2] == [{}, {(1,)}]
    assert not sub.scheduuids


def test_a_subscriber_made_again_under_its_name_gets_the_table(host, pair, settle):
    pub, sub = pair
    pub.publish("p", {(1,)})
    sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    host.deleteservice("sub")
    again = host.createservice("sub", factory=Recorder)
    again.subscribe("pub", "p", callback=again.note)
    settle(host)
    pub.publish("p", {(2,)})
    settle(host)
    assert again.got == [{(1,)}, {(2,)}]
    assert sub.got == [{(1,)}]


def test_a_deleted_service_sends_no_more(host, settle, wait_for):
    sub = host.createservice("sub", factory=Recorder)
    sub.subscribe("nobody", "p", interval=0.01)
    other = host.createservice("other", factory=Recorder)
    settle(host)
    host.deleteservice("sub")
    sent = []
    route = host.routemsg
    host.routemsg = lambda msg: (sent.append(msg.replyTo), route(msg))
    later = []
    other.after(0.1, later.append, True)
    wait_for(lambda: later)
    assert "sub" not in sent
    assert sub.due() is None


def test_ids_timers_and_commands_do_not_pile_up(host, settle):
    class Busy(Recorder):
        def cmdhandler(self, msg):
            self.reply(msg.correlationId, "done")

        def reqhandler(self, msg):
            self.reply(msg.dataindex, "done")

    busy = host.createservice("busy", factory=Busy)
    sub = host.createservice("sub", factory=Recorder)
    settle(host)
    for _ in range(30):
        for n in range(100):
            sub.command("busy", "c")
            sub.request("busy", f"q{n}")
            sub.unsubscribe(corrId=sub.subscribe("busy", f"p{n}"))
        settle(host)
    assert not sub.subdata
    assert not sub.scheduuids
    assert not sub._repeats
    assert sub.due() is None
    assert len(sub._timers._heap) < 200
    assert set(busy.pubdata) == {"routeKeys"}
    assert len(busy._commands) + len(busy._older_commands) <= 2000


def test_a_message_that_waits_already_is_not_handled_before_the_constructor_has_ended(host, settle):
    class Slow(Recorder):
        def __init__(self, *args):
            super().__init__(*args)
            self.dataPath.tell(self.name, "early")
            runtime.sleep(0.01)
            self.ready = True

        def cmdhandler(self, msg):
            self.got.append(self.ready)

    service = host.createservice("s", factory=Slow)
    settle(host)
    assert service.got == [True]


def test_no_row_is_ever_logged(host, pair, settle, caplog):
    caplog.set_level("DEBUG")
    pub, sub = pair
    sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    pub.publish("p", {("hush-1",)})
    sub.request("pub", "p", args={"x": "hush-2"})
    host.tell("nobody", "x", "hush-3")
    host.routemsg(d6msg("nobody", "pub", "c", "pub", "p", dataObject({("hush-4",)})))
    host.routemsg(d6msg("sub", "pub", "c", "none", "p", "hush-5"))
    settle(host)
    assert sub.got[-1] == {("hush-1",)}
    assert "hush" not in caplog.text


def test_any_number_of_route_updates_leaves_the_bus_alive(host, settle):
    service = host.createservice("s", factory=Recorder)
    for n in range(20):
        service.publish("routeKeys", {"keys": [f"key{n}"]})
        settle(host)
    assert not host.dead
    assert host.statistics().services[host.name].failed == 0


def test_a_hundred_cages_leave_nothing(nothing_left, settle):
    for _ in range(100):
        cage = deepsix.spawnService(d6cage.d6Cage)
        pub = cage.createservice("pub", factory=Recorder)
        sub = cage.createservice("sub", factory=Recorder)
        sub.subscribe("pub", "p")
        pub.publish("p", {(1,)})
        settle(cage)
        d6cage.delete_cage()


@pytest.mark.parametrize("key", [None, 5, ["a"], "k" * 256, "ä" * 200])
def test_a_key_that_is_none_is_an_error_and_the_bus_goes_on(host, pair, settle, key):
    pub, sub = pair
    with pytest.raises(exceptions.InvalidKey):
        host.routemsg(d6msg(key, "pub", "", "cmd", "x"))
    pub.publish("p", {(1,)})
    sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    assert sub.got == [{(1,)}]


def test_a_message_of_unknown_type_is_an_error_and_the_service_goes_on(host, pair, settle, caplog):
    pub, _ = pair
    host.routemsg(d6msg("pub", "sub", "", "nonsense", "x"))
    settle(host)
    assert "nonsense" in caplog.text
    assert not pub.dead
    assert pub.statistics().failed == 1
    with pytest.raises(exceptions.UnknownMessageType, match="nonsense"):
        pub.receive(d6msg("pub", "sub", "", "nonsense", "x"))


def test_route_tables_share_nothing():
    one, two = routeTable(), routeTable()
    one.add("#.b.c", "x")
    one.lookup("a.b.c").add("changed by the caller")
    assert one.lookup("a.b.c") == {"x"}
    assert two.lookup("a.b.c") == set()


def test_queues_are_bounded(host, settle):
    service = host.createservice("s", factory=Recorder)
    settle(host)
    for _ in range(service.inbox.capacity):
        host.tell("s", "x")
    with pytest.raises(exceptions.MailboxFull, match="'s'"):
        host.tell("s", "x")
