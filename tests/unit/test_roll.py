"""The machines of a bus over a broker: who is there, and bodies that come twice, late or never."""

import os
import random

import pytest

from congress_dse.exceptions import WireError
from congress_dse.links import wire
from congress_dse.links.parcels import BODY_B, Packer, Unpacker
from congress_dse.links.roll import BEACON_S, ELSEWHERE, HERE, NOWHERE, SILENCE_S, Roll

HISTORIES = 10_000 if os.environ.get("CONGRESS_DSE_FULL") else 500


class World:
    """Nodes, the queue of each at a broker, and what may happen to it."""

    def __init__(self, *names):
        self.now = 100.0
        self.lives = 0
        self.nodes = {}
        for name in names:
            self.nodes[name] = Node(self, name)

    def post(self, to, sender, message, counted=True):
        sender.number += 1
        body = (sender.name, sender.roll.epoch, sender.number, message, counted)
        if to in self.nodes:
            self.nodes[to].queue.append(body)

    def deliver(self):
        """All that is under way arrives, and so does what that leads to."""
        while any(node.queue for node in self.nodes.values()):
            for node in self.nodes.values():
                node.take_all()

    def beats(self, count):
        for _ in range(count):
            self.now += BEACON_S
            for node in self.nodes.values():
                node.roll.tick(self.now)
                for other in self.nodes:
                    self.post(other, node, node.roll.beacon(1), counted=False)
            self.deliver()

    def equal(self):
        """Whether each knows what each other one has."""
        return all(
            one.known == {n.name: n.value for n in self.nodes.values() if n is not one}
            for one in self.nodes.values()
        )


class Node:
    """A roll, and one value that every other node is to know: as if it were a route."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.queue = []
        self.value = 0
        self.why = []
        self.elsewhere = set()
        self.start()

    def start(self):
        self.world.lives += 1
        self.known = {}
        self.here = set()
        self.number = 0
        self.last = {}
        self.roll = Roll(
            self.name,
            self.world.lives,
            self.say,
            self.meet,
            self.part,
            self.place,
            list,
        )

    def place(self, node):
        if node in self.elsewhere:
            return ELSEWHERE
        return HERE if node in self.here else NOWHERE

    def say(self, node, message):
        self.tell(node, message)

    def tell(self, node, message):
        self.roll.sent([node])
        self.world.post(node, self, message)

    def meet(self, node, _epoch):
        self.known.pop(node, None)
        self.here.add(node)
        self.tell(node, ["value", self.value])

    def part(self, node, why):
        self.known.pop(node, None)
        self.here.discard(node)
        self.why.append(why)

    def change(self):
        self.value += 1
        for node in self.here:
            self.tell(node, ["value", self.value])

    def take_all(self):
        queue, self.queue = self.queue, []
        for name, epoch, number, message, counted in queue:
            overtaken = number < self.last.get((name, epoch), 0)
            self.last[name, epoch] = max(number, self.last.get((name, epoch), 0))
            if not self.roll.came(name, epoch, self.world.now, counted):
                continue
            if overtaken:
                self.roll.doubt(name)
            elif message[0] == "value":
                if self.place(name) == HERE:
                    self.known[name] = message[1]
            else:
                self.roll.take(name, epoch, message, self.world.now)


def test_nodes_meet_by_a_beacon_and_say_goodbye():
    world = World("a", "b", "c")
    world.beats(1)
    assert world.equal()
    before = dict(world.nodes["a"].roll.meetings)
    world.beats(5)
    assert world.nodes["a"].roll.meetings == before, "nobody is met anew without a cause"
    world.post("a", world.nodes["b"], ["bye"])
    world.deliver()
    assert set(world.nodes["a"].known) == {"c"}
    assert world.nodes["a"].why == ["it has stopped"]


def test_a_node_that_is_silent_is_gone_and_one_that_we_could_not_hear_is_not():
    world = World("a", "b")
    world.beats(1)
    one = world.nodes["a"].roll
    one.grace(world.now + 100)
    one.tick(world.now + 100 + SILENCE_S)
    assert world.nodes["a"].known
    one.tick(world.now + 101 + SILENCE_S)
    assert not world.nodes["a"].known
    world.beats(8)
    assert world.equal(), "the other one did not notice, and is told"


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_what_a_queue_lost_in_silence_is_made_good(lost):
    world = World("a", "b")
    world.beats(2)
    for _ in range(lost):
        world.nodes["a"].change()
    world.nodes["b"].queue.clear()
    assert not world.equal()
    world.beats(6)
    assert world.equal()


def test_more_than_was_meant_for_us_hides_no_later_loss():
    world = World("a", "b")
    world.beats(2)
    for _ in range(5):
        world.post("b", world.nodes["a"], ["value", 0])  # of a topic: not counted for us
    world.beats(1)
    world.nodes["a"].change()
    world.nodes["b"].queue.clear()
    world.beats(6)
    assert world.equal()


def test_a_node_in_its_next_life_is_met_anew_and_what_was_before_is_ignored():
    world = World("a", "b")
    world.beats(1)
    old = world.nodes["b"].roll.epoch
    world.nodes["b"].start()
    world.beats(1)
    assert world.equal()
    assert world.nodes["a"].why == ["it has started anew"]
    assert not world.nodes["a"].roll.came("b", old, world.now, counted=True)


def test_who_is_known_by_another_link_is_left_to_it_until_that_ends():
    world = World("a", "b")
    for one, other in (("a", "b"), ("b", "a")):
        world.nodes[one].elsewhere.add(other)
    world.beats(3)
    assert not world.nodes["a"].roll.meetings
    world.nodes["a"].elsewhere.clear()
    world.beats(3)  # the other one still has the nearer link, and does not listen here
    world.nodes["b"].elsewhere.clear()
    world.beats(8)
    assert world.equal()


def test_another_node_of_our_name_is_noticed():
    world = World("a", "b")
    world.nodes["b"].name = world.nodes["b"].roll.node = "a"
    world.beats(1)
    assert world.nodes["a"].roll.clash == 2
    assert not world.nodes["a"].roll.meetings


def test_who_sends_nonsense_is_shunned_for_this_life():
    world = World("a", "b")
    world.beats(1)
    one, other = world.nodes["a"], world.nodes["b"]
    for message in (
        ["beacon", 1],
        ["beacon", "x", {}],
        ["hello", 1, 1],
        ["hello", 1, None, 1],
        ["bye", 1],
    ):
        with pytest.raises(WireError):
            one.roll.take("b", other.roll.epoch, message, world.now)
    one.roll.shun("b", other.roll.epoch, "nonsense")
    world.beats(3)
    assert not one.known
    other.start()
    world.beats(8)
    assert world.equal()


def test_after_any_history_of_losses_lives_and_silence_all_know_all():
    for seed in range(HISTORIES):
        chance = random.Random(seed)
        world = World("a", "b", *"c"[: seed % 2])
        for _ in range(chance.randint(1, 25)):
            happen(chance, world, chance.choice(list(world.nodes.values())))
        for node in world.nodes.values():
            node.elsewhere.clear()
        world.deliver()
        world.beats(20)
        assert world.equal(), f"history {seed}"
        kept = {n.name: dict(n.roll.meetings) for n in world.nodes.values()}
        world.beats(10)
        again = {n.name: dict(n.roll.meetings) for n in world.nodes.values()}
        assert kept == again, f"history {seed} does not come to rest"


def happen(chance, world, node):
    others = [name for name in world.nodes if name != node.name]
    event = chance.randint(0, 9)
    if event == 0:
        node.start()
    elif event == 1:
        node.queue.clear()
    elif event == 2:
        del node.queue[: chance.randint(0, 3)]
    elif event == 3:
        chance.shuffle(node.queue)
    elif event == 4:
        node.elsewhere ^= {chance.choice(others)}
        node.here -= node.elsewhere
    elif event == 5:
        world.now += chance.uniform(0, 20)
        node.roll.tick(world.now)
    elif event == 6:
        world.beats(1)
    elif event == 7:
        node.take_all()
    else:
        node.change()


# Bodies.


def packed(*messages, node="n", epoch=1, clock=lambda: 0.0):
    """(key, body) of each body; each message is (key, direct, value)."""
    counted = []
    packer = Packer(node, epoch, counted.append, clock)
    for key, direct, value in messages:
        packer.add(key, ["x"], wire.parts(wire.encode(value), 1), direct)
    return packer.take(), counted


def test_small_messages_to_one_key_share_a_body_and_the_order_stays():
    sent = [("t.1", False, ["a", n]) for n in range(10)] + [("t.2", False, ["b", 1])]
    bodies, counted = packed(*sent, ("n.x", True, ["c", 1]), ("t.1", False, ["a", 10]))
    assert [key for key, _ in bodies] == ["t.1", "t.2", "n.x", "t.1"]
    assert len(counted) == 4
    unpacker = Unpacker()
    came = [unpacker.take(body, 0.0).messages for _, body in bodies]
    assert came == [[["a", n] for n in range(10)], [["b", 1]], [["c", 1]], [["a", 10]]]


def test_a_body_is_no_larger_than_it_may_be():
    bodies, _ = packed(*[("k", True, ["x" * 20_000]) for _ in range(10)])
    assert len(bodies) == 4
    assert all(len(body) < BODY_B + 100 for _, body in bodies)


def test_a_body_that_comes_again_is_known_in_any_order():
    bodies, _ = packed(*[(f"k{n}", True, ["m", n]) for n in range(20)])
    unpacker = Unpacker()
    chance = random.Random(1)
    twice = [body for _, body in bodies] * 2
    chance.shuffle(twice)
    came = [unpacker.take(body, 0.0) for body in twice]
    assert sorted(p.messages[0][1] for p in came if not p.again) == list(range(20))


def test_parts_are_put_together_in_any_order_and_a_lost_one_costs_its_message_alone():
    large = ["m", os.urandom(1_000_000)]
    bodies, _ = packed(
        ("k", True, large), ("k", True, ["m", b"lost" * 200_000]), ("k", True, large)
    )
    assert len(bodies) == 12
    left = [body for _, body in bodies]
    del left[5]
    random.Random(2).shuffle(left)
    unpacker = Unpacker()
    came = [message for body in left for message in unpacker.take(body, 0.0).messages]
    assert came == [large, large]


def test_how_late_a_body_is_shows_against_the_quickest():
    at = iter([1000.0, 1001.0, 1002.0])
    bodies, _ = packed(*[(f"k{n}", True, ["m"]) for n in range(3)], clock=lambda: next(at))
    unpacker = Unpacker()
    came = [5.5, 6.0, 37.0]
    late = [unpacker.take(body, now).late_s for (_, body), now in zip(bodies, came, strict=True)]
    assert late == [0.0, 0.0, 30.0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        os.urandom(300),
        wire.frame(b"\x91" * 5000),
        wire.frame(wire.encode(["body", 1, "n", 1, 1, 0, 1, 0.0])),
        wire.frame(wire.encode(["body", 9, "n"])) + wire.frame(wire.encode(["x"])),
        wire.frame(wire.encode(["body", 1, "n", 1, 1, 5, 1, 0.0])) + wire.frame(wire.encode(["x"])),
        wire.frame(wire.encode(["body", 1, "n", 1, 1, 0, 1, 0.0])) + b"\xff\xff\xff\xff",
        wire.frame(wire.encode(["body", 1, "n", 1, 1, 0, 1, 0.0])) + wire.frame(b"\xc1"),
        wire.frame(wire.encode(["body", 1, b"n", 1, 1, 0, 1, 0.0])) + wire.frame(b"\x91\x01"),
    ],
)
def test_a_body_that_is_none_is_refused(body):
    with pytest.raises(WireError):
        Unpacker().take(body, 0.0)
