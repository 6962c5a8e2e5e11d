"""Plain asyncio: what runs an actor and waits for it, without eventlet.

An actor has no greenlet and no task of its own. Those that are ready are given their turns by one
runner, a greenlet, and only one whose turn has to wait keeps its runner until the turn is over;
another goes on with the rest. So a plain handler may ask and sleep as it does on greenthreads, and
a coroutine handler is awaited in its actor's turn.
"""

import asyncio
import logging
import traceback
from _thread import allocate_lock, get_ident
from collections.abc import Callable
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any, ClassVar

from greenlet import GreenletExit, getcurrent, greenlet

from congress_dse.runtime import choice, native, turns, waiting
from congress_dse.runtime.aio_hub import Hub, Hubs, get_hub
from congress_dse.runtime.coroutines import Coroutines, Interop, bring_first_run
from congress_dse.runtime.mailbox import Mailbox
from congress_dse.runtime.runqueue import BATCH, RunQueue
from congress_dse.runtime.watchdog import Watchdog

LOG = logging.getLogger(__name__)

NAME = choice.chosen()
PATCHED = False  # a synchronous library blocks everybody: it belongs in a thread

Killed = GreenletExit
Failure = (Exception, asyncio.CancelledError, SystemExit)
_ENDS = (*Failure, GreenletExit)

_idle_runners: list["Runner"] = []


class AioRunQueue(RunQueue):
    """A run queue whose actors share runners."""

    __slots__ = ()

    def drain(self) -> None:
        """Resume those that are ready, a batch at most: actors by a runner, others directly."""
        self.attend()
        ready, self.left = self.ready, BATCH
        try:
            while ready and self.left > 0:
                if ready[0].switches:
                    self.left -= 1
                    ready.popleft().resume()
                else:
                    runner = _idle_runners.pop() if _idle_runners else Runner(self)
                    runner.switch()
        finally:
            self.left = 0
            self.drained()


class Runner(greenlet):  # type: ignore[misc]
    """Gives actors their turns, as long as there are any and none has to wait."""

    actor: "Actor | None" = None

    def __init__(self, queue: AioRunQueue) -> None:
        super().__init__(parent=queue._hub.greenlet)
        self._queue = queue
        self._home = queue._hub.greenlet

    def run(self) -> None:  # noqa: C901 (a call more would cost each message)
        """Give turns, and rest where there are none to be given.

        Context variables are the actor's own, as they are on a greenthread: what its handler sets
        is there for its next message, and for nobody else.
        """
        queue = self._queue
        ready = queue.ready
        while True:
            while ready and queue.left > 0 and not ready[0].switches:
                actor = ready.popleft()
                if actor.dead or actor._runner is not None:
                    continue
                if actor._context is not None:
                    self.gr_context = actor._context
                self.actor, actor.begun, actor._runner = actor, True, self
                try:
                    more = actor._take_turns(actor.inbox)
                except _ENDS as cause:
                    actor.cause, actor.running, more = cause, False, False
                finally:
                    actor._runner = self.actor = None
                    context = self.gr_context
                    if context is not None:
                        actor._context, self.gr_context = context, None
                if more:
                    queue.add(actor)
                elif not actor.running:
                    actor._end()
            if self._home is not queue._hub.greenlet or len(_idle_runners) >= BATCH:
                return
            _idle_runners.append(self)
            self._home.switch()


def run_queue() -> RunQueue:
    """The run queue of the process's hub."""
    hub = get_hub()
    try:
        return hub.run_queue  # type: ignore[attr-defined, no-any-return]
    except AttributeError:
        _idle_runners.clear()
        queue = AioRunQueue(hub, get_ident, hub.loop.call_soon_threadsafe)
        hub.run_queue = queue  # type: ignore[attr-defined]
        return queue


def foreign() -> bool:
    """Whether the caller is a native thread beside that of the hub."""
    hub = Hubs.present
    return hub is not None and hub.thread != get_ident()


def in_loop() -> bool:
    """Whether the caller runs in the loop itself, where nothing can wait but by ``await``."""
    hub = Hubs.present
    return hub is not None and getcurrent() is hub.greenlet


def may_wait() -> bool:
    """Whether the caller can wait: everybody but the loop's own callbacks and coroutines can."""
    hub = Hubs.present
    return hub is None or getcurrent() is not hub.greenlet


class Waiter(waiting.Waiter):
    """One value, waited for by one greenlet or thread."""

    __slots__ = ()
    queue = staticmethod(run_queue)
    native_lock = staticmethod(allocate_lock)
    may_wait = staticmethod(may_wait)


class Lock(waiting.Lock):
    """A lock whose owner may wait while it has it."""

    waiter = Waiter
    native_lock = staticmethod(allocate_lock)


def loop() -> asyncio.AbstractEventLoop:
    """The loop on which coroutines run."""
    return get_hub().loop


coroutines = Coroutines(loop, Waiter, in_loop)
yield_future = Interop(coroutines, loop).yield_future


class Thread(greenlet):  # type: ignore[misc]
    """A call that runs beside others, and may wait; as a GreenThread is."""

    switches = True

    def __init__(self, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        super().__init__(parent=get_hub().greenlet)
        self._call = (call, args)
        self._links: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._over = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._waited_for = False

    def run(self) -> None:
        call, args = self._call
        try:
            self._result = coroutines.finish(call(*args))
        except GreenletExit as error:
            self._result = error
        except BaseException as error:
            self._error = error
            if not self._waited_for:
                LOG.error("what was spawned beside others failed", exc_info=error)
            if not isinstance(error, Failure):
                raise
        finally:
            self._end()

    def resume(self) -> None:
        if not self.dead and not self._over:
            self.switch()

    def link(self, call: Callable[..., Any], *args: Any) -> None:
        """Have ``call(thread, *args)`` made at the end, at once if it is over."""
        if self._over:
            call(self, *args)
        else:
            self._links.append((call, args))

    def wait(self) -> Any:
        """Wait for the end; the result, GreenletExit of one that was killed. Raises its error."""
        if not self._over:
            self._waited_for = True
            waiter = Waiter()
            self.link(lambda _: waiter.send())
            waiter.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def kill(self, error: type[BaseException] | BaseException = GreenletExit) -> None:
        """End it, where it waits; before it began it never begins."""
        if self._over or self.dead:
            return
        if self.gr_frame is not None:  # it has begun, and waits
            throw(self, error)
        else:
            self._result = _made(error)
            self._end()

    def _end(self) -> None:
        self._over = True
        links, self._links = self._links, []
        for call, args in links:
            call(self, *args)


class Actor(turns.Turns):
    """The base of every service: a mailbox, turns and an end that can be waited for."""

    failures_are: ClassVar[tuple[type[BaseException], ...]] = Failure
    killed_is: ClassVar[type[BaseException]] = GreenletExit
    switches: ClassVar[bool] = False

    _hub: Hub

    def __init__(self) -> None:
        self._hub = get_hub()
        self._ready = run_queue()
        self._runner: Any = None
        self._context: Context | None = None  # what it has set of context variables
        self._thread: Thread | None = None
        self._links: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.dead = False
        self._be_idle()

    def resume(self) -> None:
        """Nothing: a runner takes the turns."""

    def begin(self) -> None:
        """Start; called once, when the constructors of all subclasses have returned."""
        if self.inbox is None or isinstance(self.inbox, Mailbox):
            super().begin()
        else:
            self.begun = True
            self._thread = self._spawned(self._read_queue, self.inbox)

    def finish(self, answer: Any) -> Any:
        """What a call of the service's own code answered; a coroutine is awaited in this turn."""
        if answer is None:
            return None
        if getcurrent() is self._runner:
            return coroutines.finish_turn(answer, self)
        return coroutines.finish(answer, self)

    def own_turn(self) -> bool:
        """Whether the caller runs in this actor's own turn."""
        current = getcurrent()
        if current is self._runner or current is self._thread:
            return not foreign()
        return in_loop() and coroutines.owner() is self

    def kill(self, error: type[BaseException] | BaseException = GreenletExit) -> None:
        """End it: at once, or where its turn waits."""
        if self.dead:
            return
        if foreign():
            from_thread(self.kill, error)
            return
        current = getcurrent()
        runner = self._thread or self._runner
        if runner is not None and runner is current:
            raise _made(error)
        if runner is not None and runner:
            if in_loop() and coroutines.owner() is self:
                # A coroutine that ends its own actor goes on to its next await.
                self._hub.loop.call_soon(throw, runner, error)
            else:
                throw(runner, error)
            return
        self.cause = _made(error)
        self._end()

    def link(self, call: Callable[..., Any], *args: Any) -> None:
        """Have ``call(actor, *args)`` made at the end, at once if it is dead."""
        if self.dead:
            call(self, *args)
        else:
            self._links.append((call, args))

    def wait(self) -> Any:
        """Wait for the end; raises what the service died of, GreenletExit when it was killed."""
        if not self.dead:
            waiter = Waiter()
            self.link(lambda _: waiter.send())
            waiter.wait()
        if self.cause is not None:
            raise self.cause

    @property
    def gr_frame(self) -> Any:
        """Where its turn waits, under the name that a greenlet has for it; None without."""
        runner = self._thread or self._runner
        return None if runner is None else runner.gr_frame

    def _end(self) -> None:
        if self.dead:
            return
        self.dead, self.running = True, False
        self.release()
        links, self._links = self._links, []
        for call, args in links:
            call(self, *args)

    def _read_queue(self, queue: Any) -> None:
        """Take turns over a queue that old code brought along."""
        mailbox = Mailbox(self.name)
        try:
            while self.running:
                if isinstance(queue, asyncio.Queue):
                    mailbox.last(coroutines.finish(queue.get()))
                else:
                    mailbox.last(in_thread(queue.get))
                self._take_turns(mailbox)
                queue.task_done()
        except _ENDS as cause:
            self.cause = cause
        self._end()

    def _spawned(self, call: Callable[..., Any], *args: Any) -> Any:
        return spawn(call, *args)

    def _is_current(self, thread: Any) -> bool:
        return getcurrent() is thread

    def _has_no_turn(self) -> bool:
        return self._runner is None

    def _stack(self) -> traceback.StackSummary:
        return coroutines.stack(self)


def throw(target: Any, error: type[BaseException] | BaseException) -> None:
    """Raise `error` in one that waits; it is over, or waits again, at the end; but: `Hub.throw`."""
    hub = get_hub()
    if foreign():
        from_thread(throw, target, error)
        return
    current = getcurrent()
    if current is hub.greenlet:
        hub.throw(target, _made(error))
        return
    back = hub.loop.call_soon(current.switch)
    try:
        target.throw(_made(error))
    finally:
        back.cancel()  # killed meanwhile, the caller is somewhere else by then


def _made(error: type[BaseException] | BaseException) -> BaseException:
    return error if isinstance(error, BaseException) else error()


def sleep(seconds: float = 0) -> None:
    """Let others run for `seconds`."""
    if not may_wait():
        raise RuntimeError("a coroutine cannot sleep so; await asyncio.sleep")
    if seconds <= 0 and not foreign():
        hub = get_hub()
        back = hub.loop.call_soon(getcurrent().switch)
        try:
            hub.switch()
        finally:
            back.cancel()
    else:
        Waiter().wait(seconds)


def current_actor() -> Actor | None:
    """The actor in whose own turn the caller runs."""
    if foreign():
        return None
    if in_loop():
        owner = coroutines.owner()
        return owner if isinstance(owner, Actor) else None
    return getattr(getcurrent(), "actor", None)


def spawn(call: Callable[..., Any], *args: Any) -> Any:
    """Run `call(*args)` beside others; the caller owns it."""
    if foreign():
        return from_thread(spawn, call, *args)
    thread = Thread(call, args)
    run_queue().add(thread)
    return thread


def from_thread(call: Callable[..., Any], *args: Any) -> None:
    """Have `call(*args)` made in the hub's thread, from any other; it must not wait."""
    run_queue().from_thread(call, *args)


threads = native.Threads(Waiter, native_thread=native)


def in_thread(call: Callable[..., Any], *args: Any) -> Any:
    """Call `call(*args)` in a native thread and wait for it here: for what would block the loop."""
    return call(*args) if foreign() else threads.call(call, args)


def call_later(delay_s: float, call: Callable[..., Any], *args: Any) -> Any:
    """Call `call(*args)` from the loop, `delay_s` from now; it must not wait. Returns a handle."""
    return get_hub().schedule_call_global(delay_s, call, *args)


def wait_dead(actor: Actor, timeout_s: float) -> bool:
    """Wait until `actor` has ended; return whether it did in time."""
    if actor.dead:
        return True
    waiter = Waiter()
    actor.link(lambda _: waiter.send())
    return waiter.wait(timeout_s)


class deadline:  # noqa: N801 - it is called as a function is
    """A context in which `error` is raised once `seconds` have passed."""

    def __init__(self, seconds: float, error: BaseException) -> None:
        self._seconds = seconds
        self._error = error

    def __enter__(self) -> None:
        self._timer = None
        if may_wait() and not foreign():
            self._timer = call_later(max(1e-6, self._seconds), getcurrent().throw, self._error)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()


def wrap_greenthread(thread: Any, loop: Any = None) -> asyncio.Future[Any]:
    """A future of something that was spawned, of a service, or of a greenlet that has not begun.

    Raises TypeError for anything else, RuntimeError for a greenlet that runs or is over.
    """
    future = Interop(coroutines, globals()["loop"]).future_of(loop)
    if isinstance(thread, Thread | Actor):
        if isinstance(thread, Thread):
            thread._waited_for = True
        thread.link(_deliver, future)
    elif not isinstance(thread, greenlet):
        raise TypeError(f"a greenlet is needed, not {type(thread).__name__}")
    else:
        bring_first_run(future, thread)
    return future


def _deliver(thread: Any, future: asyncio.Future[Any]) -> None:
    if future.done():
        return
    error = thread.cause if isinstance(thread, Actor) else thread._error
    result = None if isinstance(thread, Actor) else thread._result
    if isinstance(error, GreenletExit) or isinstance(result, GreenletExit):
        future.cancel()
    elif error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def beside(call: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """A call that may wait, for a coroutine to await; cancelled, it is killed."""
    thread = spawn(copy_context().run, call, *args)
    future = wrap_greenthread(thread)
    future.add_done_callback(lambda done: thread.kill() if done.cancelled() else None)
    return future


def watchdog(patience_s: float) -> Watchdog:
    """Have a native thread name whoever blocks the hub for longer than `patience_s`."""
    made = Watchdog(run_queue(), native, patience_s)
    made.start()
    return made
