"""Greenlets wait for futures, and futures are made of greenlets: in every runtime."""

import asyncio
import contextlib
import gc
import os
import threading
from pathlib import Path

import greenlet as raw
import pytest

from congress_dse import deepsix, interop
from congress_dse.runtime import chosen as runtime
from tests.support import modes


async def twice(value, seconds=0.0):
    await asyncio.sleep(seconds)
    if isinstance(value, Exception):
        raise value
    return value * 2


def test_a_greenlet_waits_for_a_coroutine_and_for_a_future():
    assert interop.yield_future(twice("ab")) == "abab"
    future = interop.loop().create_future()
    interop.loop().call_soon(future.set_result, 5)
    assert interop.yield_future(future) == 5
    assert interop.yield_future(future, loop=interop.loop()) == 5


def test_what_a_coroutine_raises_is_raised_at_who_waits():
    with pytest.raises(KeyError, match="no"):
        interop.yield_future(twice(KeyError("no")))


@pytest.mark.parametrize("wrong", [5, None, "coroutine", lambda: None])
def test_what_is_neither_future_nor_coroutine_is_refused(wrong):
    with pytest.raises(TypeError):
        interop.yield_future(wrong)


def test_another_loop_is_refused():
    other = asyncio.new_event_loop()
    try:
        with pytest.raises(ValueError, match="loop"):
            interop.yield_future(twice(1), loop=other)
        with pytest.raises(ValueError, match="loop"):
            interop.yield_future(other.create_future())
        with pytest.raises(ValueError, match="loop"):
            interop.wrap_greenthread(runtime.spawn(lambda: 1), loop=other)
        runtime.sleep(0)
    finally:
        other.close()


def test_the_loop_s_own_greenlet_cannot_wait_for_it():
    async def inside():
        with pytest.raises(RuntimeError, match="own greenlet"):
            interop.yield_future(twice(1))
        with pytest.raises(RuntimeError):
            runtime.sleep(0.001)
        return "refused"

    assert interop.yield_future(inside()) == "refused"


async def hangs(seen):
    """Never ends, and takes a moment for its cleanup."""
    try:
        seen.append("hangs")
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.01)
        seen.append("drained")


def test_a_kill_cancels_what_is_waited_for_and_drains_its_cleanup():
    seen = []
    thread = runtime.spawn(interop.yield_future, hangs(seen))
    while not seen:
        runtime.sleep(0)
    thread.kill()
    with contextlib.suppress(runtime.Killed):
        thread.wait()
    assert seen == ["hangs", "drained"]
    assert not runtime.coroutines.stragglers


def test_a_deadline_leaves_no_task_behind():
    seen = []

    async def hangs():
        try:
            await asyncio.sleep(3600)
        finally:
            seen.append("over")

    late = TimeoutError("late")
    with pytest.raises(TimeoutError, match="late"), runtime.deadline(0.01, late):
        interop.yield_future(hangs())
    assert seen == ["over"]
    assert not [t for t in asyncio.all_tasks(interop.loop()) if "hangs" in repr(t)]


def test_a_kill_before_the_first_step_closes_the_coroutine():
    thread = runtime.spawn(lambda: interop.yield_future(twice(1)))
    thread.kill()
    runtime.sleep(0)
    gc.collect()  # a coroutine that was never awaited would warn, and fail this test
    task = runtime.coroutines.task(twice(2))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        runtime.coroutines.wait(task)


def test_a_coroutine_awaits_what_was_spawned():
    def works():
        runtime.sleep(0.001)
        return 5

    def fails():
        raise KeyError("no")

    async def both():
        good = await interop.wrap_greenthread(runtime.spawn(works))
        with pytest.raises(KeyError):
            await interop.wrap_greenthread(runtime.spawn(fails))
        return good, await interop.beside(works)

    assert interop.yield_future(both()) == (5, 5)


def test_a_failure_is_the_future_s_and_nobody_prints_it(capfd):
    def fails():
        raise KeyError("printed nowhere")

    future = interop.wrap_greenthread(runtime.spawn(fails))
    with pytest.raises(KeyError):
        interop.yield_future(future)
    assert "printed nowhere" not in capfd.readouterr().err


def test_the_future_of_what_was_killed_is_cancelled():
    thread = runtime.spawn(runtime.sleep, 3600)
    future = interop.wrap_greenthread(thread)
    runtime.sleep(0)
    thread.kill()
    with pytest.raises(asyncio.CancelledError):
        interop.yield_future(future)


def test_a_bare_greenlet_is_wrapped_before_it_begins_and_not_after():
    bare = raw.greenlet(lambda text: text * 2)
    future = interop.wrap_greenthread(bare)
    bare.switch("ab")
    assert interop.yield_future(future) == "abab"
    with pytest.raises(RuntimeError, match="over"):
        interop.wrap_greenthread(bare)
    with pytest.raises(RuntimeError, match="runs"):
        interop.wrap_greenthread(raw.getcurrent())
    with pytest.raises(TypeError):
        interop.wrap_greenthread("greenlet")


@modes.on_eventlet
def test_what_spawn_n_made_is_wrapped_too():
    import eventlet

    future = interop.wrap_greenthread(eventlet.spawn_n(lambda: 7))
    assert interop.yield_future(future) == 7


def test_a_cancelled_future_kills_the_call_that_it_waits_for():
    ended = []

    def hangs():
        try:
            runtime.sleep(3600)
        finally:
            ended.append(True)

    async def gives_up():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(interop.beside(hangs), 0.05)

    interop.yield_future(gives_up())
    while not ended:
        runtime.sleep(0)


class Adding(deepsix.deepSix):
    total = 0

    def cmdhandler(self, msg):
        self.total += msg.body

    def reqhandler(self, msg):
        return msg.body


def test_native_threads_call_into_services(host, settle, wait_for):
    """Scenario 17: no call from a native thread finds itself in another thread's greenlet."""
    service = host.createservice("s", factory=Adding)
    native, errors = runtime.unpatched("threading"), []

    def work(many):
        try:
            for n in range(many):
                host.tell("s", "x", 1)
                if n % 100 == 0:
                    assert host.ask("s", "x", n, timeout_s=60) == n
        except BaseException as error:
            errors.append(error)

    threads = [native.Thread(target=work, args=(500,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: not any(t.is_alive() for t in threads), within_s=60)
    settle(host)
    assert errors == []
    assert service.total == 2000


def test_who_is_woken_by_a_timer_may_cancel_others_that_are_due_too():
    fired = []

    def others_come_due(timers):
        timers.extend(runtime.call_later(0.001, fired.append, None) for _ in range(3))
        end = runtime.now() + 0.004
        while runtime.now() < end:
            continue

    for _ in range(20):
        timers = []
        runtime.call_later(0, others_come_due, timers)
        runtime.sleep(0.001)
        before = len(fired)
        for timer in timers:
            timer.cancel()
        runtime.sleep(0.002)
        assert (len(timers), len(fired)) == (3, before)


def test_a_timer_of_the_loop_may_kill_what_waits():
    """On uvloop, where none may be switched to from there, it is over a moment later."""
    seen, over, thread = [], runtime.Waiter(), runtime.spawn(runtime.sleep, 60)
    thread.link(over.send)
    runtime.sleep(0)

    def kill():
        thread.kill()
        seen.append(thread.dead)

    interop.loop().call_later(0.001, kill)
    assert over.wait(10)
    assert modes.EVENTLET or seen == [not modes.UVLOOP]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are not to be seen")
def test_a_native_thread_that_waits_for_ours_opens_no_files(wait_for):
    native, inside = runtime.unpatched("threading"), []
    go = native.Event()

    def work():
        inside.append(runtime.finish(twice(1)))
        go.wait(60)

    def files():
        return len(list(Path("/proc/self/fd").iterdir()))

    assert runtime.finish(twice(1)) == 2  # there is a loop
    before = files()
    threads = [native.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: inside == [2] * 20)
        assert files() < before + 10
    finally:
        go.set()
    wait_for(lambda: not any(t.is_alive() for t in threads))


def test_a_native_thread_waits_for_coroutines_and_futures(wait_for):
    native, inside = runtime.unpatched("threading"), []

    async def who():
        return native.get_ident()

    def work():
        inside.append(interop.yield_future(who()))
        inside.append(interop.yield_future(future))

    assert interop.yield_future(twice(1)) == 2  # there is a loop
    future = runtime.coroutines.task(twice("ab", 0.01))
    thread = native.Thread(target=work)
    thread.start()
    wait_for(lambda: not thread.is_alive())
    assert inside == [native.get_ident(), "abab"]


def test_a_coroutine_that_a_native_thread_waits_for_ends_with_that_wait(wait_for):
    seen = []
    waits = runtime.spawn(runtime.in_thread, lambda: interop.yield_future(hangs(seen)))
    wait_for(lambda: seen)
    waits.kill()
    wait_for(lambda: seen == ["hangs", "drained"])


class Witness(deepsix.deepSix):
    """Counts, and notes the native threads that its handlers ran in."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.told, self.threads = [], set()

    def cmdhandler(self, msg):
        self.threads.add(threading.get_native_id())
        self.told.append(msg.body)

    def reqhandler(self, msg):
        self.threads.add(threading.get_native_id())
        return msg.body


class AwaitingWitness(Witness):
    async def cmdhandler(self, msg):
        await asyncio.sleep(0)
        super().cmdhandler(msg)

    async def reqhandler(self, msg):
        await asyncio.sleep(0)
        return super().reqhandler(msg)


@pytest.mark.timeout(600)
@pytest.mark.skipif(not os.environ.get("CONGRESS_DSE_FULL"), reason="takes seconds")
def test_a_hundred_thousand_calls_of_native_threads_lose_and_mix_up_nothing(host, settle, wait_for):
    """Scenario 17, whole: tells and asks, to plain and coroutine handlers, from eight threads."""
    names, each = ("a", "b", "c", "d"), 12_500
    kinds = (Witness, AwaitingWitness, Witness, AwaitingWitness)
    services = [host.createservice(n, factory=k) for n, k in zip(names, kinds, strict=True)]
    native, errors = runtime.unpatched("threading"), []

    def work(me):
        try:
            for n in range(each):
                if n % 2:
                    assert host.ask(names[n // 2 % 4], "x", (me, n), timeout_s=60) == (me, n)
                else:
                    host.tell(names[n // 2 % 4], "x", (me, n))
        except BaseException as error:
            errors.append(error)

    threads = [native.Thread(target=work, args=(me,)) for me in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: not any(t.is_alive() for t in threads), within_s=500)
    settle(host)
    assert errors == []
    told = sorted(body for service in services for body in service.told)
    assert told == [(me, n) for me in range(8) for n in range(0, each, 2)]
    for service in services:  # each thread's in its order, all in the hub's thread
        assert service.threads == {threading.get_native_id()}
        for me in range(8):
            mine = [n for who, n in service.told if who == me]
            assert mine == sorted(mine)
    assert host.asks.waits() == []


def test_a_call_that_hangs_in_a_native_thread_holds_up_nobody(wait_for):
    native, inside = runtime.unpatched("threading"), []
    go = native.Event()

    def hangs():
        inside.append(native.get_ident())
        go.wait(60)
        return "came back"

    calls = [runtime.spawn(runtime.in_thread, hangs) for _ in range(30)]
    wait_for(lambda: len(inside) == 30)
    assert len(set(inside)) == 30
    go.set()
    assert [call.wait() for call in calls] == ["came back"] * 30


def test_a_wait_of_ours_in_a_native_thread_ends_with_who_waits_for_it(wait_for):
    ended = []

    def sleeps():
        try:
            runtime.sleep(3600)
        finally:
            ended.append(threading.get_native_id())

    thread = runtime.spawn(runtime.in_thread, sleeps)
    runtime.sleep(0.01)
    thread.kill()
    wait_for(lambda: ended)
