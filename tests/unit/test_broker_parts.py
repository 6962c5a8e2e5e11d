"""The machines of a link to a broker: its URL, its outbox, its bindings, its ledger, its probe."""

import threading
import traceback

import pytest
from hypothesis import given, strategies as st

from congress_dse import exceptions
from congress_dse.links.bindings import Bindings
from congress_dse.links.broker_ends import Ledger
from congress_dse.links.broker_url import BrokerHost, BrokerTLS, BrokerURL
from congress_dse.links.outbox import Outbox
from congress_dse.links.probe import Probe


def outbox(count=10, size_b=1000):
    return Outbox(threading.Lock(), count, size_b)


def test_a_url_has_hosts_users_and_a_virtual_host():
    url = BrokerURL.parse("rabbit://ada:p%40ss@one:5673,two,bob:x@[::1]:5672/the%2Fbus")
    assert url.hosts == (
        BrokerHost("one", 5673, "ada", "p@ss"),
        BrokerHost("two", 5672, "ada", "p@ss"),
        BrokerHost("::1", 5672, "bob", "x"),
    )
    assert url.vhost == "the/bus"
    assert url.tls is None
    assert [str(host) for host in url.hosts] == ["one:5673", "two:5672", "[::1]:5672"]


@pytest.mark.parametrize("end", ["", "/", "//", "/%2F"])
def test_without_a_name_the_virtual_host_is_the_root(end):
    url = BrokerURL.parse("rabbit://h" + end)
    assert url.vhost == "/"
    assert url.hosts == (BrokerHost("h", 5672, "guest", "guest"),)


def test_tls_is_on_by_its_flag_or_its_files():
    files = "ssl_ca_file=/ca&ssl_cert_file=/cert&ssl_key_file=/key"
    url = BrokerURL.parse("rabbit://h/?" + files)
    assert url.tls == BrokerTLS("/ca", "/cert", "/key")
    assert url.hosts[0].port == 5671
    assert BrokerURL.parse("rabbit://h/?ssl=true").tls == BrokerTLS()
    assert BrokerURL.parse("rabbit://h/?ssl=0&" + files).tls is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("amqp://h/", "the scheme is 'amqp'.*has to be rabbit"),
        ("h:5672", "the scheme is"),
        ("rabbit:///", "host 1 is no name"),
        ("rabbit://a:5672,/", "host 2 is no name"),
        ("rabbit://u:p@h:port/", "host 1 is no name"),
        ("rabbit://u:p@h:99999/", "the port of host 1 is out of range; allowed: 1 to 65535"),
        ("rabbit://:p@h/", "host 1 has an empty user"),
        ("rabbit://h/?ssl=maybe", "the option ssl is neither on nor off"),
        ("rabbit://h/?sll=1", "unknown option sll; allowed: ssl, ssl_ca_file"),
        ("rabbit://h/?ssl_key_file=/k", "ssl_key_file without ssl_cert_file"),
        ("rabbit://h/v#x", "an '@' or a '#'"),
        ("rabbit://[::1/", "out of place"),
    ],
)
def test_a_bad_url_is_refused_with_the_part_at_fault(text, fault):
    with pytest.raises(exceptions.ConfigError, match=fault):
        BrokerURL.parse(text)


@given(
    # Of both a comma and an '@' nobody can tell that no further host begins there.
    st.text("s3cret@:/?#%[]&=", min_size=1, max_size=12)
    | st.text("s3cret:/?#,%[]&=", min_size=1, max_size=12)
)
def test_whatever_the_password_no_text_of_ours_shows_it(password):
    secret = "PW" + password + "PW"
    said = []
    try:
        url = BrokerURL.parse(f"rabbit://ada:{secret}@host:5672/bus")
        said = [str(url), repr(url), repr(url.hosts)]
    except exceptions.ConfigError:
        said = [traceback.format_exc(chain=True).rpartition("ConfigError")[2]]
    assert "PW" not in "".join(said)


def test_what_is_unconfirmed_at_a_loss_is_sent_again_first_and_in_order():
    box = outbox()
    for number in b"12345":
        assert box.put("k", bytes([number]))
    assert [box.take()[1] for _ in range(4)] == [b"1", b"2", b"3", b"4"]
    box.confirm(2, multiple=False)
    assert (box.depth, box.unconfirmed, box.waiting) == (4, 3, 1)
    assert box.lost() == 3
    assert [box.take()[1] for _ in range(4)] == [b"1", b"3", b"4", b"5"]
    assert box.take() is None
    box.confirm(3, multiple=True)  # tags count from one again
    assert (box.depth, box.size_b, box.confirmed) == (1, 1, 4)
    box.refuse(4, multiple=False)
    assert box.take() == ("k", b"5")


def test_a_message_that_is_passed_by_is_not_kept():
    box = outbox()
    assert box.pass_by() == 1
    assert box.lost() == 0
    assert (box.depth, box.unconfirmed) == (0, 0)
    box.pass_by()
    box.confirm(0, multiple=True)  # zero: all
    assert box.unconfirmed == 0


def test_the_limits_count_what_waits_and_what_is_unconfirmed():
    box = outbox(count=2)
    assert [box.put("k", b"x") for _ in range(3)] == [True, True, False]
    box.take()
    assert not box.put("k", b"x")
    assert not box.has_room()
    box.confirm(1, multiple=False)
    assert box.has_room()
    assert not box.has_room(), "told once"
    assert box.put("k", b"x")
    assert box.refused == 2


def test_bytes_are_limited_but_one_message_alone_may_be_larger():
    box = outbox(size_b=10)
    assert box.put("k", b"x" * 20)
    assert not box.put("k", b"x")


@given(st.lists(st.sampled_from(["put", "take", "lost", "ack", "ack to", "nack"])))
def test_nothing_that_was_taken_in_is_ever_forgotten(steps):
    box, number, confirmed, sent, tag = outbox(count=1000), 0, set(), {}, 0
    for step in steps:
        if step == "put":
            number += 1
            assert box.put("k", str(number).encode())
        elif step == "take" and (message := box.take()):
            tag += 1
            sent[tag] = int(message[1])
        elif step == "lost":
            box.lost()
            sent, tag = {}, 0
        elif sent and step == "ack":
            box.confirm(max(sent), multiple=False)
            confirmed.add(sent.pop(max(sent)))
        elif sent and step == "ack to":
            box.confirm(max(sent), multiple=True)
            confirmed |= set(sent.values())
            sent = {}
        elif sent and step == "nack":
            box.refuse(max(sent), multiple=True)
            sent = {}
    box.lost()
    assert box.depth == number - len(confirmed)
    left = []
    while message := box.take():
        left.append(int(message[1]))
    assert left == sorted(set(range(1, number + 1)) - confirmed)


def test_bindings_are_told_once_and_all_of_them_anew():
    keys = Bindings(threading.Lock())
    keys.bind("a")
    keys.bind("b")
    assert keys.changes(1) == (["a"], [])
    assert keys.changed
    assert keys.changes(9) == (["b"], [])
    assert not keys.changed
    keys.settled()
    keys.bind("a")
    keys.unbind("b")
    keys.unbind("never")
    assert keys.changes(9) == ([], ["b"])
    # The connection is lost before the broker has said that it was done.
    keys.anew()
    assert keys.changes(9) == (["a"], ["b"])
    keys.settled()
    keys.unbind("a")  # while there is no connection
    keys.anew()
    assert keys.changes(9) == ([], ["a"])
    keys.bind("a")
    assert keys.changes(9) == (["a"], [])
    keys.settled()
    keys.anew()
    assert keys.changes(9) == (["a"], [])


def test_only_what_its_own_connection_delivered_is_acknowledged():
    ledger = Ledger(prefetch=3)
    for tag in (1, 2):
        ledger.handed(1, tag)
    ledger.handed(2, 1)
    assert not ledger.room()
    ledger.done(2)
    assert ledger.settle(2) is None
    assert ledger.room()
    ledger.handed(2, 2)
    ledger.done(2)
    assert ledger.settle(2) == 2
    assert ledger.unhandled == 0


def test_a_probe_proves_consumption_and_is_overdue_when_it_does_not_come():
    probe = Probe(every_s=2, limit_s=5)
    assert probe.wants(10)
    probe.sent(10)
    assert not probe.wants(12)
    assert not probe.overdue(15)
    assert probe.overdue(15.1)
    probe.back(1, 10.5)
    assert (probe.proven, probe.proof) == (True, "probe")
    assert (probe.round_trip_s, probe.back_at) == (0.5, 10.5)
    assert not probe.overdue(100)
    assert (probe.due(), probe.wants(12.4), probe.wants(12.5)) == (12.5, False, True)


def test_a_probe_behind_a_queue_that_moves_is_not_overdue():
    probe = Probe(every_s=2, limit_s=5)
    probe.sent(0)
    probe.heard(4)
    assert not probe.proven, "the broker has not confirmed that it took it"
    assert not probe.overdue(8)
    probe.taken()
    probe.heard(8)
    assert (probe.proven, probe.proof) == (True, "delivery")
    assert probe.round_trip_s is None, "the probe itself has not come back yet"
    assert probe.overdue(13.1)
    probe.rest(14)
    assert not probe.overdue(18)


def test_an_old_probe_says_nothing():
    probe = Probe(every_s=2, limit_s=5)
    probe.sent(0)
    probe.back(1, 1)
    probe.sent(3)
    probe.back(1, 4)
    assert probe.round_trip_s == 1
    assert probe.due() == 8
