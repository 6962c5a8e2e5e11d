"""Coroutine functions as handlers, hooks and callbacks: awaited in the service's own turn."""

import asyncio
import contextvars

import pytest

from congress_dse import deepsix, exceptions
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.datasources.execution_driver import ExecutionDriver
from congress_dse.runtime import chosen as runtime


class Async(deepsix.deepSix):
    """Does with coroutines what others do with functions."""

    def __init__(self, *args):
        super().__init__(*args)
        self.seen, self.cleaned_up = [], []
        self.go = None

    async def reqhandler(self, msg):
        await asyncio.sleep(0)
        if msg.dataindex == "fail":
            raise KeyError("told to fail")
        if msg.dataindex == "ask":
            return await self.ask(*msg.body, timeout_s=10)
        if msg.dataindex == "turn":
            return runtime.current_actor() is self and self.own_turn()
        return msg.dataindex * 2

    async def cmdhandler(self, msg):
        if msg.dataindex == "hang":
            try:
                self.seen.append("hangs")
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0.01)
                self.seen.append("drained")
        for _ in range(3):
            await asyncio.sleep(0)
            self.seen.append((msg.dataindex, msg.body))

    async def note(self, msg):
        await asyncio.sleep(0.001)
        self.seen.append(msg.body.data)

    async def subhandler(self, msg):
        await asyncio.sleep(0)
        if msg.dataindex == "t":
            self.publish("t", {("made for", msg.replyTo)})

    async def unsubhandler(self, msg):
        await asyncio.sleep(0)
        self.seen.append("let go")
        return True

    async def cleanup(self):
        await asyncio.sleep(0.001)
        self.cleaned_up.append(self.name)


@pytest.fixture
def make(host):
    return lambda name: host.createservice(name, factory=Async)


def test_a_request_is_answered_by_a_coroutine(host, make):
    make("s")
    assert host.ask("s", "ab") == "abab"
    assert host.ask("s", "turn") is True


def test_a_coroutine_that_fails_refuses_the_request_and_the_service_goes_on(host, make):
    service = make("s")
    with pytest.raises(exceptions.RequestFailed, match="told to fail"):
        host.ask("s", "fail")
    assert host.ask("s", "ab") == "abab"
    assert service.statistics().failed == 1


def test_the_next_message_waits_for_the_coroutine_of_the_last(host, make, settle):
    service = make("s")
    for n in range(5):
        host.tell("s", "x", n)
    settle(host)
    assert service.seen == [("x", n) for n in range(5) for _ in range(3)]


def test_services_wait_side_by_side(host, make, settle):
    class Slow(Async):
        async def cmdhandler(self, msg):
            await asyncio.sleep(0.2)

    slow = [host.createservice(f"s{n}", factory=Slow) for n in range(50)]
    begun = runtime.now()
    for service in slow:
        host.tell(service.name, "x")
    settle(host)
    assert runtime.now() - begun < 5  # one after the other they would take ten seconds


def test_a_coroutine_asks_and_others_go_on_meanwhile(host, make):
    make("a"), make("b")
    assert host.ask("a", "ask", ("b", "xy")) == "xyxy"


def test_asks_of_coroutines_in_a_circle_are_refused(host, make):
    make("a"), make("b")
    with pytest.raises(exceptions.RequestFailed, match="never be answered"):
        host.ask("a", "ask", ("b", "ask", ("a", "x")))
    assert host.ask("a", "ab") == "abab"


def test_a_coroutine_asks_many_at_once(host, make):
    class Many(Async):
        async def reqhandler(self, msg):
            asks = [self.ask(f"s{n}", str(n)) for n in range(10)]
            return sum(map(len, await asyncio.gather(*asks)))

    for n in range(10):
        make(f"s{n}")
    host.createservice("many", factory=Many)
    assert host.ask("many", "x") == 20


def test_callbacks_and_hooks_of_subscriptions_are_awaited(host, make, wait_for):
    a, b = make("a"), make("b")
    corr = b.subscribe("a", "t", callback=b.note)
    wait_for(lambda: b.seen == [{("made for", "b")}])
    b.unsubscribe(corrId=corr)
    wait_for(lambda: "let go" in a.seen)


def test_a_timer_and_a_call_given_to_the_service_may_be_coroutines(host, make, wait_for):
    service, seen = make("s"), []

    async def call():
        await asyncio.sleep(0)
        seen.append(runtime.current_actor())

    service.after(0.001, call)
    service.do(call)
    wait_for(lambda: seen == [service, service])


def test_a_service_that_is_stopped_cancels_its_coroutine_and_drains_it(host, make, wait_for):
    service = make("s")
    host.tell("s", "hang")
    wait_for(lambda: service.seen)
    service.kill()
    wait_for(lambda: service.dead)
    assert service.seen == ["hangs", "drained"]


def test_a_stop_awaits_the_cleanup_of_each(host, make):
    service = make("s")
    host.ask("s", "x")
    host.deleteservice("s")
    assert service.cleaned_up == ["s"]
    assert not runtime.coroutines.stragglers


def test_a_coroutine_that_does_not_end_is_a_straggler_after_the_deadline(
    host, make, wait_for, monkeypatch
):
    monkeypatch.setattr("congress_dse.runtime.coroutines.DRAIN_S", 0.05)

    class Stubborn(Async):
        async def cmdhandler(self, msg):
            self.go = asyncio.Event()
            while not self.go.is_set():
                try:
                    await self.go.wait()
                except asyncio.CancelledError:
                    self.seen.append("no")

    monkeypatch.setattr("congress_dse.d6cage.STEP_S", 0.05)
    service = host.createservice("s", factory=Stubborn)
    host.tell("s", "x")
    wait_for(lambda: service.go)
    host.deleteservice("s")
    assert service.dead
    assert service.seen == ["no"]
    assert len(runtime.coroutines.stragglers) == 1
    runtime.loop().call_soon(service.go.set)
    wait_for(lambda: not runtime.coroutines.stragglers)


def test_an_ask_that_is_late_tells_which_await_the_receiver_is_at(host):
    class Deep(Async):
        async def reqhandler(self, msg):
            await self.inner()

        async def inner(self):
            await asyncio.sleep(3600)

    host.createservice("s", factory=Deep)
    with pytest.raises(exceptions.AskTimeout, match=r"test_coroutines.py:\d+ in inner"):
        host.ask("s", "x", timeout_s=0.2)


def test_a_coroutine_calls_what_waits_beside_itself(host, make):
    class Mixed(Async):
        async def reqhandler(self, msg):
            def plain():
                runtime.sleep(0.001)
                return self.ask("other", "ab")

            return await self.waiting(plain)

    make("other")
    host.createservice("s", factory=Mixed)
    assert host.ask("s", "x") == "abab"


def test_context_variables_stay_with_a_coroutine(host, make, settle):
    var = contextvars.ContextVar("var", default=None)

    class Kept(Async):
        async def cmdhandler(self, msg):
            var.set(msg.body)
            await asyncio.sleep(0.001)
            self.seen.append(var.get() == msg.body)

    kept = [host.createservice(f"s{n}", factory=Kept) for n in range(5)]
    for n, service in enumerate(kept):
        host.tell(service.name, "x", n)
    settle(host)
    assert all(service.seen == [True] for service in kept)


def test_context_variables_of_a_plain_handler_are_its_service_s_own(host, settle):
    mark = contextvars.ContextVar("mark", default="")

    class Plain(deepsix.deepSix):
        def cmdhandler(self, msg):
            seen.append((self.name, mark.get()))
            mark.set(self.name)

    for name in "ab":
        host.createservice(name, factory=Plain)
    seen = []
    for _ in range(2):
        for name in "ab":
            host.tell(name, "x")
        settle(host)
    assert sorted(seen) == [("a", ""), ("a", "a"), ("b", ""), ("b", "b")]
    assert mark.get() == ""


def test_a_coroutine_that_is_cancelled_before_its_first_step_ends_its_turn(host, settle):
    class Early(deepsix.deepSix):
        def cmdhandler(self, msg):
            if msg.dataindex == "cancelled":
                runtime.loop().call_soon(self.cancel)
            return self.work(msg.dataindex)

        def cancel(self):
            (task,) = [t for t in asyncio.all_tasks(runtime.loop()) if t.get_name() == self.name]
            task.cancel()

        async def work(self, what):
            done.append(what)

    done, service = [], host.createservice("s", factory=Early)
    host.tell("s", "cancelled")
    host.tell("s", "next")
    settle(host)
    assert done == ["next"]
    assert service.failures == 1


class Polled(ExecutionDriver, PollingDataSourceDriver):
    """A driver with coroutines throughout."""

    inside = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.hang = False
        self.add_executable_method("double", [])

    async def update_from_datasource(self):
        self.inside += 1
        try:
            await asyncio.sleep(3600 if self.hang else 0.001)
            self.state["t"] = {(1,)}
        finally:
            self.inside -= 1

    async def double(self, text):
        await asyncio.sleep(0)
        return text * 2


def test_a_poll_may_be_a_coroutine_and_has_its_deadline(host, wait_for):
    args = {"poll_time": 0.02, "poll_deadline": 0.1}
    driver = host.createservice("d", factory=Polled, args=args)
    wait_for(lambda: driver.state == {"t": {(1,)}})
    driver.hang = True
    wait_for(lambda: driver.stale)
    assert "poll_deadline" in str(driver.last_error)
    assert driver.state == {"t": {(1,)}}
    driver.hang = False
    wait_for(lambda: not driver.stale)
    assert driver.inside <= 1


def test_an_action_may_be_a_coroutine(host):
    host.createservice("d", factory=Polled, args={"poll_time": 0})
    assert host.ask("d", "double", {"positional": ["ab"]}) == "abab"
