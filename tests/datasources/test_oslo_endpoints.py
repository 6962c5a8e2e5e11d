"""Coroutine functions as endpoints of oslo.messaging: RPC servers and notification listeners."""

import asyncio
import importlib.util
import threading
import uuid

import pytest

if importlib.util.find_spec("oslo_messaging") is None:
    pytest.skip("the extra `notifications` is not installed", allow_module_level=True)

from oslo_config import cfg

from congress_dse.datasources import oslo_endpoints
from congress_dse.runtime import chosen as runtime
from tests.support.rabbit import local_url

messaging = oslo_endpoints.messaging()
pytestmark = pytest.mark.filterwarnings("ignore:Using the 'executor' argument")


class Calls:
    """Methods of an RPC server."""

    target = messaging.Target(version="1.0")

    def __init__(self):
        self.inside = self.most = 0

    async def double(self, ctxt, text):
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0.05)
        self.inside -= 1
        return text * 2

    @oslo_endpoints.expected_exceptions(KeyError)
    async def fail(self, ctxt):
        await asyncio.sleep(0)
        raise KeyError("told to fail")

    def plain(self, ctxt):
        return "plain"


class Notes:
    """A listener that takes each notification at its second coming."""

    filter_rule = messaging.NotificationFilter(event_type="^wanted")

    def __init__(self):
        self.seen = []

    async def info(self, ctxt, publisher_id, event_type, payload, metadata):
        await asyncio.sleep(0.001)
        self.seen.append((event_type, payload))
        again = messaging.NotificationResult.REQUEUE
        return again if len(self.seen) == 1 else messaging.NotificationResult.HANDLED


@pytest.fixture(params=["fake://", "rabbit"])
def transport(request):
    """A way to make transports of one broker, and names that nobody else uses."""
    made = []

    def make(get):
        url = "fake://" if request.param == "fake://" else local_url()
        made.append(get(cfg.CONF, url=url))
        return made[-1]

    yield make
    for each in made:
        each.cleanup()


def calling(call, *args):
    """What blocks its thread is called beside the hub."""
    return call(*args) if runtime.PATCHED else runtime.in_thread(call, *args)


def test_an_rpc_server_awaits_its_endpoints(transport, wait_for):
    topic, calls = uuid.uuid4().hex, Calls()
    both = transport(messaging.get_rpc_transport)
    server = messaging.get_rpc_server(
        both,
        messaging.Target(topic=topic, server="s"),
        [oslo_endpoints.plain(calls)],
        executor="threading",
    )
    calling(server.start)
    try:
        client = messaging.get_rpc_client(both, messaging.Target(topic=topic), timeout=30)
        at_once = [
            runtime.spawn(calling, lambda: client.call({}, "double", text="ab")) for _ in range(5)
        ]
        assert [thread.wait() for thread in at_once] == ["abab"] * 5
        assert calls.most > 1  # they wait side by side
        assert calling(lambda: client.call({}, "plain")) == "plain"
        with pytest.raises((KeyError, messaging.RemoteError)):
            calling(lambda: client.call({}, "fail"))
    finally:
        calling(server.stop)
        calling(server.wait)


def test_a_listener_awaits_its_endpoint_with_filter_and_requeue(transport, wait_for):
    topic, notes = uuid.uuid4().hex, Notes()
    both = transport(messaging.get_notification_transport)
    listener = messaging.get_notification_listener(
        both,
        [messaging.Target(topic=topic)],
        [oslo_endpoints.plain(notes)],
        executor="threading",
        allow_requeue=True,
    )
    calling(listener.start)
    try:
        notifier = messaging.Notifier(both, "me", driver="messaging", topics=[topic])
        calling(notifier.info, {}, "other", {})
        calling(notifier.info, {}, "wanted", {"n": 1})
        wait_for(lambda: len(notes.seen) >= 2)
        assert set(map(str, notes.seen)) == {str(("wanted", {"n": 1}))}
    finally:
        calling(listener.stop)
        calling(listener.wait)


def test_a_coroutine_is_awaited_for_a_native_thread():
    async def answer():
        await asyncio.sleep(0.001)
        return threading.get_native_id()

    def ask():
        return runtime.finish(answer()), threading.get_native_id()

    loop, thread = runtime.in_thread(ask)
    assert loop == threading.get_native_id()
    assert thread != loop
