"""A bus over RabbitMQ through everything that happens to brokers, networks and nodes.

What every subscriber has at the end is what its publisher has: that is the one promise.
"""

import itertools
import os
import random
from contextlib import contextmanager, suppress

import pytest

from congress_dse import exceptions
from congress_dse.d6cage import d6Cage
from congress_dse.deepsix import deepSix
from congress_dse.links import rabbit, roll, wire
from congress_dse.links.broker_state import BrokerLimits
from congress_dse.links.local import Local
from congress_dse.links.parcels import Packer
from congress_dse.links.rabbit import LIMITS, NAME, Rabbit
from congress_dse.runtime import chosen as runtime
from tests.links.nodes import Node
from tests.support.engine import wait_for
from tests.support.fault_proxy import FaultProxy

FULL = bool(os.environ.get("CONGRESS_DSE_FULL"))  # the long versions, of minutes
RESTARTS = 20 if FULL else 1
QUICK = BrokerLimits(
    **{**vars(LIMITS), "heartbeat_s": 2, "probe_s": 0.5, "probe_limit_s": 3, "confirm_limit_s": 5}
)
AGAIN_S = 30.0  # for all to be equal once the trouble is over: generous

pytestmark = [pytest.mark.rabbit, pytest.mark.timeout(3600 if FULL else 180)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """The same pace of beacons and silence, four times as fast."""
    monkeypatch.setattr(rabbit, "BEACON_S", 0.5)
    monkeypatch.setattr(roll, "SILENCE_S", 2.5)


native = runtime.unpatched("threading")
_number = itertools.count()


class Source(deepSix):
    """Publishes a table, answers, and counts what it is told to do."""

    def __init__(self, *args):
        self.done = []
        super().__init__(*args)

    def reqhandler(self, msg):
        self.done.append(msg.body)
        return {"echo": msg.body}

    def cmdhandler(self, msg):
        self.done.append(msg.body.data if hasattr(msg.body, "data") else msg.body)

    def put(self, rows, table="t"):
        self.do(lambda: self.publish(table, rows))


class Follower(deepSix):
    """Follows tables; keeps the last state of each, and every version."""

    def __init__(self, *args):
        self.tables, self.versions = {}, []
        super().__init__(*args)

    def follow(self, key, table="t"):
        self.do(lambda: self.subscribe(key, table, callback=self.take))
        return self

    def take(self, msg):
        self.tables[msg.replyTo, msg.dataindex] = msg.body.data
        self.versions.append(msg.body.version)

    def rows(self, key="source", table="t"):
        return self.tables.get((key, table))


@contextmanager
def bus(*urls, names=None, limits=QUICK):
    """Cages that are nodes of one bus, and know each other."""
    cages, links = [], []
    try:
        for number, url in enumerate(urls):
            cage = d6Cage(f"rabbit-cage{next(_number)}")
            cage.bus.node = names[number] if names else f"n{number}@test"
            cages.append(cage)
            links.append(Rabbit(cage, url, limits=limits))
        wait_for(lambda: all(met(cage) == len(urls) - 1 for cage in cages), AGAIN_S)
        yield cages
    finally:
        for link in links:
            link.close()
        for cage in cages:
            cage.d6stop()


def met(cage):
    return len(cage.bus.directory.nodes)


def link(cage):
    return cage.bus.links[NAME].transport


def meetings(cage):
    return {node: meeting.mine for node, meeting in link(cage).roll.meetings.items()}


def source(cage, name="source"):
    return cage.createservice(name, factory=Source)


def follower(cage, key="source", table="t"):
    made = cage.createservice(f"follower{next(_number)}", factory=Follower)
    return made.follow(key, table)


@contextmanager
def followed(*urls, limits=QUICK):
    """A table that changes all the while, and its followers on each other node; all end equal."""
    with bus(*urls, limits=limits) as cages:
        publisher = source(cages[0])
        followers = [follower(cage) for cage in cages[1:]]
        publisher.put({(0,)})
        wait_for(lambda: all(f.rows() == {(0,)} for f in followers))
        changes = Changes(publisher)
        try:
            yield cages, changes
        finally:
            changes.stop()
        publisher.put({("the", "end")})
        wait_for(lambda: all(f.rows() == {("the", "end")} for f in followers), AGAIN_S)
        for one in followers:
            assert one.versions == sorted(one.versions), "a subscriber was shown the past"


class Changes:
    """A table of twenty rows of which one changes every few milliseconds."""

    def __init__(self, publisher, pause_s=0.005):
        self._publisher, self._pause_s = publisher, pause_s
        self.rows = {}
        self._stopped = False
        self._thread = runtime.spawn(self._run)

    def _run(self):
        for number in itertools.count():
            if self._stopped:
                return
            self.rows[number % 20] = number
            self._publisher.put(set(self.rows.items()))
            runtime.sleep(self._pause_s)

    def stop(self):
        self._stopped = True
        self._thread.wait()


def reconnects(cage):
    return link(cage).statistics()["reconnects"]


def down(*cages):
    wait_for(lambda: not any(link(cage).ready() for cage in cages))


def ready(*cages):
    wait_for(lambda: all(link(cage).ready() for cage in cages), AGAIN_S)


def test_a_broker_that_restarts_again_and_again(rabbit_node):
    chance = random.Random(5)
    with followed(rabbit_node.url, rabbit_node.url) as (cages, _):
        for _ in range(RESTARTS):
            rabbit_node.stop_app()
            down(*cages)
            runtime.sleep(chance.uniform(0, 60 if FULL else 2))
            rabbit_node.start_app()
            ready(*cages)


@pytest.mark.skipif(not FULL, reason="test_broker_faults kills one; CONGRESS_DSE_FULL=1 here too")
def test_a_broker_that_is_killed(rabbit_node):
    with followed(rabbit_node.url, rabbit_node.url) as (cages, _):
        rabbit_node.kill()
        down(*cages)
        rabbit_node.start()
        ready(*cages)


def test_connections_that_an_operator_closes(rabbit_node):
    with followed(rabbit_node.url, rabbit_node.url, rabbit_node.url) as (cages, _):
        before = [reconnects(cage) for cage in cages]
        rabbit_node.close_all_connections("maintenance")
        # One may be back before the next has lost its own, so all are never seen down.
        wait_for(lambda: all(map(int.__lt__, before, map(reconnects, cages))), AGAIN_S)
        ready(*cages)


def test_a_broker_that_is_short_of_memory_costs_bounded_memory(rabbit_node):
    with bus(rabbit_node.url, rabbit_node.url) as (one, other):
        publisher, far = source(one), follower(other)
        publisher.put({(0, "")})
        wait_for(lambda: far.rows() == {(0, "")})
        rabbit_node.alarm(True)
        try:
            wait_for(lambda: link(one).statistics()["state"] == "blocked")
            assert not link(one).ready()
            blob = "x" * 100_000
            for n in range(1, 500):
                publisher.put({(n, blob + str(n))})
                runtime.sleep(0)
            wait_for(lambda: one.bus.links[NAME].outlets.dropped)
            assert link(one).statistics()["waiting_b"] < 32 << 20
        finally:
            rabbit_node.alarm(False)
        wait_for(lambda: far.rows() == {(499, blob + "499")}, AGAIN_S)
        ready(one, other)


FAULTS = {
    "black hole": lambda proxy: proxy.hole(),
    "reset": lambda proxy: proxy.cut(),
}
if FULL:
    FAULTS["half a frame"] = lambda proxy: proxy.truncate(3)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_network_that_fails_for_one_node(rabbit_node, fault):
    with FaultProxy(rabbit_node.port) as proxy:
        url = f"rabbit://guest:guest@127.0.0.1:{proxy.port}/"
        with followed(rabbit_node.url, url) as (cages, _):
            FAULTS[fault](proxy)
            down(cages[1])
            assert link(cages[0]).ready()
            proxy.heal()
            ready(*cages)


def test_a_node_that_is_cut_off_for_long_is_gone_and_comes_back(rabbit_node):
    with FaultProxy(rabbit_node.port) as proxy:
        url = f"rabbit://guest:guest@127.0.0.1:{proxy.port}/"
        with followed(rabbit_node.url, url) as (cages, _):
            proxy.hole()
            wait_for(lambda: not met(cages[0]), AGAIN_S)
            assert met(cages[1]), "who hears nobody knows of nobody's end"
            proxy.heal()
            wait_for(lambda: met(cages[0]), AGAIN_S)


def test_a_hub_that_is_blocked_keeps_its_connection(rabbit_node):
    with followed(rabbit_node.url, rabbit_node.url) as (cages, _):
        native.Event().wait(90 if FULL else 5)  # longer than two heartbeats
        ready(*cages)
        assert link(cages[0]).statistics()["reconnects"] == 0


def test_a_frozen_broker(rabbit_node):
    with followed(rabbit_node.url, rabbit_node.url) as (cages, _):
        rabbit_node.freeze()
        try:
            down(*cages)
        finally:
            rabbit_node.thaw()
        ready(*cages)


def test_a_queue_that_is_deleted_with_the_last_change_in_it(rabbit_node):
    with bus(rabbit_node.url, rabbit_node.url) as (one, other):
        publisher, far = source(one), follower(other)
        publisher.put({(0,)})
        wait_for(lambda: far.rows() == {(0,)})
        rabbit_node.ctl("delete_queue", f"congress_dse.{other.bus.node}")
        publisher.put({("lost", "or not")})
        wait_for(lambda: far.rows() == {("lost", "or not")}, AGAIN_S)


def test_what_a_queue_loses_in_silence_is_made_good(rabbit_node):
    # A queue that is full drops its oldest, and tells nobody. The node has stopped consuming for
    # this: it holds what it may have, and the rest waits at the broker, to be purged.
    with bus(rabbit_node.url, rabbit_node.url) as (one, other):
        publisher, far = source(one), follower(other)
        publisher.put({(0,)})
        wait_for(lambda: far.rows() == {(0,)})
        broker = link(other).broker
        broker._context.ledger.prefetch, kept = 0, broker._context.ledger.prefetch
        broker._context.bindings.unbind(f"node.{other.bus.node}")
        broker._context.wake()
        wait_for(lambda: not broker._context.bindings.changed)
        runtime.sleep(0.5)
        publisher.put({(1,)})
        source(one, "new")
        runtime.sleep(1.5)  # its number goes out twice more: lost too
        broker.bind(f"node.{other.bus.node}")
        broker._context.ledger.prefetch = kept
        broker._context.wake()
        wait_for(lambda: far.rows() == {(1,)}, AGAIN_S)
        wait_for(lambda: other.bus.taken("new"), AGAIN_S)


def test_several_followers_cost_the_publisher_one_copy(rabbit_node):
    with bus(*[rabbit_node.url] * 4) as (one, *others):
        publisher, followers = source(one), [follower(cage) for cage in others]
        publisher.put({(0,)})
        wait_for(lambda: all(f.rows() == {(0,)} for f in followers))
        before, met_as = link(one).broker.statistics().published, meetings(one)
        for n in range(1, 101):
            publisher.put({(n,)})
            runtime.sleep(0.002)
        wait_for(lambda: all(f.rows() == {(100,)} for f in followers))
        assert meetings(one) == met_as, "it came by the topic, and not as what was lost"
        copies = link(one).broker.statistics().published - before
        assert copies < 130, "a change is published once, and its number a few times"


def test_the_broker_brings_a_node_nothing_that_it_does_not_follow(rabbit_node):
    with bus(*[rabbit_node.url] * 3) as (one, two, three):
        publisher = source(one)
        followers = [follower(two), follower(three)]
        publisher.put({(0,)})
        wait_for(lambda: all(f.rows() == {(0,)} for f in followers))
        followers[1].do(lambda: followers[1].unsubscribe("source", "t"))
        wait_for(lambda: one.bus.links[NAME].outlets.statistics()[0]["followers"] == ["n1@test"])
        before = link(three).broker.statistics().consumed
        for n in range(1, 101):
            publisher.put({(n,)})
            runtime.sleep(0.002)
        wait_for(lambda: followers[0].rows() == {(100,)})
        assert link(three).broker.statistics().consumed - before < 20


def test_a_large_table_crosses_in_parts(rabbit_node):
    rows = {(n, f"name of {n}", n * 0.5, None) for n in range(20_000)}
    with bus(rabbit_node.url, rabbit_node.url) as (one, other):
        publisher, far = source(one), follower(other)
        publisher.put(rows)
        wait_for(lambda: far.rows() == rows, AGAIN_S)


def test_orders_are_carried_out_once_though_they_come_twice(rabbit_node):
    with bus(rabbit_node.url, rabbit_node.url) as (one, other):
        doer = source(one)
        wait_for(lambda: other.bus.taken("source"))
        for n in range(300):
            other.tell("source", "do", n)
            if n % 150 == 75:
                rabbit_node.close_all_connections("again")
            runtime.sleep(0.002)
        wait_for(lambda: len(doer.done) >= 300, AGAIN_S)
        runtime.sleep(1)
        assert doer.done == list(range(300))


def test_a_request_that_waited_too_long_at_the_broker_is_not_carried_out(rabbit_node):
    with bus(rabbit_node.url, rabbit_node.url) as (one, other):
        doer = source(one)
        wait_for(lambda: other.bus.taken("source"))
        assert other.ask("source", "echo", 1, timeout_s=10) == {"echo": 1}
        ledger = link(one).broker._context.ledger
        ledger.prefetch, kept = 0, ledger.prefetch  # it stops to consume
        with pytest.raises(exceptions.AskTimeout):
            other.ask("source", "echo", 2, timeout_s=1.5)
        ledger.prefetch = kept
        link(one).broker._context.wake()
        assert other.ask("source", "echo", 3, timeout_s=10) == {"echo": 3}
        assert doer.done == [1, 3]


def test_a_node_that_dies_is_gone_when_it_is_not_heard_of(rabbit_node):
    with bus(rabbit_node.url, rabbit_node.url) as (one, other):
        source(one)
        wait_for(lambda: other.bus.taken("source"))
        failures = []

        def ask():
            try:
                other.ask("source", "never", timeout_s=60)
            except exceptions.EngineError as error:
                failures.append(error)

        one.services["source"]["object"].reqhandler = lambda _msg: None
        runtime.spawn(ask)
        wait_for(lambda: len(other.asks))
        link(one).broker.close(0)  # no goodbye: as if it was killed
        wait_for(lambda: not met(other), AGAIN_S)
        wait_for(lambda: failures)
        assert "n0@test is gone" in str(failures[0])
        with pytest.raises(exceptions.NothingMatched):
            other.ask("source", "echo", 1)


def test_the_younger_of_two_nodes_of_one_name_leaves_and_both_say_so(rabbit_node, caplog):
    with bus(rabbit_node.url, rabbit_node.url) as (one, two):
        three = d6Cage(f"rabbit-cage{next(_number)}")
        three.bus.node = one.bus.node
        late = Rabbit(three, rabbit_node.url, limits=QUICK)
        try:
            wait_for(lambda: late.ended, AGAIN_S)
            assert "another node is named 'n0@test', too" in late.ended
            assert not link(one).ended
            wait_for(lambda: one.bus.directory.clashes)
            wait_for(lambda: met(one) == met(two) == 1, AGAIN_S)
            publisher, far = source(one), follower(two)
            publisher.put({(1,)})
            wait_for(lambda: far.rows() == {(1,)}, AGAIN_S)
        finally:
            late.close()
            three.d6stop()
    assert "this one leaves" in caplog.text


def test_a_nearer_link_is_preferred_and_the_broker_takes_over_when_it_ends(rabbit_node, tmp_path):
    with bus(rabbit_node.url, rabbit_node.url) as (one, other):
        publisher, far = source(one), follower(other)
        publisher.put({(0,)})
        wait_for(lambda: far.rows() == {(0,)})
        near = [Local(cage, str(tmp_path / "near"), cage.bus.node) for cage in (one, other)]
        wait_for(lambda: all(via(cage) == {f"link.{theirs(cage)}"} for cage in (one, other)))
        publisher.put({(1,)})
        wait_for(lambda: far.rows() == {(1,)})
        runtime.sleep(2)  # beacons come, and change nothing
        assert all(via(cage) == {f"link.{theirs(cage)}"} for cage in (one, other))
        for end in near:
            end.close()
        publisher.put({(2,)})
        wait_for(lambda: far.rows() == {(2,)}, AGAIN_S)
        assert via(one) == via(other) == {NAME}


def theirs(cage):
    return {"n0@test": "n1@test", "n1@test": "n0@test"}[cage.bus.node]


def via(cage):
    return {node.link for node in cage.bus.directory.nodes.values()}


HOSTILE = [b"", b"x", os.urandom(500), b"\x00\x00\x00\x05" + b"\x91" * 5, b"\xff" * 100]


def test_what_a_stranger_sends_over_the_broker_hurts_nobody(rabbit_node, caplog):
    stranger = Node(rabbit_node.url, "stranger")
    stranger.broker.start()
    with followed(rabbit_node.url, rabbit_node.url) as (cages, _):
        wait_for(lambda: stranger.state == "up")
        for body in HOSTILE:
            for key in ("beacon", "node.n0@test", "node.n1@test"):
                assert stranger.broker.publish(key, body)
        wait_for(lambda: all(link(c).statistics()["garbage"] == 2 * len(HOSTILE) for c in cages))
        ready(*cages)
    stranger.broker.close(1)
    wait_for(lambda: stranger.state == "closed")
    assert caplog.text.count("is none of ours") == 2, "one line, not a flood"


NONSENSE = {
    "an unknown kind": ["evil"],
    "a beacon of nothing": ["beacon", "x", {}],
    "a hello of nothing": ["hello"],
    "routes that are none": ["routes", [["x", ["k" * 300], 1]]],
    "values of other types": ["sub", 1, 2, 3, 4],
}


def test_a_node_that_sends_nonsense_is_left_out_and_hurts_nobody(rabbit_node, caplog):
    stranger = Node(rabbit_node.url, "stranger")
    stranger.broker.start()
    with bus(rabbit_node.url, rabbit_node.url) as (one, other):
        publisher, far = source(one), follower(other)
        wait_for(lambda: stranger.state == "up")
        for name, message in NONSENSE.items():
            packer = Packer(name, 1, list, runtime.now)
            for sent in (["beacon", 0, {}], message):
                packer.add("node.n1@test", [], [wire.encode(sent)], direct=True)
                packer.cut()
            for key, body in packer.take():
                assert stranger.broker.publish(key, body)
        wait_for(lambda: caplog.text.count("is left out for what it sent") == len(NONSENSE))
        assert met(other) == 1
        publisher.put({(1,)})
        wait_for(lambda: far.rows() == {(1,)})
    stranger.broker.close(1)
    wait_for(lambda: stranger.state == "closed")


def test_a_node_name_that_is_a_pattern_is_refused():
    cage = d6Cage(f"rabbit-cage{next(_number)}")
    cage.bus.node = "n*"
    with pytest.raises(exceptions.ConfigError, match="cannot be a node's name"):
        Rabbit(cage, "rabbit://127.0.0.1:1/")
    cage.d6stop()


def test_without_a_broker_a_node_works_on_and_joins_when_there_is_one():
    cage = d6Cage(f"rabbit-cage{next(_number)}")
    cage.bus.node = "alone"
    end = Rabbit(cage, "rabbit://127.0.0.1:1/", limits=QUICK)
    try:
        wait_for(lambda: end.statistics()["state"] == "down")
        assert not end.ready()
        assert "refused" in end.statistics()["error"]
        with pytest.raises(exceptions.NothingMatched):
            cage.ask("nobody", "echo", 1)
    finally:
        with suppress(exceptions.NoSuchService):
            end.close()
        cage.d6stop()
