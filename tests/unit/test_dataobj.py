"""Tables as they travel, without a bus: every history converges, and every version stays itself."""

import gc
import random
import weakref

import pytest
from hypothesis import given, settings, strategies as st

from congress_dse import dataobj
from congress_dse.dataobj import Mark, dataObject, pubData, subData
from congress_dse.rows import Delta, Rows

HISTORIES = 10_000


@pytest.fixture
def table():
    made = pubData("t")
    made.addsubscriber("s", "push", "c")
    return made


@pytest.fixture
def follower():
    return subData("k", "t", "c", None)


def typed(rows):
    """Rows as they can be told apart: (1,), (1.0,) and (True,) are equal, and three rows."""
    return {tuple((type(v), v) for v in row) for row in rows}


class Network:
    """One publisher, one subscriber and a link that loses, repeats and reorders."""

    def __init__(self, draw):
        self.draw = draw
        self.wire = []
        self.sub = subData("k", "t", "c", None)
        self.truth = set()
        self.view = set()
        self.born()

    def born(self, epoch=None):
        """A new life of the publisher, maybe with a clock that was set back."""
        self.pub = pubData("t")
        self.pub.addsubscriber("s", "push", "c")
        if epoch is not None:
            self.pub._epoch = epoch
        self.truth = set()

    def change(self):
        row = (self.draw.randrange(6), self.draw.choice([0, 0.0, False, "x"]))
        kind = self.draw.randrange(3)
        if kind == 0:
            update = self.pub.update({row, (self.draw.randrange(6), "y")})
        elif kind == 1:
            update = self.pub.update(Delta(added=[row]))
        else:
            update = self.pub.update(Delta(removed=[row]))
        if update is not None:
            self.wire.append(update)

    def deliver(self, update):
        for state in self.sub.receive("p", update, late=self.draw.random() < 0.1):
            assert self.after(state) == typed(state.data)
            self.view = typed(state.data)

    def after(self, state):
        """What the deltas of a state say, applied to what was seen before."""
        if state.since is None and not state.removed and len(state.added) == len(state.data):
            return typed(state.added)
        return (self.view - typed(state.removed)) | typed(state.added)

    def quiet(self):
        """The end: a mark, and resyncs until the subscriber is not behind; four must do."""
        self.sub.marked("p", self.pub.mark())
        for _ in range(4):
            if not self.sub.behind("p"):
                break
            number = self.sub.resync("p")
            answer = self.pub.get()
            answer.answers = number
            self.deliver(answer)
        assert not self.sub.behind("p")
        assert self.view == typed(self.pub.get().data)


def history(seed):
    draw = random.Random(seed)
    net = Network(draw)
    lost, doubled, late = draw.random() * 0.5, draw.random() * 0.5, draw.random()
    if draw.random() < 0.5:
        net.wire.append(net.pub.get())
    for _ in range(draw.randrange(1, 25)):
        fate = draw.random()
        if fate < 0.6:
            net.change()
        elif fate < 0.65:
            net.born(epoch=draw.choice([None, 1, net.pub.mark().epoch - 1]))
        while net.wire and draw.random() > late:
            update = net.wire.pop(draw.randrange(len(net.wire)))
            if draw.random() >= lost:
                net.deliver(update)
            if draw.random() < doubled:
                net.deliver(update)
    if draw.random() < 0.5:
        draw.shuffle(net.wire)
        for update in net.wire:
            net.deliver(update)
    net.quiet()


@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_random_histories_converge(part):
    for seed in range(part * HISTORIES // 10, (part + 1) * HISTORIES // 10):
        try:
            history(seed)
        except AssertionError as error:
            raise AssertionError(f"history({seed})") from error


def test_a_backlog_of_five_thousand_converges_whatever_its_order(table):
    for lost in (False, True):
        sub = subData("k", "t", "c", None)
        sub.receive("p", table.get())
        updates = [table.update(Delta(added=[(n, lost)])) for n in range(5000)]
        random.Random(1).shuffle(updates)
        for update in updates[lost:]:
            sub.receive("p", update)
        assert len(sub._sources["p"].held) <= dataobj.HELD_MAX
        sub.marked("p", table.mark())
        if sub.behind("p"):
            sub.receive("p", table.get())
        assert not sub.behind("p")
        assert sub.getData("p").data == table.get().data


def test_a_lost_last_update_is_seen_by_the_mark(table, follower):
    follower.receive("p", table.get())
    table.update({(1,)})
    assert not follower.behind("p")
    assert follower.marked("p", table.mark())
    follower.receive("p", table.get())
    assert not follower.marked("p", table.mark())
    assert follower.getData("p").data == {(1,)}


@pytest.mark.parametrize("epoch", [1, 2**62])
def test_a_restart_leaves_no_stale_rows_whichever_way_the_clock_went(table, follower, epoch):
    table.update({(1,), (2,)})
    follower.receive("p", table.get())
    again = pubData("t")
    again._epoch = epoch
    again.addsubscriber("s", "push", "c")
    follower.receive("p", again.update({(3,)}))
    assert follower.behind("p")
    answer = again.get()
    answer.answers = follower.resync("p")
    (state,) = follower.receive("p", answer)
    assert state.data == {(3,)}
    assert (state.added, state.removed) == ({(3,)}, {(1,), (2,)})


def test_a_repeated_snapshot_does_not_hide_that_an_update_is_missing(table, follower):
    first = table.get()
    follower.receive("p", first)
    table.update({(1,)})  # lost
    follower.receive("p", table.update({(2,)}))
    follower.receive("p", first)
    assert follower.behind("p")


def test_an_answer_to_an_earlier_question_does_not_bring_a_dead_life_back(table, follower):
    old = table.get()
    old.answers = follower.resync("p")
    again = pubData("t")
    again.addsubscriber("s", "push", "c")
    again.update({(9,)})
    new = again.get()
    new.answers = follower.resync("p")
    follower.receive("p", new)
    assert follower.receive("p", old) == []
    assert follower.getData("p").data == {(9,)}


cells = st.sampled_from([0, 1, 0.0, 1.0, True, False, "1", None])
rows = st.one_of(st.tuples(cells, cells), st.tuples(cells))
tables = st.sets(rows, max_size=5)


@settings(max_examples=500, deadline=None)
@given(st.lists(tables, min_size=1, max_size=8))
def test_rows_that_differ_only_in_type_do_differ(states):
    pub = pubData("t")
    pub.addsubscriber("s", "push", "c")
    sub = subData("k", "t", "c", None)
    sub.receive("p", pub.get())
    for rows in states:
        update = pub.update(rows)
        if update is not None:
            sub.receive("p", update)
        assert typed(sub.getData("p").data) == typed(rows)
        assert typed(pub.get().data) == typed(rows)


changes = st.lists(st.tuples(tables, tables), min_size=1, max_size=12)


@settings(max_examples=500, deadline=None)
@given(changes, st.randoms(use_true_random=False))
def test_a_version_stays_what_it_was_while_newer_ones_are_published(history, draw):
    pub = pubData("t")
    pub.addsubscriber("s", "push", "c")
    pub.update({(0, "first")})
    now = set(pub.get().data)
    kept = [(pub.get().data, set(now))]
    for added, removed in history:
        update = pub.update(Delta(added, removed))
        now = set(pub.get().data)
        kept.append((pub.get().data, now))
        if update is not None:
            before = kept[-2][1]
            assert typed(update.data) == (typed(before) - typed(update.removed)) | typed(
                update.added
            )
        version, then = draw.choice(kept)
        assert typed(version) == typed(then)
    draw.shuffle(kept)
    assert all(typed(version) == typed(then) for version, then in kept)


def test_a_version_that_is_iterated_while_the_next_is_published_does_not_change(table):
    table.update({(n,) for n in range(10)})
    seen = []
    for row in table.get().data:
        table.update(Delta(removed=[row]))
        seen.append(row)
    assert sorted(seen) == [(n,) for n in range(10)]


def test_old_versions_are_let_go_and_those_in_use_cost_their_change(table):
    table.update({(n, "x" * 10) for n in range(2000)})
    held = table.get().data
    let_go = []
    for n in range(5000):
        update = table.update(Delta(added=[(n, "y")], removed=[(n - 1, "y")]))
        let_go.append(weakref.ref(update.data))
        del update
    gc.collect()
    alive = sum(ref() is not None for ref in let_go)
    assert alive < 2500
    assert len(held) == 2000
    del held
    for n in range(3):
        table.update(Delta(added=[(n, "z")]))
    gc.collect()
    assert sum(ref() is not None for ref in let_go) <= 2


@pytest.mark.parametrize(
    ("delta", "after"),
    [
        (Delta(), None),
        (Delta(added=[(1,)]), None),
        (Delta(removed=[(9,)]), None),
        (Delta(added=[(1,)], removed=[(1,)]), None),
        (Delta(added=[(2,), (2,)]), {(1,), (2,)}),
        (Delta(removed=[(1,)]), set()),
        (Delta(added=iter([(3,)]), removed=iter([(1,)])), {(3,)}),
        (Delta(added=[(1.0,)]), {(1.0,)}),
    ],
)
def test_a_delta_changes_what_it_really_changes(table, delta, after):
    table.update({(1,)})
    update = table.update(delta)
    if after is None:
        assert update is None
        assert table.version() == 1
    else:
        assert typed(update.data) == typed(after)
        assert table.version() == 2


def test_a_delta_of_what_is_no_table_is_refused(table):
    table.update({"a": "dict"})
    with pytest.raises(TypeError, match=r"'t'.*dict"):
        table.update(Delta(added=[(1,)]))
    fresh = pubData("u")
    fresh.update(Delta(added=[(1,)]))
    assert fresh.get().data == {(1,)}


def test_what_was_given_is_never_changed(table):
    given_ = {(1,)}
    table.update(given_)
    table.update(Delta(added=[(2,)]))
    assert given_ == {(1,)}
    assert table.get().data == {(1,), (2,)}


def test_an_equal_table_is_no_change_and_a_table_nobody_follows_is_not_compared(table):
    assert table.update({(1,)}) is not None
    assert table.update({(1,)}) is None
    alone = pubData("u")
    assert alone.update({(1,)}) is not None
    assert alone.update({(1,)}) is not None


@pytest.mark.parametrize("other", [{"a": 1}, [1], "text", None, {1, 2}])
def test_other_data_travels_whole_and_a_table_may_become_it_and_back(table, follower, other):
    follower.receive("p", table.get())
    for data in (other, {(1,)}, other, {(2,)}):
        follower.receive("p", table.update(data))
        assert follower.getData("p").data == ({} if data is None else data)
        assert not follower.behind("p")


def test_an_update_without_a_number_stands_alone(follower):
    plain = dataObject([1])
    assert follower.receive("p", plain) == [plain]
    assert follower.receive("p", plain) == [plain]


def test_a_new_data_object_of_nothing_is_an_empty_dict_of_version_zero():
    assert (dataObject().data, dataObject().version) == ({}, 0)
    assert (dataObject({(1,)}).version, dataObject({1: 2}, 7).version) == (1, 7)
    assert isinstance(pubData("t").mark(), Mark)


def test_rows_answer_as_a_set_does():
    rows = Rows([(1,), (2,)])
    assert rows == {(1,), (2,)} == rows
    assert rows != {(1,)}
    assert rows - {(1,)} == {(2,)}
    assert {(1,), (3,)} - rows == {(3,)}
    assert rows & Rows([(1,)]) == {(1,)} & rows == {(1,)}
    assert rows | {(3,)} == {(3,)} | rows == {(1,), (2,), (3,)}
    assert rows ^ {(1,)} == {(2,)}
    assert (1,) in rows
    assert len(rows) == 2
    assert rows <= {(1,), (2,), (3,)}
    assert rows.isdisjoint({(5,)})


def test_one_name_may_follow_twice_and_leave_once():
    table = pubData("t")
    for corrId in ("c1", "c2"):
        table.addsubscriber("s", "push", corrId)
    assert table.getsubscribers() == {"s": {"type": "push", "correlationId": "c2"}}
    table.removesubscriber("s", "c2")
    assert table.getsubscribers("s") == {"type": "push", "correlationId": "c1"}
    table.removesubscriber("s")
    table.removesubscriber("nobody")
    assert table.getsubscribers() == {}
    assert table.getsubscribers("s") == []
