"""Coroutine functions as handlers, hooks and callbacks: awaited in the service's own turn."""

import asyncio
import contextlib
import contextvars
import sys

import pytest

from congress_dse import d6cage, deepsix, exceptions, facts
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


def refused(host, *ask):
    """Why an ask is refused."""
    with pytest.raises(exceptions.RequestFailed) as refusal:
        host.ask(*ask)
    return refusal.value


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


class Panic(BaseException):
    """As extensions in other languages raise it."""


@pytest.mark.parametrize("raised", [SystemExit(3), Panic("lost"), asyncio.CancelledError("none")])
@pytest.mark.parametrize("waits", [True, False])
def test_whatever_a_handler_raises_ends_nothing_but_its_message(host, raised, waits):
    class Raising(deepsix.deepSix):
        async def awaited(self, msg):
            await asyncio.sleep(0)
            return self.plain(msg)

        def plain(self, msg):
            if msg.dataindex == "raise":
                raise raised
            return "alive"

    Raising.reqhandler = Raising.awaited if waits else Raising.plain
    service = host.createservice("s", factory=Raising)
    with pytest.raises(exceptions.RequestFailed, match=type(raised).__name__):
        host.ask("s", "raise", timeout_s=5)
    assert host.ask("s", "else") == "alive"
    assert host.service_object("s") is service
    assert service.statistics().failed == 1


def test_a_task_that_exits_ends_itself_alone(host, make, wait_for):
    async def exits():
        sys.exit("not the process")

    class Leaving(Async):
        async def cmdhandler(self, msg):
            self.go = asyncio.create_task(exits())

    service = host.createservice("s", factory=Leaving)
    host.tell("s", "x")
    wait_for(lambda: service.go and service.go.done())
    assert isinstance(service.go.exception(), SystemExit)
    make("other")
    assert host.ask("other", "ab") == "abab"


def test_what_is_spawned_and_exits_ends_alone(host, make):
    def leaves():
        sys.exit("not the process")

    spawned = make("s").spawn(leaves)
    with pytest.raises((SystemExit, exceptions.EngineError), match="not the process"):
        spawned.wait()
    assert host.ask("s", "ab") == "abab"


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


def test_a_dialect_of_a_driver_s_own_may_be_a_coroutine(host, wait_for):
    class Dialect(Async):
        async def prepush_processor(self, data, dataindex, type=None):
            await asyncio.sleep(0)
            return sorted(data)

        async def reqhandler(self, msg):
            self.publish("mine", msg.body)

    a, got = host.createservice("a", factory=Dialect), []
    b = host.createservice("b", factory=deepsix.deepSix)
    b.subscribe("a", "mine", callback=lambda msg: got.append(msg.body.data))
    wait_for(lambda: a.subscriber_list().count(("b", "mine")))
    a.do(lambda: a.publish("mine", {2, 1}))
    wait_for(lambda: got and got[-1] == [1, 2])
    b.request("a", "x", args={4, 3})  # published by a coroutine
    wait_for(lambda: got[-1] == [3, 4])


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


def test_who_asked_a_service_that_is_ended_is_told_at_once(host, make, wait_for):
    class Hanging(Async):
        async def reqhandler(self, msg):
            self.seen.append(msg.dataindex)
            await asyncio.sleep(3600)

    service = host.createservice("s", factory=Hanging)
    asking = runtime.spawn(refused, host, "s", "x")
    wait_for(lambda: service.seen)
    host.deleteservice("s", step_s=0.01)
    assert "stopped" in str(asking.wait())


def test_a_coroutine_that_waits_for_the_end_of_its_own_service_is_ended_with_it(host):
    class Leaving(Async):
        async def reqhandler(self, msg):
            await self.waiting(host.deleteservice, "s", 0.01)

    host.createservice("s", factory=Leaving)
    assert "stopped" in str(refused(host, "s", "x"))
    assert host.service_object("s") is None


def test_the_end_of_a_driver_waits_for_the_cleanup_of_its_poll_and_its_actions(host, wait_for):
    seen = []

    class Cleaning(Polled):
        async def update_from_datasource(self):
            await self.double("poll")

        async def double(self, text):
            try:
                seen.append(text)
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0.01)
                seen.append(f"{text} is over")

    host.createservice("d", factory=Cleaning, args={"poll_time": 60})
    asking = runtime.spawn(refused, host, "d", "double", {"positional": "a"})
    wait_for(lambda: len(seen) == 2)
    host.deleteservice("d")
    assert sorted(seen) == ["a", "a is over", "poll", "poll is over"]
    assert "d has ended" in str(asking.wait())


def test_the_stop_of_a_bus_keeps_its_deadline_with_many_that_do_not_end(wait_for):
    class Stubborn(Async):
        async def cmdhandler(self, msg):
            self.go = asyncio.Event()
            while not self.go.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await self.go.wait()

    bus = d6cage.d6Cage(name="stubborn")
    services = [bus.createservice(f"s{n}", factory=Stubborn) for n in range(5)]
    for service in services:
        bus.tell(service.name, "x")
    wait_for(lambda: all(service.go for service in services))
    begun = runtime.now()
    assert len(bus.d6stop(deadline_s=0.5)) == 5
    assert runtime.now() - begun < 2.0  # each alone would have two seconds, and two more
    for service in services:
        runtime.loop().call_soon(service.go.set)
    coroutines = runtime.coroutines
    wait_for(lambda: not coroutines.stragglers and not coroutines.draining)


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


def test_the_stack_of_a_service_is_that_of_its_coroutine(host, wait_for):
    native = runtime.unpatched("threading")
    seen, blocks, go = [], native.Event(), native.Event()

    class Deep(Async):
        async def cmdhandler(self, msg):
            await self.inner()
            blocks.set()
            go.wait(20)

        async def inner(self):
            self.go = asyncio.Event()
            await self.go.wait()

    service, hub = host.createservice("s", factory=Deep), native.get_ident()

    def look():
        blocks.wait(20)
        seen.extend(facts.stack(host, "s", hub))
        go.set()

    host.tell("s", "x")
    wait_for(lambda: service.go)
    (waiting,) = facts.stack(host, "s", hub)
    assert (waiting["running"], "in inner" in waiting["stack"]) == (False, True)
    native.Thread(target=look).start()
    runtime.loop().call_soon(service.go.set)
    wait_for(lambda: seen)
    assert (seen[0]["running"], "in cmdhandler" in seen[0]["stack"]) == (True, True)


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


def test_a_poll_that_raises_what_is_no_exception_is_tried_again(host, wait_for):
    class Panicking(PollingDataSourceDriver):
        polls = 0

        async def update_from_datasource(self):
            self.polls += 1
            if self.polls == 1:
                raise Panic("once")
            self.state["t"] = {(self.polls,)}

    args = {"poll_time": 0.02, "retry_max": 0.02}
    driver = host.createservice("d", factory=Panicking, args=args)
    wait_for(lambda: driver.state and not driver.stale)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_coroutine_runs_a_program_and_reads_what_it_says(host):
    class Running(deepsix.deepSix):
        async def reqhandler(self, msg):
            pipe = asyncio.subprocess.PIPE
            program = (sys.executable, "-c", "import sys; sys.stdout.write(input() * 50_000)")
            process = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe)
            said, _ = await process.communicate(b"ab\n")
            return process.returncode, len(said)

    host.createservice("s", factory=Running)
    assert host.ask("s", "x") == (0, 100_000)
