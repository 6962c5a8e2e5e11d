"""Greenthreads: what runs an actor and waits for it on eventlet, in two ways.

``green``: eventlet's own hub, and a standard library that it has patched. ``mixed``: its hub on
asyncio, and nothing patched. An actor is a GreenThread that is switched to only when it has
something to do.
"""

import asyncio
import contextlib
import logging
import os
import traceback
import warnings
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from greenlet import GreenletExit, getcurrent, greenlet

with warnings.catch_warnings():
    # Eventlet says at import that it is retired. Whoever chose this runtime knows; the way off it
    # is another runtime of ours, and every command of ours would open with the warning.
    warnings.filterwarnings("ignore", message="\nEventlet is deprecated")
    import eventlet
    from eventlet import greenthread, hubs
    from eventlet.hubs import asyncio as hubs_asyncio

from congress_dse import exceptions
from congress_dse.runtime import (
    aio_hub,
    choice,
    clock,
    green_io,
    green_patch,
    hub_loop,
    native,
    turns,
    waiting,
)
from congress_dse.runtime.coroutines import Coroutines, Interop, bring, bring_first_run
from congress_dse.runtime.mailbox import Mailbox
from congress_dse.runtime.runqueue import RunQueue
from congress_dse.runtime.watchdog import Watchdog

NAME = choice.chosen()
PATCHED = NAME == choice.GREEN  # a synchronous library waits in greenthreads

LOG = logging.getLogger(__name__)

_native_thread = eventlet.patcher.original("_thread")
_HUB_FILE = str(Path(eventlet.__file__).parent / "hubs" / "asyncio.py")


def _log_with_native_locks() -> None:
    """Give logging back the locks that threads share.

    A patched lock that a native thread and the hub's both want is never handed over, and a driver's
    blocking call may log. A native one is held for one record, and no greenthread waits in it for
    another: they are one thread to it.
    """
    lock = eventlet.patcher.original("threading").RLock

    def create(handler: logging.Handler) -> None:
        handler.lock = lock()

    logging.Handler.createLock = create  # type: ignore[method-assign,assignment]
    inside = vars(logging)  # it has no public words for these two
    inside["_lock"] = lock()
    for made in [ref() for ref in inside["_handlerList"]]:
        if made is not None:
            made.lock = lock()


if PATCHED:
    # A synchronous driver waits in sockets, sleeps and locks of the standard library, and here
    # that must let others run. Congress's own code expects the import of its DSE to see to it.
    if isinstance(hubs.get_hub(), hubs_asyncio.Hub):
        raise exceptions.ConfigError(
            "runtime green: eventlet's hub is that of asyncio, by EVENTLET_HUB or by a call of "
            "use_hub; it cannot run coroutines beside a patched library: choose runtime mixed, or "
            "another hub"
        )
    green_patch.patch()
    _log_with_native_locks()
else:
    os.environ["EVENTLET_HUB"] = "asyncio"
    hubs.use_hub("asyncio")

Killed = GreenletExit
# What the code of a service may raise and live on: its own time limits are no Exception, and an
# exit of one service is not that of the process.
Failure = (Exception, asyncio.CancelledError, eventlet.Timeout, SystemExit)


class _Present:
    """What belongs to the hub of the process: its run queue, and its loop once there is one."""

    queue: RunQueue | None = None
    hub: Any = None
    loop: Any = None


def run_queue() -> RunQueue:
    """The run queue of the process's hub; to a native thread as well."""
    queue = _Present.queue
    # A native thread that asked for its hub would be made one, with files of its own.
    if queue is not None and (queue.foreign() or _Present.hub is hubs.get_hub()):
        return queue
    hub = hubs.get_hub()
    try:
        return hub.congress_dse_run_queue  # type: ignore[no-any-return]
    except AttributeError:
        if clock.virtual:
            _leap_in_time(hub)
        if not PATCHED:
            hub.loop.run_until_complete = partial(_until_complete, hub.loop)
        queue = RunQueue(hub, _native_thread.get_ident, _way_in(hub))
        _Present.queue = hub.congress_dse_run_queue = queue
        _Present.hub = hub
        return queue


def _way_in(hub: Any) -> Callable[..., Any]:
    """How a native thread has a call made in the thread of `hub`."""
    if not PATCHED:
        return hub.loop.call_soon_threadsafe  # type: ignore[no-any-return]
    way_in = green_io.WayIn(hub)
    hub.congress_dse_way_in = way_in.fd
    return way_in.call


def _until_complete(loop: Any, main: Any) -> Any:
    """Run the loop of eventlet's hub on asyncio, whose `main` it is, as `aio_hub.run_on` does."""
    task = loop.create_task(main)
    task.add_done_callback(lambda _: loop.stop())
    aio_hub.run_on(loop, task.done)
    return task.result()


def _leap_in_time(hub: Any) -> None:
    """Put a hub under virtual time."""
    hub.clock = clock.now
    if PATCHED:
        hub.wait = clock.leaping(hub.wait, lambda: hub.next_timers, lambda: _files(hub))
    else:
        aio_hub.make_virtual(hub.loop)


def _files(hub: Any) -> frozenset[int]:
    """The descriptors at which others than the hub and its loop wait."""
    watched = {*hub.listeners[hub.READ], *hub.listeners[hub.WRITE]}
    own = {hub.congress_dse_way_in}
    if _Present.loop is not None:
        own.add(_Present.loop.wakes)
    return frozenset(watched - own)


def foreign() -> bool:
    """Whether the caller is a native thread beside that of the hub."""
    return run_queue().foreign()


def loop() -> asyncio.AbstractEventLoop:
    """The loop on which coroutines run; made for the first of them."""
    if not PATCHED:
        run_queue()  # and with it the hub, which is that of the process to a native thread
        return _Present.hub.loop  # type: ignore[no-any-return]
    if _Present.loop is None or _Present.loop.is_closed():
        _Present.loop = hub_loop.HubLoop(_LoopWaiter)
    return _Present.loop  # type: ignore[no-any-return]


def in_loop() -> bool:
    """Whether the caller is a coroutine, or is called by one."""
    if PATCHED:
        return _Present.loop is not None and getcurrent() is _Present.loop.greenlet
    if _Present.hub is None or getcurrent() is not _Present.hub.greenlet:
        return False
    hub = _Present.hub
    task = asyncio.current_task(hub.loop)
    return task is not None and not _is_hub(task)


def _is_hub(task: Any) -> bool:
    """Whether a task is the asyncio hub itself."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename == _HUB_FILE


def may_wait() -> bool:
    """Whether the caller can wait: everybody but the hub and coroutines can."""
    current, hub = getcurrent(), _Present.hub
    if hub is not None and current is hub.greenlet:
        return False
    return _Present.loop is None or current is not _Present.loop.greenlet


class Waiter(waiting.Waiter):
    """One value, waited for by one greenthread or thread."""

    __slots__ = ()
    queue = staticmethod(run_queue)
    native_lock = staticmethod(_native_thread.allocate_lock)
    may_wait = staticmethod(may_wait)


class _LoopWaiter(Waiter):
    """What the loop waits with for its files and its time; it alone waits in its greenlet."""

    __slots__ = ()
    may_wait = staticmethod(lambda: True)


class Lock(waiting.Lock):
    """A lock whose owner may wait while it has it."""

    waiter = Waiter
    native_lock = staticmethod(_native_thread.allocate_lock)


coroutines = Coroutines(loop, Waiter, in_loop)
yield_future = Interop(coroutines, loop).yield_future


class Actor(turns.Turns, greenthread.GreenThread):  # type: ignore[misc]
    """The base of every service: a greenthread with a mailbox."""

    failures_are: ClassVar[tuple[type[BaseException], ...]] = Failure
    killed_is: ClassVar[type[BaseException]] = GreenletExit
    not_its_own: ClassVar[tuple[str, ...]] = (
        *turns.Turns.not_its_own,
        str(Path(eventlet.__file__).parent),
    )

    def __init__(self) -> None:
        self._hub = hubs.get_hub()
        greenthread.GreenThread.__init__(self, self._hub.greenlet)
        self._ready = run_queue()
        self._parked = False
        self._be_idle()

    def resume(self) -> None:
        """Give the actor its turn; called by the run queue alone, in the hub's greenlet."""
        if not self.begun:
            if self.dead:
                return
            self.begun = True
            self.switch(self._loop, (), {})
        elif self._parked:
            self.switch()

    def own_turn(self) -> bool:
        """Whether the caller runs in this actor's own turn."""
        return getcurrent() is self or (in_loop() and coroutines.owner() is self)

    def finish(self, answer: Any) -> Any:
        """What a call of the service's own code answered; a coroutine is awaited in this turn."""
        if answer is None:
            return None
        if getcurrent() is self:
            return coroutines.finish_turn(answer, self)
        return coroutines.finish(answer, self)

    def kill(self, *error: Any) -> None:
        """End it; from its own coroutine, or from a native thread, as soon as can be."""
        if foreign():
            from_thread(self.kill, *error)
        elif in_loop() and coroutines.owner() is self:
            self._hub.schedule_call_global(0, greenthread.kill, self, *error)
        else:
            super().kill(*error)

    def _loop(self) -> None:
        try:
            if isinstance(self.inbox, Mailbox):
                self._loop_mailbox(self.inbox)
            else:
                self._loop_queue(self.inbox)
        except (*Failure, GreenletExit) as cause:
            # Returning, not raising, lets the greenthread be collected and the hub be quiet.
            self.cause = cause
        self.running = False
        self.release()

    def wait(self) -> Any:
        """Wait for the end; raises what the service died of, GreenletExit when it was killed."""
        result = super().wait()
        if self.cause is not None:
            raise self.cause
        return result

    def _loop_mailbox(self, mailbox: Mailbox) -> None:
        hub, queue = self._hub, self._ready
        ready = queue.ready
        while True:
            more = self._take_turns(mailbox)
            if not self.running:
                return
            if more:
                queue.add(self)
            self._parked = True
            try:
                if queue.left > 0 and ready and ready[0]._parked:
                    ready.popleft().switch()  # at once, and not by way of the hub
                else:
                    hub.greenlet.switch()  # it is alive: it gave the actor this turn
            finally:
                self._parked = False

    def _loop_queue(self, queue: Any) -> None:
        """The same over a queue that old code brought along."""
        mailbox = Mailbox(self.name)
        while self.running:
            mailbox.last(queue.get())
            self._take_turns(mailbox)
            queue.task_done()

    def _spawned(self, call: Callable[..., Any], *args: Any) -> Any:
        return spawn(call, *args)

    def _is_current(self, thread: Any) -> bool:
        return getcurrent() is thread

    def _has_no_turn(self) -> bool:
        return self._parked

    def _stack(self) -> traceback.StackSummary:
        return coroutines.stack(self)


def sleep(seconds: float = 0) -> None:
    """Let others run for `seconds`."""
    if foreign():
        Waiter().wait(seconds)
    elif not may_wait():
        raise RuntimeError("a coroutine cannot sleep so; await asyncio.sleep")
    else:
        eventlet.sleep(seconds)


def current_actor() -> Actor | None:
    """The actor in whose own turn the caller runs."""
    current = getcurrent()
    if isinstance(current, Actor):
        return current
    owner = coroutines.owner() if in_loop() else None
    return owner if isinstance(owner, Actor) else None


def spawn(call: Callable[..., Any], *args: Any) -> Any:
    """Run `call(*args)` in a greenthread of its own; the caller owns it."""
    if foreign():
        return from_thread(eventlet.spawn, _finished, call, *args)
    return eventlet.spawn(_finished, call, *args)


def _finished(call: Callable[..., Any], *args: Any) -> Any:
    try:
        answer = call(*args)
        return answer if answer is None else coroutines.finish(answer)
    except SystemExit as error:  # eventlet would end the process by it
        raise exceptions.EngineError(f"SystemExit: {error}") from error


def from_thread(call: Callable[..., Any], *args: Any) -> None:
    """Have `call(*args)` made in the hub's thread, from any other; it must not wait."""
    run_queue().from_thread(call, *args)


threads = native.Threads(Waiter, _native_thread)


def in_thread(call: Callable[..., Any], *args: Any) -> Any:
    """Call `call(*args)` in a native thread and wait for it here: for what would block the hub."""
    return call(*args) if foreign() else threads.call(call, args)


def call_later(delay_s: float, call: Callable[..., Any], *args: Any) -> Any:
    """Call `call(*args)` from the hub, `delay_s` from now; it must not wait. Returns a handle."""
    return hubs.get_hub().schedule_call_global(delay_s, call, *args)


def wait_dead(actor: Actor, timeout_s: float) -> bool:
    """Wait until the greenthread of `actor` has ended; return whether it did in time."""
    if actor.dead:
        return True
    waiter = Waiter()
    actor.link(lambda _: waiter.send())
    return waiter.wait(timeout_s)


def deadline(seconds: float, error: BaseException) -> Any:
    """A context in which `error` is raised once `seconds` have passed."""
    if foreign() or not may_wait():
        return contextlib.nullcontext()
    return eventlet.Timeout(seconds, error)


def wrap_greenthread(thread: Any, loop: Any = None) -> asyncio.Future[Any]:
    """A future of a greenthread, or of a greenlet that has not begun.

    Raises TypeError for anything else, RuntimeError for a greenlet that runs or is over.
    """
    future = Interop(coroutines, globals()["loop"]).future_of(loop)
    if not isinstance(thread, greenlet):
        raise TypeError(f"a greenthread or greenlet is needed, not {type(thread).__name__}")
    if isinstance(thread, greenthread.GreenThread):
        if not thread and not thread.dead:
            thread.run = _quiet(thread)  # its error is the future's, and nobody prints it
        thread.link(_deliver, future)
    else:
        bring_first_run(future, thread)
    return future


def _quiet(thread: Any) -> Callable[..., Any]:
    main = thread.run

    def run(*args: Any, **named: Any) -> Any:
        with contextlib.suppress(Exception):
            return main(*args, **named)

    return run


def _deliver(thread: Any, future: asyncio.Future[Any]) -> None:
    bring(future, _outcome, thread)


def _outcome(thread: Any) -> Any:
    outcome = thread.wait()
    if isinstance(outcome, GreenletExit):
        raise outcome  # so it ends for eventlet; for a future it is a cancellation
    return outcome


def beside(call: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """A call that may wait, for a coroutine to await; cancelled, it is killed."""
    made = asyncio.Future[Any](loop=loop())
    thread = eventlet.spawn(bring, made, copy_context().run, call, *args)
    made.add_done_callback(lambda done: thread.kill() if done.cancelled() else None)
    return made


def watchdog(patience_s: float) -> Watchdog:
    """Have a native thread name whoever blocks the hub for longer than `patience_s`."""
    made = Watchdog(run_queue(), _native_thread, patience_s)
    made.start()
    return made
