"""Two cages joined by a link: what holds inside one cage holds between them."""

import itertools
import os
import socket

import pytest

from congress_dse import exceptions
from congress_dse.d6cage import d6Cage
from congress_dse.deepsix import deepSix
from congress_dse.links import wire
from congress_dse.links.local import Local
from congress_dse.links.rabbit import Rabbit
from congress_dse.links.stream import Stream
from congress_dse.manager import posix
from congress_dse.runtime import chosen as runtime

_number = itertools.count()


class Answering(deepSix):
    """Publishes what it is told, echoes, fails, and asks on."""

    def reqhandler(self, msg):
        return getattr(self, f"do_{msg.dataindex}")(msg.body)

    def do_echo(self, body):
        return {"echo": body}

    def do_fail(self, body):
        raise ValueError(f"no {body}")

    def do_foreign(self, _body):
        return {"stranger": object()}

    def do_ask(self, body):
        return self.ask(body[0], "ask" if len(body) > 1 else "echo", body[1:], timeout_s=8)

    def do_never(self, _body):
        return None


class Following(deepSix):
    """Keeps the states that it was given."""

    def __init__(self, *args):
        self.states = []
        super().__init__(*args)

    def follow(self, key, table):
        self.do(lambda: self.subscribe(key, table, callback=lambda m: self.states.append(m.body)))

    def rows(self):
        return self.states[-1].data if self.states else None


@pytest.fixture
def cages(nothing_left):
    made = []

    def make():
        cage = d6Cage(f"cage{next(_number)}")
        cage.bus.node = f"node{len(made)}"
        made.append(cage)
        return cage

    yield make
    for cage in made:
        cage.d6stop()


RABBIT = pytest.param("rabbit", marks=[pytest.mark.rabbit, pytest.mark.timeout(180)])


@pytest.fixture(params=["memory", "unix", "tcp", RABBIT])
def joined(request, cages, tmp_path, monkeypatch, wait_for):
    """Two cages and a way to join them, and to part them."""
    one, other = cages(), cages()
    links = []
    if request.param == "tcp":
        monkeypatch.setattr(posix, "UNIX", False)

    def join():
        if request.param == "rabbit":
            url = request.getfixturevalue("rabbit_node").url
            links.extend(Rabbit(cage, url) for cage in (one, other))
        elif request.param == "memory":
            for cage, sock in zip((one, other), socket.socketpair(), strict=True):
                runtime.spawn(serve, cage, sock)
        else:
            home = str(tmp_path / "links")
            links.extend(Local(cage, home, cage.bus.node) for cage in (one, other))
        wait_for(lambda: one.bus.directory.nodes and other.bus.directory.nodes)

    def serve(cage, sock):
        stream = Stream(sock, "memory")
        links.append(stream)
        stream.greet(cage.bus.node, cage.bus.epoch, "test")
        stream.run(cage)

    def part():
        while links:
            link = links.pop()
            link.close() if isinstance(link, Local | Rabbit) else link.end("parted")
        wait_for(lambda: not [n for c in (one, other) for n in c.services if "link." in n])

    yield one, other, join, part
    part()


def link_of(cage):
    (link,) = cage.bus.links.values()
    return link


def publisher(cage, name="source"):
    return cage.createservice(name, factory=Answering)


def follower(cage, key="source", table="t"):
    made = cage.createservice(f"follower{next(_number)}", factory=Following)
    made.follow(key, table)
    return made


def publish(service, rows):
    service.do(lambda: service.publish("t", rows))


def test_a_follower_at_the_far_side_gets_the_table_and_every_change(joined, wait_for):
    one, other, join, _ = joined
    join()
    source, far = publisher(one), follower(other)
    publish(source, {(1, True), (2, None)})
    wait_for(lambda: far.rows() == {(1, True), (2, None)})
    for n in range(3, 50):
        publish(source, {(1, True), (n, b"x")})
    wait_for(lambda: far.rows() == {(1, True), (49, b"x")})
    assert [type(v) for row in far.rows() for v in row if row[0] == 1] == [int, bool]
    versions = [state.version for state in far.states]
    assert versions == sorted(set(versions))
    assert far.states[-1].added == {(49, b"x")}
    assert far.states[-1].removed == {(48, b"x")}


def test_a_follower_that_was_there_first_waits_for_link_and_publisher(joined, wait_for):
    one, other, join, _ = joined
    far = follower(other)
    join()
    source = publisher(one)
    publish(source, {("late",)})
    wait_for(lambda: far.rows() == {("late",)})


def test_many_followers_cost_one_subscription_and_a_late_one_gets_the_whole(joined, wait_for):
    one, other, join, _ = joined
    join()
    source = publisher(one)
    publish(source, {(n,) for n in range(1000)})
    first = [follower(other) for _ in range(5)]
    wait_for(lambda: all(f.rows() and len(f.rows()) == 1000 for f in first))
    publish(source, {(n,) for n in range(1001)})
    late = follower(other)
    wait_for(lambda: all(f.rows() and len(f.rows()) == 1001 for f in [*first, late]))
    mine = [name for name, table in source.subscriber_list() if table == "t"]
    assert mine == [link_of(one).name]


def test_the_last_one_that_leaves_ends_the_subscription_at_the_far_side(joined, wait_for):
    one, other, join, _ = joined
    join()
    source, far = publisher(one), follower(other)
    publish(source, {(1,)})
    wait_for(lambda: far.rows() == {(1,)})
    far.do(lambda: far.unsubscribe("source", "t"))
    wait_for(lambda: "t" not in [table for _, table in source.subscriber_list()])


def test_large_tables_cross_in_both_directions_at_once_over_the_same_link(joined, wait_for):
    one, other, join, _ = joined
    join()
    links = [link_of(one), link_of(other)]
    rows = {(n, str(n) * 10) for n in range(60_000)}
    here, there = publisher(one, "here"), publisher(other, "there")
    followers = [follower(other, "here"), follower(one, "there")]
    for _ in range(3):
        for source in (here, there):
            source.do(lambda source=source: source.publish("t", rows))
            source.do(lambda source=source: source.publish("t", {(0, "")}))
    publish(here, rows), publish(there, rows)
    wait_for(lambda: all(f.rows() == rows for f in followers))
    assert [link_of(one), link_of(other)] == links


def test_data_that_is_no_table_travels_whole(joined, wait_for):
    one, other, join, _ = joined
    join()
    source, far = publisher(one), follower(other)
    publish(source, {"a": [1, (2,)]})
    wait_for(lambda: far.rows() == {"a": [1, (2,)]})
    publish(source, {(1,)})
    wait_for(lambda: far.rows() == {(1,)})


def test_a_publisher_that_starts_again_is_followed_in_its_next_life(joined, wait_for):
    one, other, join, _ = joined
    join()
    source, far = publisher(one), follower(other)
    publish(source, {(1,)})
    wait_for(lambda: far.rows() == {(1,)})
    one.deleteservice("source")
    publish(publisher(one), {(2,)})
    wait_for(lambda: far.rows() == {(2,)})


def test_a_publisher_that_moves_to_another_node_is_followed_there(joined, wait_for):
    one, other, join, _ = joined
    join()
    far = follower(other)
    publish(publisher(one), {(1,)})
    wait_for(lambda: far.rows() == {(1,)})
    one.deleteservice("source")
    wait_for(lambda: not other.bus.taken("source"))
    publish(publisher(other), {(2,)})
    wait_for(lambda: far.rows() == {(2,)})


def test_a_link_that_was_cut_leaves_followers_equal_once_it_is_back(joined, wait_for):
    one, other, join, part = joined
    join()
    source, far = publisher(one), follower(other)
    publish(source, {(0,)})
    wait_for(lambda: far.rows() == {(0,)})
    for n in range(1, 6):
        part()
        publish(source, {(n,)})
        join()
        wait_for(lambda n=n: far.rows() == {(n,)})


def test_a_last_change_that_the_link_loses_is_made_good(joined, wait_for):
    one, other, join, _ = joined
    join()
    source, far = publisher(one), follower(other)
    publish(source, {(0,)})
    wait_for(lambda: far.rows() == {(0,)})
    transport = link_of(one).transport
    lost = []

    def lose(nodes, topic, parts, can_wait):
        if not can_wait:  # updates alone can wait
            return type(transport).send(transport, nodes, topic, parts, can_wait)
        lost.append(parts)
        del transport.send
        return True

    transport.send = lose
    publish(source, {(1,)})
    wait_for(lambda: far.rows() == {(1,)})
    assert lost


class Slow(Following):
    """Sleeps over the first state until it is woken."""

    asleep = True

    def follow(self, key, table):
        self.do(lambda: self.subscribe(key, table, callback=self.take))

    def take(self, msg):
        self.states.append(msg.body)
        while self.asleep:
            runtime.sleep(0.01)


def test_a_slow_subscriber_costs_nobody_else_and_ends_equal(joined, wait_for):
    one, other, join, _ = joined
    join()
    source, quick = publisher(one), [follower(one), follower(other), follower(other)]
    slow = other.createservice("slow", factory=Slow)
    slow.follow("source", "t")
    wait_for(lambda: slow.states)
    for n in range(500):
        publish(source, {(n,)})
        runtime.sleep(0.002)
    wait_for(lambda: all(f.rows() == {(499,)} for f in quick))
    assert len(slow.states) == 1
    slow.asleep = False
    wait_for(lambda: slow.rows() == {(499,)})
    versions = [state.version for state in slow.states]
    assert versions == sorted(set(versions))


def test_a_question_is_answered_from_the_far_side(joined, wait_for):
    one, other, join, _ = joined
    join()
    publisher(one)
    known(other, "source", wait_for)
    body = {"a": (1, [2.0], {3})}
    assert other.ask("source", "echo", body) == {"echo": body}


def known(cage, name, wait_for):
    wait_for(lambda: cage.bus.taken(name))


def test_an_error_of_the_far_side_arrives_as_ours_and_says_who(joined, wait_for):
    one, other, join, _ = joined
    join()
    publisher(one)
    known(other, "source", wait_for)
    with pytest.raises(exceptions.RequestFailed, match="source: ValueError: no luck"):
        other.ask("source", "fail", "luck")
    with pytest.raises(exceptions.RequestFailed, match="object"):
        other.ask("source", "foreign")
    with pytest.raises(exceptions.WireError, match="cannot travel"):
        link_of(one)._say([], "", ["x", object()])
    with pytest.raises(exceptions.NothingMatched):
        other.ask("nobody", "echo")


def test_an_answer_that_comes_too_late_is_dropped_and_counted(joined, wait_for):
    one, other, join, _ = joined
    join()
    source = publisher(one)
    known(other, "source", wait_for)
    with pytest.raises(exceptions.AskTimeout):
        other.ask("source", "never", timeout_s=0.5)
    source.do(lambda: source.reply("never", {"late": 1}))
    # On the way there or on the way back: whoever sees it first.
    wait_for(lambda: any(link_of(cage).errands.late for cage in (one, other)))
    assert other.ask("source", "echo", 1) == {"echo": 1}


def test_a_circle_of_asks_over_links_is_refused_at_once_and_names_every_hop(joined, wait_for):
    one, other, join, _ = joined
    join()
    publisher(one, "a"), publisher(other, "b"), publisher(one, "c")
    known(other, "a", wait_for), known(other, "c", wait_for), known(one, "b", wait_for)
    for circle in (["b", "a"], ["b", "c", "a"], ["c", "b", "a"]):
        begun = runtime.now()
        with pytest.raises(exceptions.RequestFailed, match="DeadlockError") as failure:
            one.ask("a", "ask", circle, timeout_s=10)
        assert runtime.now() - begun < 5  # it did not take an ask's own time, which is 8 s
        assert all(f"{name}@" in str(failure.value) for name in circle)
    assert one.ask("a", "ask", ["b", "c"]) == {"echo": []}


def test_who_waits_for_a_node_that_goes_is_told_at_once(joined, wait_for):
    one, other, join, part = joined
    join()
    publisher(one)
    known(other, "source", wait_for)
    failures = []

    def ask():
        try:
            other.ask("source", "never", timeout_s=30)
        except exceptions.EngineError as error:
            failures.append(error)

    runtime.spawn(ask)
    wait_for(lambda: len(other.asks))
    part()
    wait_for(lambda: failures)
    assert isinstance(failures[0], exceptions.LinkError)
    assert "node0 is gone" in str(failures[0])


def test_a_name_is_given_once_on_the_bus(joined, wait_for):
    one, other, join, _ = joined
    join()
    publisher(one)
    known(other, "source", wait_for)
    with pytest.raises(exceptions.DataServiceError, match="already in use at node node0"):
        publisher(other)


def test_of_two_services_of_one_name_that_meet_the_younger_ends(joined, wait_for):
    one, other, join, _ = joined
    publisher(one)
    publisher(other)
    join()
    wait_for(lambda: other.service_object("source") is None)
    assert one.service_object("source") is not None
    assert "source" in other.bus.directory.clashes
    wait_for(lambda: other.bus.taken("source") == "node0")


@pytest.mark.parametrize("joined", ["memory", "unix", "tcp"], indirect=True)
def test_a_frozen_side_costs_bounded_memory_and_is_made_good(joined, wait_for):
    one, other, join, _ = joined
    join()
    source, far = publisher(one), follower(other)
    publish(source, {(0, "")})
    wait_for(lambda: far.rows() == {(0, "")})
    link = link_of(one)
    stream = link.transport
    # The far side's acknowledgements are kept back: as if it read no more.
    kept: list = []
    stream._ack = kept.append
    blob = "x" * 100_000
    for n in range(1, 300):
        publish(source, {(n, blob + str(n))})
        runtime.sleep(0)
    wait_for(lambda: link.outlets.dropped)
    assert stream._waiting_b < 2 * 8 * 1024 * 1024
    del stream._ack
    for message in kept:
        stream._ack(message)
    wait_for(lambda: far.rows() == {(299, blob + "299")})


HOSTILE = {
    "garbage": os.urandom(400),
    "oversize": b"\xff\xff\xff\xff" + b"x" * 100,
    "another protocol": wire.frame(wire.encode(["hello", 99, "evil", 1, "test", b""])),
    "another bus": wire.frame(wire.encode(["hello", 1, "evil", 1, "elsewhere", b""])),
    "our own name": wire.frame(wire.encode(["hello", 1, "node0", 1, "test", b""])),
    "no hello": wire.frame(wire.encode(["routes", []])),
    "deep nesting": wire.frame(b"\x91" * 60_000 + b"\xc0"),
}
HELLO = wire.frame(wire.encode(["hello", 1, "evil", 1, "test", b""]))
LATER = {
    "garbage": os.urandom(400),
    "a second hello": HELLO,
    "an unknown kind": wire.frame(wire.encode(["evil"])),
    "wrong values": wire.frame(wire.encode(["sub", 1, 2, 3, 4])),
    "a routing key that is too long": wire.frame(wire.encode(["routes", [["x", ["k" * 300], 1]]])),
    "an acknowledgement of nothing": wire.frame(wire.encode(["ack", 10**9])),
    "a pub of no state": wire.frame(wire.encode(["pub", "u", "s", [1]])),
}


@pytest.mark.parametrize(
    ("data", "greeted"),
    [*((data, False) for data in HOSTILE.values()), *((data, True) for data in LATER.values())],
    ids=[*HOSTILE, *(f"later {what}" for what in LATER)],
)
def test_hostile_input_ends_its_link_and_hurts_nothing_else(cages, wait_for, data, greeted):
    cage = cages()
    publisher(cage)
    ours, theirs = socket.socketpair()

    def serve():
        stream = Stream(ours, "test")
        try:
            stream.greet(cage.bus.node, cage.bus.epoch, "test")
            stream.run(cage)
        except exceptions.LinkError as error:
            ended.append(str(error))
        else:
            ended.append(stream.ended)
        finally:
            stream.close()

    ended: list[str] = []
    thread = runtime.spawn(serve)
    theirs.sendall(HELLO + data if greeted else data)
    wait_for(lambda: ended)
    thread.wait()
    theirs.close()
    assert ended[0]
    assert cage.ask("source", "echo", 1) == {"echo": 1}
    assert not cage.bus.links


def test_a_node_that_leaves_in_order_says_so_and_one_that_is_lost_is_a_warning(
    cages, tmp_path, wait_for, caplog
):
    caplog.set_level("DEBUG")
    home, told = str(tmp_path / "links"), []
    one, other = cages(), cages()
    one.notice = lambda *words: told.append(words[:4:2] + words[3:])
    stays, leaves = (Local(cage, home, cage.bus.node) for cage in (one, other))
    wait_for(lambda: one.bus.directory.nodes and other.bus.directory.nodes)
    leaves.close()
    wait_for(lambda: not one.bus.directory.nodes)
    assert told[-1] == ("node-left", "it has stopped", "info")
    assert [r for r in caplog.records if r.levelname == "WARNING"] == []
    third = cages()
    last = Local(third, home, third.bus.node)
    wait_for(lambda: one.bus.directory.nodes)
    link_of(third).transport.end("cut")
    wait_for(lambda: any(event[2] == "warning" for event in told))
    assert "is gone: the far side closed it" in caplog.text
    last.close()
    stays.close()


def test_a_directory_that_is_open_to_others_is_refused(cages, tmp_path):
    home = tmp_path / "open"
    home.mkdir(mode=0o755)
    with pytest.raises(exceptions.LinkError, match="must be its owner's alone"):
        Local(cages(), str(home), "x")


def test_a_socket_path_that_is_too_long_is_refused_by_name(cages, tmp_path):
    home = tmp_path / ("d" * 100)
    with pytest.raises(exceptions.LinkError, match="107 bytes"):
        Local(cages(), str(home), "x")


def test_a_socket_that_nobody_serves_any_more_is_taken_away(cages, tmp_path, wait_for):
    home = tmp_path / "links"
    home.mkdir(mode=0o700)
    stale = home / "gone.1.sock"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(stale))
    sock.close()
    link = Local(cages(), str(home), "x")
    wait_for(lambda: not stale.exists())
    link.close()
