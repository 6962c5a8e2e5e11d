"""A link to RabbitMQ through everything that happens to brokers and networks.

In each a node publishes numbers at a steady pace while the trouble lasts. What was taken in
arrives, in order as far as it comes for the first time; and the state says what is the matter.
"""

import os
import random
import time
from contextlib import contextmanager

import pytest

from congress_dse.runtime import chosen as runtime
from tests.links.nodes import Stream, joined
from tests.support.engine import wait_for
from tests.support.fault_proxy import FaultProxy

FULL = bool(os.environ.get("CONGRESS_DSE_FULL"))  # the long versions, of minutes
OUTAGES, OUTAGE_S = (20, 60.0) if FULL else (3, 3.0)
RESTARTS = 3 if FULL else 1
RED_S, PROVEN_S = 10.0, 5.0  # seen to be down within, and up again after the broker is back

pytestmark = [pytest.mark.rabbit, pytest.mark.timeout(3600 if FULL else 180)]

native = runtime.unpatched("threading")


@contextmanager
def traffic(url, ordered=True, pause_s=0.002, **limits):
    """Two nodes; one publishes to the other, and nothing of it is lost at the end."""
    with joined(url, "ada", "bob", **limits) as (ada, bob):
        bob.broker.bind("numbers")
        wait_for(lambda: ada.broker.publish("numbers", b"0") and bob.got)
        stream = Stream(ada, "numbers", pause_s)
        try:
            wait_for(lambda: len(stream.sent) > 50)
            yield ada, bob
            wait_for(lambda: ada.state == bob.state == "up")
        finally:
            stream.stop()  # what goes on after a failure fails every test that follows
        wait_for(lambda: set(stream.sent) <= set(bob.bodies), within_s=60)
        if ordered:
            assert stream.sent == in_order_of_coming([n for n in bob.bodies if n])
        assert ada.broker.statistics().refused == 0


def in_order_of_coming(numbers):
    return list(dict.fromkeys(numbers))


def down(*nodes):
    """Wait until the nodes know, and that in time."""
    wait_for(lambda: all("down" in node.states for node in nodes), within_s=RED_S)


def up_again(*nodes):
    """Wait until consumption is proven, and that in time."""
    wait_for(lambda: all(node.state == "up" for node in nodes), within_s=PROVEN_S)


@pytest.mark.parametrize("again", range(RESTARTS))
def test_a_restart_of_the_broker(rabbit_node, again):
    with traffic(rabbit_node.url) as nodes:
        rabbit_node.stop()
        down(*nodes)
        rabbit_node.start()
        up_again(*nodes)
        assert nodes[0].broker.statistics().reconnects == 1


def test_a_broker_that_is_killed(rabbit_node):
    with traffic(rabbit_node.url) as nodes:
        rabbit_node.kill()
        down(*nodes)
        rabbit_node.start()
        up_again(*nodes)


def test_a_broker_that_refuses_for_a_while(rabbit_node):
    with traffic(rabbit_node.url) as nodes:
        rabbit_node.stop_app()
        down(*nodes)
        rabbit_node.start_app()
        up_again(*nodes)


def test_connections_that_an_operator_closes(rabbit_node):
    with traffic(rabbit_node.url) as nodes:
        for _ in range(3):
            for node in nodes:
                node.states.clear()
            rabbit_node.close_all_connections("maintenance")
            down(*nodes)
            assert "maintenance" in nodes[0].broker.statistics().last_error
            up_again(*nodes)


def test_a_queue_that_is_deleted_under_a_node_is_made_again(rabbit_node):
    # What was in it is lost; the node knows, and is whole again.
    with joined(rabbit_node.url, "ada") as ada:
        ada.broker.bind("n")
        wait_for(lambda: ada.broker.publish("n", b"0") and ada.got)
        rabbit_node.ctl("delete_queue", "congress_dse.ada")
        down(ada)
        up_again(ada)
        ada.broker.publish("n", b"7")
        wait_for(lambda: 7 in ada.bodies)


def test_a_broker_that_is_short_of_memory_blocks_and_says_so(rabbit_node):
    with traffic(rabbit_node.url) as (ada, bob):
        rabbit_node.alarm(True)
        try:
            wait_for(lambda: ada.state == bob.state == "blocked", within_s=RED_S)
            native.Event().wait(5)  # longer than a probe may take, and two heartbeats
            assert ada.states == bob.states == ["up", "blocked"]
        finally:
            rabbit_node.alarm(False)
        up_again(ada, bob)
        assert ada.states == ["up", "blocked", "up"]


def test_consumption_goes_on_while_the_broker_takes_nothing(rabbit_node):
    with joined(rabbit_node.url, "ada", "bob", prefetch=10) as (ada, bob):
        bob.hold = True
        bob.broker.bind("n")
        wait_for(lambda: ada.broker.publish("n", b"0") and bob.got)
        for number in range(500):
            ada.broker.publish("n", str(number).encode())
        wait_for(lambda: not ada.broker.statistics().outbox)
        rabbit_node.alarm(True)
        try:
            wait_for(lambda: ada.state == "blocked", within_s=RED_S)
            bob.hold = False
            bob.broker.done(len(bob.got))
            wait_for(lambda: bob.bodies[-1] == 499)
        finally:
            rabbit_node.alarm(False)
        up_again(ada, bob)


def test_a_frozen_broker(rabbit_node):
    with traffic(rabbit_node.url) as nodes:
        rabbit_node.freeze()
        try:
            down(*nodes)
        finally:
            rabbit_node.thaw()
        up_again(*nodes)


FAULTS = {
    "black hole": lambda proxy: proxy.hole(),
    "half a frame": lambda proxy: proxy.truncate(3),
    "reset": lambda proxy: proxy.cut(),
}


def through(*proxies):
    hosts = ",".join(f"guest:guest@127.0.0.1:{proxy.port}" for proxy in proxies)
    return f"rabbit://{hosts}/"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_network_that_fails(rabbit_node, fault):
    proxy = FaultProxy(rabbit_node.port)
    with proxy, traffic(through(proxy), heartbeat_s=60) as nodes:  # the probe alone can tell
        FAULTS[fault](proxy)
        begun = time.process_time()
        down(*nodes)
        assert time.process_time() - begun < RED_S / 2, "it spins"
        proxy.heal()
        up_again(*nodes)


def test_a_node_that_the_network_cuts_off_has_its_messages_when_it_is_back(rabbit_node):
    # The broker has not missed the old connection when the new one comes. What comes from now on
    # goes to the new one; what the old one had comes late, when two heartbeats were missed.
    one, other = FaultProxy(rabbit_node.port), FaultProxy(rabbit_node.port)
    with one, other, traffic(through(one, other), False, heartbeat_s=4) as (ada, bob):
        one.hole()
        wait_for(lambda: f":{other.port}" in ada.broker.statistics().host)
        wait_for(lambda: f":{other.port}" in bob.broker.statistics().host)
        up_again(ada, bob)
        # While so many come at once that the new one is full, the old one has some of them too.
        wait_for(lambda: ada.broker.statistics().outbox == 0)
        for number in range(-20, 0):
            ada.broker.publish("numbers", str(number).encode())
        wait_for(lambda: set(range(-20, 0)) <= set(bob.bodies), within_s=3)


def test_many_outages_and_a_blocked_hub_lose_no_confirmed_message(rabbit_node):
    chance = random.Random(16)
    # Slowly enough that the outbox is never full, though each outage follows on the one before.
    with traffic(rabbit_node.url, pause_s=0.01) as nodes:
        for outage in range(OUTAGES):
            for node in nodes:
                node.states.clear()
            (rabbit_node.stop_app if outage % 2 or not FULL else rabbit_node.stop)()
            runtime.sleep(chance.uniform(0, OUTAGE_S))
            (rabbit_node.start_app if outage % 2 or not FULL else rabbit_node.start)()
            up_again(*nodes)
        native.Event().wait(90 if FULL else 3)
        assert nodes[0].state == nodes[1].state == "up"
    assert nodes[1].broker.statistics().failed == 0
