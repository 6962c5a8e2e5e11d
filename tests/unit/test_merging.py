"""What follows from the facts of several nodes."""

from congress_dse.merging import circles, lagging


def wait(who, whom):
    return {"who": who, "whom": whom}


def table(version=7, epoch=5):
    return {"service": "s", "table": "t", "version": version, "epoch": epoch, "node": "n"}


def follower(name, version, epoch=5, node="n", table="t", oldest_s=0.0, sender="s"):
    at = {"epoch": epoch, "version": version, "behind": False}
    about = {"subscriber": name, "node": node, "worker": "", "depth": 0, "oldest_s": oldest_s}
    return {**about, "table": table, "publishers": {sender: at}}


def lags(*followers, **of):
    return {s["subscriber"]: s["lag"] for s in lagging([table(**of)], followers)[0]["subscribers"]}


def test_a_circle_is_told_once_wherever_it_is_entered():
    waits = [wait("b", "c"), wait("a", "b"), wait("c", "a"), wait("x", "a")]
    assert circles(waits) == [["a", "b", "c"]]


def test_who_waits_for_itself_is_a_circle_and_a_chain_is_none():
    assert circles([wait("a", "a")]) == [["a"]]
    assert circles([wait("a", "b"), wait("b", "c")]) == []


def test_two_circles_are_two():
    waits = [wait("a", "b"), wait("b", "a"), wait("y", "z"), wait("z", "y")]
    assert circles(waits) == [["a", "b"], ["y", "z"]]


def test_the_lag_is_what_a_subscriber_has_yet_to_see():
    assert lags(follower("new", 7), follower("old", 3), follower("far", 6, node="m")) == {
        "new": 0,
        "old": 4,
        "far": 1,
    }
    assert lagging([table()], [follower("a", 7), follower("b", 3)])[0]["lag"] == 4


def test_of_another_life_or_of_nothing_yet_the_lag_is_unknown():
    assert lags(follower("a", 9, epoch=4), follower("b", None)) == {"a": None, "b": None}
    assert lagging([table()], [follower("a", 9, epoch=4)])[0]["lag"] == 0


def test_who_follows_another_table_or_publisher_is_not_counted():
    assert lags(follower("a", 1, table="u"), follower("b", 1, sender="r")) == {}


def test_the_age_of_a_lag_is_that_of_the_oldest_message_that_waits():
    (told,) = lagging([table()], [follower("a", 3, oldest_s=2.5), follower("b", 7, oldest_s=9.0)])
    assert [s["lag_s"] for s in told["subscribers"]] == [2.5, 0.0]
