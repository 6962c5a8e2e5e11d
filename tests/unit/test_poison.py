"""Work that ends its workers, as a pure machine."""

import pytest

from congress_dse.exceptions import NoSuchWorker
from congress_dse.manager.poison import Poison


def end_three_times(poison, key="k"):
    parked = []
    for serial in (1, 2, 3):
        poison.taken(serial, "s", key, {"n": 1})
        parked = poison.died(serial, f"stack {serial}")
    return parked


def test_the_third_death_parks_with_payload_attempts_and_last_stack():
    poison = Poison()
    (work,) = end_three_times(poison)
    assert (work.payload, work.attempts, work.stack) == ({"n": 1}, 3, "stack 3")
    assert poison.keys("s") == ["k"]
    assert poison.keys("other") == []


def test_success_in_between_forgets_what_was_held_against_it():
    poison = Poison()
    for serial in (1, 2):
        poison.taken(serial, "s", "k", None)
        poison.died(serial, "")
    poison.taken(3, "s", "k", None)
    poison.done(3, "k")
    poison.taken(4, "s", "k", None)
    assert poison.died(4, "") == []


def test_deaths_and_exceptions_count_together():
    poison = Poison()
    poison.taken(1, "s", "k", None)
    assert not poison.raised(1, "k", "raised")
    poison.taken(1, "s", "k", None)
    assert poison.died(1, "died") == []
    poison.taken(2, "s", "k", None)
    assert poison.raised(2, "k", "raised again")
    assert poison.died(2, "") == [], "it was no longer in hand"


def test_an_end_that_was_asked_for_holds_nothing_against_the_work():
    poison = Poison()
    for serial in range(5):
        poison.taken(serial, "s", "k", None)
        poison.ended(serial)
    assert poison.statistics() == []


def test_replay_hands_it_out_once_and_it_starts_from_nothing():
    poison = Poison()
    end_three_times(poison)
    assert poison.replay("s", "k").payload == {"n": 1}
    with pytest.raises(NoSuchWorker, match="s: nothing is parked under 'k'"):
        poison.replay("s", "k")
    assert len(end_three_times(poison)) == 1
