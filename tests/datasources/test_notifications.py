"""The notifications driver: events become tables, here from real oslo.messaging and RabbitMQ."""

import gc
import uuid

import pytest

pytest.importorskip("oslo_messaging", reason="the extra `notifications` is not installed")

import kombu
import oslo_messaging
from oslo_config import cfg

from congress_dse import exceptions, sources
from congress_dse.datasources.events import EVENTS, Events
from congress_dse.runtime import chosen as runtime
from tests.support.cloud import Cloud
from tests.support.engine import bus, serve, wait_for
from tests.support.rabbit import local_url

ALL = (EVENTS, "instances", "ports", "networks", "images", "volumes")
SERVER = {
    "instance_id": "s1",
    "display_name": "web",
    "state": "active",
    "host": "h1",
    "tenant_id": "p1",
    "user_id": "u1",
}


def event(kind, payload, ident="", timestamp="2026-01-01 00:00:00.000000"):
    return {
        "message_id": ident or uuid.uuid4().hex,
        "timestamp": timestamp,
        "event_type": kind,
        "publisher_id": "compute.h1",
        "payload": payload,
    }


# The machine.


@pytest.fixture
def events():
    return Events(events_max=3, events_age_s=60)


def test_an_event_sets_the_state_of_its_resource(events):
    assert events.take(event("compute.instance.create.end", SERVER), 0) == {EVENTS, "instances"}
    assert events.rows("instances") == {("s1", "web", "active", "h1", "p1", "u1")}
    events.take(event("compute.instance.delete.end", SERVER), 0)
    assert events.rows("instances") == set()


def test_versioned_payloads_of_nova_are_read_too(events):
    data = {"uuid": "s1", "display_name": "web", "state": "active", "host": "h1"}
    payload = {"nova_object.name": "X", "nova_object.data": {**data, "tenant_id": "p1"}}
    events.take(event("instance.create.end", payload), 0)
    assert events.rows("instances") == {("s1", "web", "active", "h1", "p1", "")}


@pytest.mark.parametrize(
    ("kind", "payload", "table", "row"),
    [
        (
            "port.update.end",
            {"port": {"id": "1", "name": "n", "status": "ACTIVE", "network_id": "2"}},
            "ports",
            ("1", "n", "ACTIVE", "2", "", ""),
        ),
        (
            "network.create.end",
            {"network": {"id": "1", "name": "n", "status": "ACTIVE", "admin_state_up": True}},
            "networks",
            ("1", "n", "ACTIVE", "True", ""),
        ),
        (
            "image.activate",
            {"id": "1", "name": "n", "status": "active", "visibility": "public", "size": 5},
            "images",
            ("1", "n", "active", "public", "", 5),
        ),
        (
            "volume.create.end",
            {"volume_id": "1", "display_name": "n", "status": "available", "size": 1},
            "volumes",
            ("1", "n", "available", 1, "", ""),
        ),
    ],
)
def test_each_service_has_its_payload(events, kind, payload, table, row):
    assert events.take(event(kind, payload), 0) == {EVENTS, table}
    assert events.rows(table) == {row}


def test_many_ports_may_come_in_one_event_and_go_by_their_id_alone(events):
    events.take(event("port.create.end", {"ports": [{"id": "1"}, {"id": "2"}]}), 0)
    assert {row[0] for row in events.rows("ports")} == {"1", "2"}
    events.take(event("port.delete.end", {"port_id": "1"}), 0)
    assert {row[0] for row in events.rows("ports")} == {"2"}


def test_an_event_that_comes_again_counts_once(events):
    same = event("compute.instance.create.end", SERVER, "m1")
    assert events.take(same, 0)
    assert events.take(same, 0) == set()
    assert len(events.rows(EVENTS)) == 1
    assert events.repeated == 1


def test_an_event_that_comes_late_changes_no_later_state(events):
    events.take(event("compute.instance.delete.end", SERVER, timestamp="2026-01-01 00:00:09"), 0)
    changed = events.take(event("compute.instance.update", SERVER), 0)
    assert changed == {EVENTS}
    assert events.rows("instances") == set()


def test_what_is_only_begun_changes_no_state(events):
    assert events.take(event("compute.instance.create.start", SERVER), 0) == {EVENTS}
    assert events.rows("instances") == set()


def test_a_payload_that_lacks_a_field_leaves_what_is_known(events):
    events.take(event("compute.instance.create.end", SERVER), 0)
    events.take(event("compute.instance.update", {"instance_id": "s1", "state": "stopped"}), 0)
    assert events.rows("instances") == {("s1", "web", "stopped", "h1", "p1", "u1")}


def test_events_are_bounded_by_count_and_by_age(events):
    for number in range(5):
        events.take(event("x.y", {}, f"m{number}"), now=number)
    assert {row[0] for row in events.rows(EVENTS)} == {"m2", "m3", "m4"}
    assert events.due() == 62
    assert events.expire(63)
    assert {row[0] for row in events.rows(EVENTS)} == {"m3", "m4"}


def test_a_payload_of_any_shape_is_an_event(events):
    for payload in (None, [], "text", {"port": None}, {"ports": [None]}):
        events.take(event("port.update.end", payload), 0)
    assert events.rows("ports") == set()


# The driver.


@pytest.fixture
def place():
    """Names that no other test has."""
    unique = uuid.uuid4().hex[:10]
    return {"topics": f"t-{unique}", "exchanges": f"x-{unique}", "pool": f"p-{unique}"}


class Publisher:
    """A service of a cloud, which sends notifications."""

    def __init__(self, url, place):
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[], default_config_dirs=[])
        oslo_messaging.set_transport_defaults(place["exchanges"])
        self.transport = oslo_messaging.get_notification_transport(conf, url=url)
        oslo_messaging.set_transport_defaults("openstack")
        self.notifier = oslo_messaging.Notifier(
            self.transport, "compute.h1", driver="messagingv2", topics=[place["topics"]]
        )

    def send(self, kind, payload):
        self.notifier.info({}, kind, payload)


@pytest.fixture
def publishers():
    """Make publishers; at the end they let go of the broker."""
    made = []

    def make(url, place):
        made.append(Publisher(url, place))
        return made[-1]

    yield make
    for publisher in made:
        publisher.transport.cleanup()


@pytest.fixture
def rabbit():
    return local_url()


@pytest.fixture
def clean(rabbit, place):
    """Nothing of a test stays at a broker that others use."""
    yield
    with kombu.Connection(rabbit.replace("rabbit://", "amqp://")) as broker:
        channel = broker.channel()
        channel.queue_delete(place["pool"])
        channel.exchange_delete(place["exchanges"])


def test_events_reach_the_tables(place, publishers):
    with bus() as cage:
        args = {"transport_url": "fake://", **place}
        source, follower = serve(cage, "notifications", args, *ALL)
        wait_for(lambda: source.number_of_updates)
        publisher = publishers("fake://", place)
        publisher.send("compute.instance.create.end", SERVER)
        wait_for(lambda: follower.seen.get("instances"))
        assert follower.seen["instances"] == {("s1", "web", "active", "h1", "p1", "u1")}
        assert {row[1] for row in follower.seen[EVENTS]} == {"compute.instance.create.end"}


def test_events_have_sources_read_again_once_for_many(place, publishers):
    cloud = Cloud()
    with bus() as cage:
        nova, _ = serve(cage, "nova", cloud.args(poll_time="0"), "servers")
        more = {"refresh": "compute.instance:nova,port:nowhere", "refresh_delay": "0.3"}
        args = {"transport_url": "fake://", **place, **more}
        source, follower = serve(cage, "notifications", args, EVENTS)
        wait_for(lambda: source.number_of_updates)
        publisher = publishers("fake://", place)
        for _ in range(5):
            publisher.send("compute.instance.update", SERVER)
        publisher.send("port.update.end", {"port": {"id": "1"}})
        wait_for(lambda: len(follower.seen.get(EVENTS, ())) == 6)
        wait_for(lambda: nova.number_of_updates)
        runtime.sleep(0.5)
        assert nova.number_of_updates == 1
    cloud.stop()


@pytest.mark.parametrize("url", ["", "no url", "rabbit://u:p@h:port/"])
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(exceptions.ConfigError, match="transport_url"):
        sources.checked(sources.driver("notifications"), {"transport_url": url}, "n")


@pytest.mark.rabbit
def test_events_come_through_rabbitmq_and_nothing_is_left_running(rabbit, place, publishers, clean):
    publisher = publishers(rabbit, place)
    publisher.send("warm.up", {})  # its own connection
    before = threads()
    with bus() as cage:
        source, follower = serve(cage, "notifications", {"transport_url": rabbit, **place}, *ALL)
        wait_for(lambda: source.number_of_updates)
        assert follower.causes() == {}
        for number in range(50):
            publisher.send("compute.instance.update", {**SERVER, "instance_id": f"s{number}"})
        wait_for(lambda: len(follower.seen.get("instances", ())) == 50)
        assert follower.updates.count("instances") < 50, "what comes together is published so"
    wait_for(lambda: not threads() - before)


@pytest.mark.rabbit
def test_a_wrong_password_is_a_cause_without_the_password(rabbit, place):
    with bus() as cage:
        url = rabbit.replace(":guest@", ":hunter2@")
        _, follower = serve(cage, "notifications", {"transport_url": url, **place}, EVENTS)
        cause = str(wait_for(follower.causes))
        assert "ACCESS_REFUSED" in cause or "403" in cause
        assert "hunter2" not in cause


@pytest.mark.rabbit
@pytest.mark.timeout(180)
def test_a_broker_that_dies_makes_tables_stale_and_is_found_again(place, publishers, rabbit_node):
    with bus() as cage:
        args = {"transport_url": rabbit_node.url, **place, "poll_time": "0.5"}
        source, follower = serve(cage, "notifications", args, *ALL)
        publisher = publishers(rabbit_node.url, place)
        wait_for(lambda: source.number_of_updates)
        publisher.send("compute.instance.create.end", SERVER)
        wait_for(lambda: follower.seen.get("instances"))
        rabbit_node.kill()
        cause = str(wait_for(follower.causes))
        assert "no broker: 127.0.0.1" in cause
        assert follower.seen["instances"]
        rabbit_node.start()
        wait_for(lambda: follower.causes() == {}, 60)
        publisher.send("compute.instance.delete.end", SERVER)
        wait_for(lambda: follower.seen["instances"] == set(), 60)


@pytest.mark.rabbit
@pytest.mark.timeout(180)
@pytest.mark.parametrize("end", ["kill", "freeze"])
def test_a_listener_ends_in_time_though_its_broker_does_not_answer(
    place, publishers, rabbit_node, end, caplog
):
    publisher = publishers(rabbit_node.url, place)
    publisher.send("warm.up", {})
    before = threads()
    with bus() as cage:
        args = {"transport_url": rabbit_node.url, **place, "poll_time": "60"}
        source, follower = serve(cage, "notifications", args, EVENTS)
        wait_for(lambda: source.number_of_updates)
        publisher.send("compute.instance.update", SERVER)
        wait_for(lambda: follower.seen.get(EVENTS))
        getattr(rabbit_node, end)()
        begin = runtime.now()
        cage.deleteservice("notifications")
        assert runtime.now() - begin < 2.0
    if "has not ended" in caplog.text:
        assert "thread notifications-deafen ends it" in caplog.text
    if end == "freeze":
        rabbit_node.thaw()  # a broker that is there and says nothing is waited for
    wait_for(lambda: not threads() - before, 30)
    if end == "kill":
        rabbit_node.start()


def threads():
    """The greenlets that have begun and not ended: a thread is one of these where it is patched."""
    from greenlet import greenlet

    return {t for t in gc.get_objects() if isinstance(t, greenlet) and t and t.parent}
