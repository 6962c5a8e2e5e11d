"""A table over a link that loses, repeats and reorders: in the end both sides are equal."""

import random

import pytest

from congress_dse.dataobj import pubData
from congress_dse.exceptions import WireError
from congress_dse.links import states, wire
from congress_dse.links.states import Replica
from congress_dse.rows import Delta

HISTORIES = 10_000


def over_the_wire(parcel):
    return wire.decode(wire.encode(["pub", parcel]))[1]


class Publisher:
    """One table through several lives; the clock may be set back between them."""

    def __init__(self, chance):
        self.chance = chance
        self.epoch = 1000
        self.begin()

    def begin(self):
        self.table = pubData("t")
        self.table.addsubscriber("link", "push", "1")
        self.epoch += self.chance.choice([-500, 1, 7])
        self.table._epoch = self.epoch

    def change(self):
        row = (self.chance.randrange(6), self.chance.choice([1, True, 1.0, "x"]))
        kind = self.chance.randrange(4)
        if kind == 0:
            width = self.chance.randrange(5)
            return self.table.update({(self.chance.randrange(9), n) for n in range(width)})
        if kind == 1 and self.table.published and not isinstance(self.table.held(), list):
            return self.table.update(Delta([row], [(row[0], "x")]))
        if kind == 2 and self.chance.random() < 0.2:
            return self.table.update([1, {"any": "data"}])
        return self.table.update({row, ("a", "b")})

    def snapshot(self, answers=0):
        made = self.table.get()
        made.answers = answers
        return states.packed(made, snapshot=True)


def a_history(seed):
    chance = random.Random(seed)
    publisher, replica = Publisher(chance), Replica()
    under_way = [publisher.snapshot()]
    for _ in range(chance.randrange(3, 25)):
        if chance.random() < 0.08:
            publisher.begin()
            under_way.append(publisher.snapshot())
        change = publisher.change()
        if change is not None:
            under_way.append(states.packed(change))
        if chance.random() < 0.1:
            chance.shuffle(under_way)
        if chance.random() < 0.15 and under_way:
            under_way.append(chance.choice(under_way))
        while under_way and chance.random() < 0.6:
            parcel = under_way.pop(0)
            if chance.random() < 0.8:
                replica.receive(over_the_wire(parcel))
        if replica.behind and chance.random() < 0.5:
            under_way.append(publisher.snapshot(replica.ask()))
    # Quiet: the number of the last change comes, and what it leads to is answered.
    if replica.marked(publisher.table.mark()):
        replica.receive(over_the_wire(publisher.snapshot(replica.ask())))
    return publisher, replica


def types_of(rows):
    return sorted(map(repr, rows)) if not isinstance(rows, list | dict) else rows


def test_random_histories_end_equal():
    for seed in range(HISTORIES):
        publisher, replica = a_history(seed)
        assert not replica.behind, seed
        wanted = publisher.table.get()
        assert types_of(replica.state.data) == types_of(wanted.data), seed
        assert (replica.state.epoch, replica.state.version) == publisher.table.mark(), seed


def test_a_change_that_does_not_fit_is_not_guessed():
    table, replica = pubData("t"), Replica()
    table.addsubscriber("link", "push", "1")
    replica.receive(states.packed(table.update({(1,)}), snapshot=True))
    lost = states.packed(table.update({(1,), (2,)}))
    late = states.packed(table.update({(1,), (3,)}))
    assert replica.receive(late) is None
    assert replica.behind
    assert replica.receive(lost).data == {(1,), (2,)}
    assert replica.receive(late).data == {(1,), (3,)}
    assert replica.receive(lost) is None
    assert not replica.behind


@pytest.mark.parametrize(
    "parcel",
    [
        [],
        [1, 2, 3],
        ["1", 2, None, False, 0, "rows", []],
        [1, 2, None, False, 0, "stranger", []],
        [1, 2, None, False, 0, ["rows"], []],
        [1, 2, None, False, 0, "rows", {}],
        [1, 2, 1, False, 0, "delta", [[]]],
        [1, 2, None, False, 0, "delta", [[], []]],
        [1, 2, None, False, 0, "rows", [[2, [1, 2, 3]]]],
        [1, 2, None, False, 0, "rows", [[-1, [1]]]],
        [1, 2, None, False, 0, "rows", [["x", [1]]]],
        [1, 2, None, False, 0, "rows", [[1, [[]]]]],
    ],
)
def test_a_state_that_is_none_is_refused(parcel):
    with pytest.raises(WireError):
        Replica().receive(parcel)
