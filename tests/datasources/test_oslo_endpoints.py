"""Coroutine functions as endpoints of oslo.messaging: RPC servers and notification listeners."""

import asyncio
import contextlib
import importlib.util
import os
import threading
import uuid

import pytest

if importlib.util.find_spec("oslo_messaging") is None:
    pytest.skip("the extra `notifications` is not installed", allow_module_level=True)

from oslo_config import cfg

from congress_dse import exceptions
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

    async def leave(self, ctxt):
        await asyncio.sleep(0)
        raise SystemExit(3)

    async def slow(self, ctxt, seconds):
        await asyncio.sleep(seconds)
        return "slow"

    async def meet(self, ctxt, many):
        self.inside += 1
        self.most = max(self.most, self.inside)
        while self.most < many:
            await asyncio.sleep(0.01)
        self.inside -= 1
        return self.most

    def plain(self, ctxt):
        return "plain", threading.get_native_id()

    def handed(self, ctxt):
        return self.double(ctxt, "h")


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


@pytest.fixture(params=[0, 100], ids=["threads", "tasks"])
def at_once(request):
    """How many calls run at once as tasks; 0 for threads."""
    return request.param


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


@contextlib.contextmanager
def serving(transport, calls, at_once, **named):
    """A client of a server of `calls`."""
    topic = uuid.uuid4().hex
    both = transport(messaging.get_rpc_transport)
    server = oslo_endpoints.rpc_server(
        both, messaging.Target(topic=topic, server="s"), [calls], at_once
    )
    calling(server.start)
    try:
        yield messaging.get_rpc_client(both, messaging.Target(topic=topic), timeout=30, **named)
    finally:
        calling(server.stop)
        calling(server.wait)


def test_an_rpc_server_awaits_its_endpoints(transport, at_once):
    calls = Calls()
    with serving(transport, calls, at_once) as client:
        at_once = [
            runtime.spawn(calling, lambda: client.call({}, "double", text="ab")) for _ in range(5)
        ]
        assert [thread.wait() for thread in at_once] == ["abab"] * 5
        assert calls.most > 1  # they wait side by side
        word, thread = calling(lambda: client.call({}, "plain"))
        assert word == "plain"
        assert runtime.PATCHED or thread != threading.get_native_id()
        assert calling(lambda: client.call({}, "handed")) == "hh"
        with pytest.raises((KeyError, messaging.RemoteError)):
            calling(lambda: client.call({}, "fail"))
        with pytest.raises(
            (exceptions.EngineError, messaging.RemoteError), match="leave: SystemExit"
        ):
            calling(lambda: client.call({}, "leave"))


def test_more_calls_than_the_executor_has_threads_run_as_tasks(transport):
    calls, many = Calls(), 80  # an executor has 64
    with serving(transport, calls, 100) as client:
        asking = [
            runtime.spawn(calling, lambda: client.call({}, "meet", many=many)) for _ in range(many)
        ]
        assert [thread.wait() for thread in asking] == [many] * many


def test_no_more_tasks_run_than_may(transport):
    calls = Calls()
    with serving(transport, calls, 3) as client:
        asking = [
            runtime.spawn(calling, lambda: client.call({}, "double", text="x")) for _ in range(9)
        ]
        assert [thread.wait() for thread in asking] == ["xx"] * 9
    assert calls.most == 3


@pytest.mark.skipif(
    not os.environ.get("CONGRESS_DSE_FULL") and runtime.NAME != "asyncio", reason="takes seconds"
)
def test_a_client_that_watches_its_call_hears_that_it_lives():
    calls = Calls()
    made = messaging.get_rpc_transport(cfg.CONF, url=local_url())
    try:
        with serving(lambda _: made, calls, 100, call_monitor_timeout=4) as client:
            assert calling(lambda: client.call({}, "slow", seconds=5)) == "slow"
    finally:
        made.cleanup()


def test_the_end_of_a_server_waits_for_its_calls_and_it_can_start_again(wait_for):
    calls, topic = Calls(), uuid.uuid4().hex
    both = messaging.get_rpc_transport(cfg.CONF, url="fake://")
    target = messaging.Target(topic=topic, server="s")
    server = oslo_endpoints.rpc_server(both, target, [calls], at_once=100)
    client = messaging.get_rpc_client(both, messaging.Target(topic=topic), timeout=30)
    try:
        for _ in range(2):
            calling(server.start)
            asking = runtime.spawn(calling, lambda: client.call({}, "double", text="e"))
            wait_for(lambda: calls.inside)
            calling(server.stop)
            calling(server.wait)
            assert calls.inside == 0
            assert asking.wait() == "ee"
    finally:
        both.cleanup()


def test_a_listener_awaits_its_endpoint_with_filter_and_requeue(transport, at_once, wait_for):
    topic, notes = uuid.uuid4().hex, Notes()
    both = transport(messaging.get_notification_transport)
    listener = oslo_endpoints.notification_listener(
        both, [messaging.Target(topic=topic)], [notes], at_once, allow_requeue=True
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
