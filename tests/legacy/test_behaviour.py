"""What Congress's own code expects of subscriptions, requests and commands."""

import pytest

from congress_dse import deepsix
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
        self.got.append((msg.replyTo, msg.dataindex, msg.body.data))


class Bus:
    """A datapath that only notes what is sent, as upstream's tests have it."""

    def __init__(self):
        self.sent = []

    def put_nowait(self, msg):
        self.sent.append(msg)

    def of(self, kind):
        return [m for m in self.sent if m.type == kind]


@pytest.fixture
def pair(host):
    return host.createservice("pub", factory=Recorder), host.createservice("sub", factory=Recorder)


@pytest.fixture
def bus():
    return Bus()


@pytest.fixture
def wired(bus, nothing_left):
    service = Recorder("wired", ["k"], runtime.Mailbox("wired"), bus)
    bus.sent.clear()
    yield service
    service.release()
    service.kill()


def test_a_subscriber_gets_the_whole_table_and_then_each_change(host, pair, settle):
    pub, sub = pair
    pub.publish("p", {(1,)})
    corrId = sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    pub.publish("p", {(1,), (2,)})
    settle(host)
    assert sub.got == [("pub", "p", {(1,)}), ("pub", "p", {(1,), (2,)})]
    assert sub.getSubData(corrId, "pub").data == {(1,), (2,)}


def test_a_body_is_a_dataobject_with_a_version(host, pair, settle):
    pub, sub = pair
    bodies = []
    pub.publish("p", {(1,)})
    sub.subscribe("pub", "p", callback=lambda msg: bodies.append(msg.body))
    settle(host)
    pub.publish("p", {(2,)})
    settle(host)
    assert all(isinstance(b, dataObject) for b in bodies)
    assert [b.version for b in bodies] == [1, 2]


@pytest.mark.parametrize("published", [False, True])
def test_an_index_that_was_never_published_or_is_none_arrives_as_an_empty_dict(
    host, pair, settle, published
):
    pub, sub = pair
    if published:
        pub.publish("p", None)
    sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    assert sub.got == [("pub", "p", {})]


def test_a_payload_travels_by_reference(host, pair, settle):
    pub, sub = pair
    thing = {"live": object()}
    sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    pub.publish("p", thing)
    settle(host)
    assert sub.got[-1][2] is thing


def test_a_subscriber_may_come_before_its_publisher(host, settle):
    sub = host.createservice("sub", factory=Recorder)
    sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    assert sub.got == []
    pub = host.createservice("pub", factory=Recorder)
    settle(host)
    pub.publish("p", {(1,)})
    settle(host)
    assert sub.got[-1] == ("pub", "p", {(1,)})


def test_subscribing_again_resends_the_full_state(host, pair, settle):
    pub, sub = pair
    pub.publish("p", {(1,)})
    sub.subscribe("pub", "p", callback=sub.note)
    sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    assert sub.got == [("pub", "p", {(1,)})] * 2
    pub.publish("p", {(2,)})
    settle(host)
    assert len(sub.got) == 4


def test_a_repeated_subscription_with_the_same_id_is_ignored(host, pair, settle):
    pub, sub = pair
    pub.publish("p", {(1,)})
    corrId = sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    for _ in range(3):
        sub.send(d6msg("pub", "sub", corrId, "sub", "p"))
    settle(host)
    assert len(sub.got) == 1
    assert pub.subscriber_list().count(("sub", "p")) == 1
    pub.publish("p", {(2,)})
    settle(host)
    assert len(sub.got) == 2


def test_a_subscription_is_repeated_until_the_first_answer(wired, bus, wait_for):
    corrId = wired.subscribe("k", "p", callback=wired.note, interval=0.01)
    wait_for(lambda: len(bus.of("sub")) >= 3)
    assert {m.correlationId for m in bus.of("sub")} == {corrId}
    wired.inbox.put(d6msg("wired", "pub", corrId, "pub", "p", dataObject({(1,)})))
    wait_for(lambda: wired.got)
    assert corrId not in wired.scheduuids
    assert wired.due() is None
    assert wired.subscription_list() == [("k", "p")]


def test_an_unsubscribed_subscription_is_repeated_no_more(wired, bus):
    wired.subscribe("k", "p", interval=0.01)
    wired.unsubscribe("k", "p")
    assert wired.due() is None
    assert not wired.scheduuids
    assert [m.key for m in bus.of("unsub")] == ["k"]


def test_the_interval_of_the_bus_is_five_seconds_and_the_default_thirty(host, wired):
    wired.subscribe("k", "p")
    assert 25 < wired.due() - runtime.now() <= 30
    host.createservice("pub", factory=Recorder)
    assert host.due() - runtime.now() <= 5


def test_what_a_callback_returns_is_stored(host, pair, settle):
    pub, sub = pair
    corrId = sub.subscribe("pub", "p", callback=lambda msg: "seen" if msg.body.data else None)
    settle(host)
    assert sub.subdata[corrId].dataObjects == {}
    pub.publish("p", {(1,)})
    settle(host)
    assert sub.subdata[corrId].dataObjects["pub"].data == "seen"
    assert sub.getSubData(corrId, "pub").data == "seen"
    pub.publish("p", set())
    settle(host)
    assert sub.subdata[corrId].dataObjects["pub"].data == "seen"


def test_one_address_may_be_shared_by_several_publishers(host, settle):
    pubs = [host.createservice(n, ["shared"], factory=Recorder) for n in ("one", "two")]
    sub = host.createservice("sub", factory=Recorder)
    corrId = sub.subscribe("shared", "p", callback=lambda msg: msg.body.data)
    settle(host)
    for pub in pubs:
        pub.publish("p", {(pub.name,)})
    settle(host)
    stored = sub.subdata[corrId].dataObjects
    assert {name: set(o.data) for name, o in stored.items()} == {
        "one": {("one",)},
        "two": {("two",)},
    }
    assert set(sub.getSubData(corrId)) == {"one", "two"}


def test_unsubscribe_drops_all_subscriptions_of_that_table(host, pair, settle):
    pub, sub = pair
    for _ in range(2):
        sub.subscribe("pub", "p", callback=sub.note)
    other = sub.subscribe("pub", "q", callback=sub.note)
    settle(host)
    sub.unsubscribe("pub", "p")
    settle(host)
    assert list(sub.subdata) == [other]
    assert pub.subscriber_list() == [("sub", "q"), ("cage-" + host.name[5:], "routeKeys")][::-1]
    sub.got.clear()
    pub.publish("p", {(1,)})
    settle(host)
    assert sub.got == []


def test_one_of_several_subscriptions_ends_alone(host, pair, settle):
    pub, sub = pair
    first = sub.subscribe("pub", "p", callback=sub.note)
    second = sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    sub.got.clear()
    sub.unsubscribe(corrId=second)
    settle(host)
    assert list(sub.subdata) == [first]
    assert pub.pubdata["p"].subscribers["sub"]["correlationId"] == first
    pub.publish("p", {(1,)})
    settle(host)
    assert sub.got == [("pub", "p", {(1,)})]


class Dialect(Recorder):
    """Sends its own deltas, as Congress's policy engine and drivers do."""

    def __init__(self, *args):
        self.asked = []
        super().__init__(*args)

    def prepush_processor(self, data, dataindex, type=None):
        self.asked.append((dataindex, type))
        if type == "sub":
            return {"all": data}
        return {"delta": data} if data != "quiet" else None


def test_a_dialect_makes_a_full_push_for_one_and_deltas_for_all(host, settle):
    pub = host.createservice("pub", factory=Dialect)
    one, two = (host.createservice(n, factory=Recorder) for n in ("one", "two"))
    pub.publish("p", "a")
    one.subscribe("pub", "p", callback=one.note)
    settle(host)
    two.subscribe("pub", "p", callback=two.note)
    settle(host)
    assert pub.asked == [("p", "sub"), ("p", "sub")]
    assert [g[2] for g in one.got] == [g[2] for g in two.got] == [{"all": "a"}]
    pub.publish("p", "b")
    settle(host)
    assert pub.asked[2:] == [("p", "pub")]
    assert [g[2] for g in one.got][1:] == [g[2] for g in two.got][1:] == [{"delta": "b"}]


def test_a_dialect_that_answers_none_sends_nothing_and_the_next_arrives(host, settle):
    pub = host.createservice("pub", factory=Dialect)
    sub = host.createservice("sub", factory=Recorder)
    sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    sub.got.clear()
    pub.publish("p", "quiet")
    settle(host)
    assert sub.got == []
    pub.publish("p", "loud")
    settle(host)
    assert [g[2] for g in sub.got] == [{"delta": "loud"}]


def test_reserved_tables_skip_the_dialect(host, settle):
    pub = host.createservice("pub", ["extra"], factory=Dialect)
    settle(host)
    assert pub.asked == []
    assert host.table.lookup("extra") == {pub.inbox}


def test_a_handler_of_subscriptions_is_called_before_the_subscriber_is_noted(host, settle):
    class Lazy(Recorder):
        def subhandler(self, msg):
            if msg.dataindex != "routeKeys":
                self.before = dict(self.pubdata[msg.dataindex].subscribers)
                self.publish(msg.dataindex, {("made",)})

    pub = host.createservice("pub", factory=Lazy)
    sub = host.createservice("sub", factory=Recorder)
    sub.subscribe("pub", "p", callback=sub.note)
    settle(host)
    assert pub.before == {}
    assert sub.got == [("pub", "p", {("made",)})]


@pytest.mark.parametrize(("answer", "stays"), [(True, False), (False, True), (None, True)])
def test_an_unsubhandler_says_whether_the_subscriber_goes(host, settle, answer, stays):
    class Holding(Recorder):
        def unsubhandler(self, msg):
            return answer

    pub = host.createservice("pub", factory=Holding)
    sub = host.createservice("sub", factory=Recorder)
    sub.subscribe("pub", "p")
    settle(host)
    sub.unsubscribe("pub", "p")
    settle(host)
    assert (("sub", "p") in pub.subscriber_list()) is stays


class Answering(Recorder):
    """Notes who waits when a request comes, and answers when it is told to."""

    def reqhandler(self, msg):
        self.waiting = dict(self.pubdata[msg.dataindex].requesters)
        if msg.body != "later":
            self.reply(msg.dataindex, {"answer to": msg.body})


def test_a_request_is_answered_by_reply_which_forgets_it(host, settle):
    pub = host.createservice("pub", factory=Answering)
    sub = host.createservice("sub", factory=Recorder)
    corrId = sub.request("pub", "q", callback=sub.note, args={"x": 1})
    assert sub.subdata[corrId].key == "pub"
    settle(host)
    assert pub.waiting == {"sub": corrId}
    assert sub.got == [("pub", "q", {"answer to": {"x": 1}})]
    assert corrId not in sub.subdata
    assert sub.getSubData(corrId) is None
    assert "q" not in pub.pubdata


def test_a_reply_that_does_not_delete_answers_again(host, settle):
    pub = host.createservice("pub", factory=Answering)
    sub = host.createservice("sub", factory=Recorder)
    sub.request("pub", "q", callback=sub.note, args="later")
    settle(host)
    pub.reply("q", "first", delete=False)
    settle(host)
    assert pub.pubdata["q"].requesters
    pub.reply("q", "second")
    assert not pub.pubdata.get("q")
    settle(host)
    assert [g[2] for g in sub.got] == ["first"]


def test_what_the_handler_returns_is_an_answer_too(host, settle):
    class Returning(Recorder):
        def reqhandler(self, msg):
            return [msg.body]

    host.createservice("pub", factory=Returning)
    assert host.ask("pub", "q", 5) == [5]


def test_an_unanswered_request_expires_after_its_timer(wired, wait_for):
    corrId = wired.request("k", "q", callback=wired.note, timer=0.01)
    assert corrId in wired.subdata
    wait_for(lambda: corrId not in wired.subdata)
    assert wired.due() is None
    assert wired.subscription_list() == []


def test_a_scheduled_request_is_repeated_until_it_is_answered(wired, bus, wait_for):
    corrId = wired.request("k", "q", callback=wired.note, interval=0.01)
    wait_for(lambda: len(bus.of("req")) >= 3)
    wired.inbox.put(d6msg("wired", "pub", corrId, "rep", "q", dataObject("yes")))
    wait_for(lambda: wired.got)
    assert wired.got == [("pub", "q", "yes")]
    assert not wired.subdata
    assert wired.due() is None


@pytest.mark.parametrize("table", ["pubdata", "subdata"])
def test_a_request_for_the_internals_is_answered_with_copies(host, pair, settle, table):
    pub, sub = pair
    pub.publish("p", {(1,)})
    pub.subscribe("sub", "q", corrId="c")
    settle(host)
    live = getattr(pub, table)
    got = []
    sub.request("pub", table, callback=lambda msg: got.append(msg.body.data))
    settle(host)
    copy = got[0]
    assert set(copy) == set(live)
    assert copy is not live
    for key, entry in copy.items():
        assert entry is not live[key]
        for name, value in vars(entry).items():
            if isinstance(value, dict):
                value["changed"] = "by the receiver"
                assert "changed" not in getattr(live[key], name)


def test_a_command_is_done_once_and_its_reply_comes_back(host, settle):
    class Commanded(Recorder):
        def cmdhandler(self, msg):
            self.got.append((msg.dataindex, msg.body))
            self.reply(msg.correlationId, "done")

    pub = host.createservice("pub", factory=Commanded)
    sub = host.createservice("sub", factory=Recorder)
    corrId = sub.command("pub", "go", callback=sub.note, args={"far": 1})
    settle(host)
    sub.send(d6msg("pub", "sub", corrId, "cmd", "go", {"far": 1}))
    settle(host)
    assert pub.got == [("go", {"far": 1})]
    assert [g[2] for g in sub.got] == ["done"]
    assert corrId not in sub.subdata


def test_a_pull_is_answered_and_later_versions_are_not_sent(host, pair, settle):
    pub, sub = pair
    pub.publish("p", {(1,)})
    sub.subscribe("pub", "p", callback=sub.note, pull=True)
    settle(host)
    pub.publish("p", {(2,)})
    settle(host)
    assert sub.got == [("pub", "p", {(1,)})]
    assert pub.pubdata["p"].subscribers["sub"]["type"] == "pull"


def test_shut_ends_subscriptions_keys_and_the_loop(host, settle, wait_for):
    pub = host.createservice("pub", factory=Recorder)
    sub = host.createservice("sub", ["extra"], factory=Recorder)
    for table in "abc":
        sub.subscribe("pub", table)
    settle(host)
    host.routemsg(d6msg("sub", type="shut"))
    wait_for(lambda: sub.dead)
    settle(host)
    assert sub.running is False
    assert sub.subdata == {}
    assert all(name != "sub" for name, _ in pub.subscriber_list())
    assert host.table.lookup("extra") == set()
    assert host.service_object("sub") is None


def test_messages_of_one_sender_keep_their_order(host, settle):
    class Counting(Recorder):
        def cmdhandler(self, msg):
            self.got.append(msg.body)

    pub = host.createservice("pub", ["other.way"], factory=Counting)
    for n in range(2000):
        host.tell("pub" if n % 2 else "other.way", "n", n)
    settle(host)
    assert pub.got == list(range(2000))


def test_a_key_of_its_own_and_its_local_form_reach_a_service(host, settle):
    class Counting(Recorder):
        def cmdhandler(self, msg):
            self.got.append(msg.key)

    one = host.createservice("one", ["a.key"], factory=Counting)
    two = host.createservice("two", factory=Counting)
    ways = ["one", "local.one", "a.key", "local.a.key", "allservices", "local.allservices"]
    for way in ways:
        host.tell(way, "x")
    settle(host)
    assert one.got == ways
    assert two.got == ways[-2:]


def test_new_keys_are_routed_and_old_ones_no_more(host, settle):
    service = host.createservice("s", ["old"], factory=Recorder)
    settle(host)
    for keys in (["new"], ["newer"], ["newest", "old"]):
        service.publish("routeKeys", {"keys": keys})
        settle(host)
        assert all(host.table.lookup(k) == {service.inbox} for k in [*keys, "s", "local.s"])
    assert host.table.lookup("newer") == set()
    assert host.table.lookup("allservices") == {host.inbox}


@modes.on_eventlet
def test_a_service_built_directly_over_an_old_queue_runs(nothing_left, bus, wait_for):
    from eventlet import queue

    inbox = queue.LightQueue()
    inbox.task_done = lambda: None
    service = Recorder("direct", ["k"], inbox, bus)
    corrId = service.subscribe("k", "p", callback=service.note)
    inbox.put_nowait(d6msg("direct", "pub", corrId, "pub", "p", dataObject({(1,)})))
    wait_for(lambda: service.got)
    inbox.put_nowait(d6msg("direct", type="shut"))
    wait_for(lambda: service.dead)


def test_old_code_replaces_request_and_send(host, pair, settle):
    pub, _ = pair
    calls = []
    pub.request = lambda *args, **kwargs: calls.append((args, kwargs))
    pub.request("k", "i", args={})
    assert calls == [(("k", "i"), {"args": {}})]


def test_subscription_list_and_subscriber_list_are_pairs(host, pair, settle):
    pub, sub = pair
    sub.subscribe("pub", "p")
    settle(host)
    assert sub.subscription_list() == [("pub", "p")]
    assert set(pub.subscriber_list()) == {("sub", "p"), (host.name, "routeKeys")}
