"""Counters over many lives: a sum never falls."""

import random

from congress_dse.counters import Sums


def said(value, name="handled", **labels):
    return [name, labels, value]


def sums(of):
    return {(name, *labels.values()): value for name, labels, value in of.series()}


def test_what_several_lives_counted_is_summed_by_name_and_labels():
    both = Sums()
    both.heard(1, [said(3, service="a"), said(1, service="b")])
    both.heard(2, [said(4, service="a"), said(5, "failed", service="a")])
    assert sums(both) == {("handled", "a"): 7, ("handled", "b"): 1, ("failed", "a"): 5}


def test_what_a_life_counted_stays_when_it_ends():
    one = Sums()
    one.heard(1, [said(3)])
    one.ended(1)
    one.ended(1)
    one.ended("never heard")
    one.heard(2, [said(1)])
    assert sums(one) == {("handled",): 4}


def test_less_than_before_is_not_believed():
    one = Sums()
    one.heard(1, [said(3)])
    one.heard(1, [said(2)])
    assert sums(one) == {("handled",): 3}


def test_across_many_deaths_no_sum_ever_falls():
    draw = random.Random(7)
    one, living, highest, number = Sums(), {}, 0.0, 0
    for _ in range(2000):
        what = draw.random()
        if what < 0.1 or not living:
            number += 1
            living[number] = 0
        life = draw.choice(list(living))
        living[life] += draw.randrange(5)
        if what < 0.8:
            one.heard(life, [said(living[life])])
        if what > 0.9:
            one.ended(life)
            del living[life]
        total = sum(sums(one).values())
        assert total >= highest
        highest = total
    assert highest > 1000
