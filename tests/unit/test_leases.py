"""Leases as a machine: at any time one owner at most, and in the end one, whatever happens."""

import random

import pytest

from congress_dse.leases import Leases, colliding, times

TIMES = times(10)
NAMES = ["alpha", "beta", "gamma", "delta"]
STEP_S = 0.1


class Service:
    """Locks that it may forget, and sessions that it may cut."""

    def __init__(self):
        self.up = True
        self.locks = {}
        self.members = {}

    def forget(self):
        self.locks.clear()
        self.members.clear()


class Node:
    """A keeper and its worker, which stops as late as it may."""

    def __init__(self, name, service, groups):
        self.leases = Leases(name, TIMES)
        self.leases.want(dict.fromkeys(NAMES, ""))
        self.name, self.service, self.groups = name, service, groups
        self.until, self.stopping = {}, {}
        self.alive, self.reaches = True, True
        self.next = 0.0

    def beat(self, now):
        service = self.service
        if service.up and self.reaches:
            self._end_old_sessions()
            for name in list(self.leases.held):
                if service.locks.get(name) == self.name:
                    self.leases.proved(name, now)
                else:
                    self.leases.lost(name)
            if self.groups:
                service.members[self.name] = (now, frozenset(NAMES))
                there = {n: x for n, (at, x) in service.members.items() if now - at < 4}
                self.leases.members = there
            for name in self.leases.to_release(now, quiet=not self.stopping):
                self._let_go(name)
            self.leases.review(now)
            for name in self.leases.to_try(now):
                if name not in service.locks:
                    service.locks[name] = self.name
                    self.leases.got(name, now, now)
        for name in self.leases.lapsed(now):
            self._let_go(name)
        granted = self.leases.granted(now)
        for name in self.until.keys() - granted.keys():
            self.stopping[name] = min(self.until[name], now) + TIMES.stop_s
        self.until = granted

    def runs(self, now):
        """What its worker runs: what is granted, and what it was slow to stop."""
        for name, until in list(self.until.items()):
            if now >= until:
                self.stopping[name] = until + TIMES.stop_s
                del self.until[name]
        self.stopping = {n: end for n, end in self.stopping.items() if now < end}
        return {*self.until, *self.stopping}

    def _end_old_sessions(self):
        """What this node let go when nobody heard it is free by now."""
        mine = [n for n, who in self.service.locks.items() if who == self.name]
        for name in set(mine) - set(self.leases.held):
            del self.service.locks[name]

    def _let_go(self, name):
        self.leases.lost(name)
        if self.reaches and self.service.up and self.service.locks.get(name) == self.name:
            del self.service.locks[name]


def happen(chance, service, nodes):
    """Something goes wrong, or right again."""
    node = chance.choice(nodes)
    what = chance.choice(["down", "up", "up", "restart", "cut", "away", "back", "back", "freeze"])
    if what in {"down", "up"}:
        service.up = what == "up"
    elif what == "restart":
        service.forget()
    elif what == "cut":
        service.locks = {n: who for n, who in service.locks.items() if who != node.name}
    elif what == "freeze":
        node.next += chance.uniform(1, 15)
    else:
        node.reaches = what == "back"


@pytest.mark.parametrize("groups", [True, False])
def test_whatever_happens_there_is_one_owner_at_most_and_in_the_end_one(groups):
    for seed in range(40):
        chance = random.Random(seed)
        service = Service()
        nodes = [Node(name, service, groups) for name in "abc"]
        for step in range(2000):
            now = step * STEP_S
            if now < 140 and chance.random() < 0.02:
                happen(chance, service, nodes)
            if step == 1400:
                service.up = True
                for node in nodes:
                    node.reaches = True
            running = []
            for node in chance.sample(nodes, len(nodes)):
                if now >= node.next:
                    node.next = now + TIMES.beat_s * chance.uniform(0.5, 1.0)
                    node.beat(now)
            for node in nodes:
                running += node.runs(now)
            assert len(running) == len(set(running)), (seed, now)
        assert sorted(running) == sorted(NAMES), seed


def leases(node="a", **pins):
    made = Leases(node, TIMES)
    made.want(dict.fromkeys(NAMES, "") | pins)
    return made


def test_every_node_says_the_same_of_where_a_source_belongs():
    members = dict.fromkeys("abcd", frozenset(NAMES))
    every = [leases(node) for node in members]
    for one in every:
        one.members = members
    for name in NAMES:
        assert [one.home(name) for one in every].count(True) == 1


def test_a_source_belongs_to_the_node_it_names_while_that_is_there_and_has_it():
    one = leases("a", alpha="b")
    one.members = {"a": frozenset(NAMES), "b": frozenset(NAMES)}
    assert not one.home("alpha")
    one.members = {"a": frozenset(NAMES), "b": frozenset(["beta"])}
    assert one.home("alpha")
    one.members = {"a": frozenset(NAMES)}
    assert one.home("alpha")


def test_a_new_lease_waits_and_one_that_was_out_of_sight_waits_anew():
    one = leases()
    one.got("alpha", 0.0, 0.1)
    assert not one.granted(0.2)
    one.proved("alpha", 2.0)
    one.proved("alpha", 4.0)
    assert one.granted(4.7) == {"alpha": 4.0 + TIMES.fence_s}
    assert not one.granted(4.1 + TIMES.fence_s)
    one.proved("alpha", 8.0)
    assert not one.granted(8.1)
    one.proved("alpha", 10.0)
    one.proved("alpha", 12.0)
    assert "alpha" in one.granted(12.6)


def test_leases_that_were_got_and_lost_are_counted_and_those_given_back_are_not():
    one = leases()
    one.got("alpha", 0.0, 0.1)
    one.proved("alpha", 1.0)
    one.proved("alpha", 2.0 + TIMES.fence_s)  # out of sight for too long
    assert (one.grants, one.losses) == ({"alpha": 2}, {"alpha": 1})
    one.lost("alpha")
    one.got("beta", 8.0, 8.0)
    one.want({})
    one.review(9.0)
    one.lost("beta")
    assert (one.grants, one.losses) == ({"alpha": 2, "beta": 1}, {"alpha": 2})


def test_what_is_configured_no_more_is_released_once_it_has_stopped():
    one = leases()
    one.got("alpha", 0.0, 0.0)
    one.want({})
    one.review(1.0)
    assert not one.granted(4.6)
    assert not one.to_release(1.1, quiet=False)
    assert one.to_release(1.1, quiet=True) == ["alpha"]
    assert one.to_release(1.1 + TIMES.settle_s, quiet=False) == ["alpha"]


def test_a_dead_node_s_sources_are_taken_over_within_the_lease():
    assert TIMES.ttl_s + TIMES.settle_s + 1.5 * TIMES.beat_s <= 10
    assert 0 < TIMES.stop_s < TIMES.settle_s


def test_names_that_are_one_lock_are_found():
    names = [f"source{number}" for number in range(2000)]
    pairs = colliding(names)
    assert pairs
    assert not colliding(names, key_b=16)
