"""Greenthreads: what runs an actor and waits for it on eventlet.

An actor is a GreenThread that is switched to only when it has something to do. All that are ready
stand in one run queue per hub, drained in bounded batches by one hub timer, so timers and sockets
have their turn and an idle engine makes no wake-ups. A reader that is killed while it waits, or
while it is being woken, loses no message: a message leaves the mailbox only in the reader's own
turn.
"""

import logging
import os
import signal
import socket
import traceback
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from greenlet import GreenletExit, getcurrent

with warnings.catch_warnings():
    # Eventlet says at import that it is retired. Whoever chose this runtime knows; the way off it
    # is another runtime of ours, and every command of ours would open with the warning.
    warnings.filterwarnings("ignore", message="\nEventlet is deprecated")
    import eventlet
    from eventlet import greenthread, hubs, tpool

from congress_dse.d6message import d6msg
from congress_dse.runtime import green_patch
from congress_dse.runtime.mailbox import Mailbox
from congress_dse.runtime.timers import Timer, Timers
from congress_dse.tracing import here

# A synchronous driver waits in sockets, sleeps and locks of the standard library, and in this
# runtime that must let others run. Congress's own code expects the import of its DSE to see to it.
green_patch.patch()


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


_log_with_native_locks()

NAME = "green"
BATCH = 256  # turns between two looks at sockets and timers; keeps timers within 0.3 ms

Killed = GreenletExit
# What the code of a service may raise and live on: its own time limits are no Exception, and an
# exit of one service is not that of the process.
Failure = (Exception, eventlet.Timeout, SystemExit)

now = monotonic  # the clock of all deadlines

_NOT_ITS_OWN = (str(Path(eventlet.__file__).parent), str(Path(__file__).parent.parent))


class _Ready(Protocol):
    def resume(self) -> None: ...


class _RunQueue:
    """Whoever is ready on one hub, in the order of becoming ready, and who waits with a deadline.

    Deadlines are many and seldom met: they share one timer of the hub, set to the earliest.
    """

    __slots__ = ("_alarm", "_hub", "_ready", "_scheduled", "_timers")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._ready: deque[_Ready] = deque()
        self._scheduled = False
        self._timers = Timers()
        self._alarm: Any = None

    def add(self, ready: _Ready) -> None:
        self._ready.append(ready)
        if not self._scheduled:
            self._scheduled = True
            self._hub.schedule_call_global(0, self._drain)

    def _drain(self) -> None:
        ready, left = self._ready, BATCH
        try:
            while ready and left:
                left -= 1
                ready.popleft().resume()
        finally:
            if ready:
                self._hub.schedule_call_global(0, self._drain)
            else:
                self._scheduled = False

    def after(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Make `call` from the hub's greenlet, `delay_s` from now."""
        timer = self._timers.add(monotonic() + delay_s, call)
        if self._alarm is None or timer.at < self._alarm.at:
            self._arm(timer.at)
        return timer

    def rest(self) -> None:
        """Set no alarm when nobody waits with a deadline any more."""
        if self._alarm is not None and self._timers.due() is None:
            self._alarm.cancel()
            self._alarm = None

    def _arm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._hub.schedule_call_global(max(0.0, at - monotonic()), self._ring)
        self._alarm.at = at

    def _ring(self) -> None:
        self._alarm = None
        for call, args in self._timers.pop(monotonic()):
            call(*args)
        due = self._timers.due()
        if due is not None and self._alarm is None:
            self._arm(due)


def _run_queue(hub: Any) -> _RunQueue:
    try:
        return hub.congress_dse_run_queue  # type: ignore[no-any-return]
    except AttributeError:
        made = hub.congress_dse_run_queue = _RunQueue(hub)
        return made


class Waiter:
    """One value, waited for by one greenthread."""

    __slots__ = ("_error", "_hub", "_ready", "_who", "done", "value")

    def __init__(self) -> None:
        self._hub = hubs.get_hub()
        self._ready = _run_queue(self._hub)
        self._who: Any = None
        self._error: BaseException | None = None
        self.done = False
        self.value: Any = None

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for `send`; return whether it came in time. Raises what `throw` was given."""
        if not self.done:
            self._wait(timeout_s)
        if self._error is not None:
            raise self._error
        return self.done

    def send(self, value: Any = None) -> None:
        """Bring the value; a second one is ignored."""
        if not self.done:
            self.done, self.value = True, value
            if self._who is not None:
                self._ready.add(self)

    def throw(self, error: BaseException) -> None:
        """Make `wait` raise `error`."""
        if not self.done:
            self._error = error
            self.send()

    def resume(self) -> None:
        if self._who is not None:
            self._who.switch()

    def _wait(self, timeout_s: float | None) -> None:
        hub, self._who = self._hub, getcurrent()
        if self._who is hub.greenlet:
            self._who = None
            raise RuntimeError("the hub itself cannot wait; wait in a greenthread")
        timer = None if timeout_s is None else self._ready.after(timeout_s, self.resume)
        try:
            hub.switch()
        finally:
            self._who = None
            if timer is not None:
                timer.cancel()


class Actor(greenthread.GreenThread):  # type: ignore[misc]
    """The base of every service: a greenthread with a mailbox.

    The subclass says in `receive` what a message does and in `failed` what its failure does; both
    run in the actor's own turn.
    """

    inbox: Any
    name: str
    running: bool

    def __init__(self) -> None:
        self._hub = hubs.get_hub()
        super().__init__(self._hub.greenlet)
        self._ready = _run_queue(self._hub)
        self._parked = False
        self.begun = False
        self.cause: BaseException | None = None
        self._alarm: Any = None
        self._timers: Timers | None = None
        self._owned: dict[Any, None] = {}
        self.in_hand: d6msg | None = None
        self.unfinished: d6msg | None = None
        self.in_hand_since = 0.0
        self.handled = self.failures = 0
        self.waited_s = self.mailbox_s = self.handler_s = 0.0

    def receive(self, msg: d6msg) -> None:
        """What a message does to the service."""
        raise NotImplementedError

    def failed(self, msg: d6msg, error: BaseException) -> bool:
        """What the failure of a message does: return whether the service goes on."""
        raise NotImplementedError

    def begin(self) -> None:
        """Start; called once, when the constructors of all subclasses have returned."""
        inbox = self.inbox
        if isinstance(inbox, Mailbox):
            inbox.wake = self.rouse
            inbox.idle = not len(inbox)
            if not inbox.idle:
                self.rouse()
        elif inbox is not None:
            self.rouse()

    def resume(self) -> None:
        """Give the actor its turn; called by the run queue alone, in the hub's greenlet."""
        if not self.begun:
            if self.dead:
                return
            self.begun = True
            self.switch(self._loop, (), {})
        elif self._parked:
            self.switch()

    def after(self, delay_s: float, call: Callable[..., Any], *args: Any) -> Timer:
        """Call `call(*args)` in the actor's own turn, `delay_s` from now."""
        if self._timers is None:
            self._timers = Timers(self._arm)
        timer = self._timers.add(monotonic() + delay_s, call, *args)
        self._arm()
        return timer

    def due(self) -> float | None:
        """When time matters next to this actor, or None."""
        return None if self._timers is None else self._timers.due()

    def tick(self, now: float) -> None:
        """Make the calls that are due at `now`."""
        if self._timers is not None:
            try:
                for call, args in self._timers.pop(now):
                    call(*args)
            finally:
                self._arm()

    def spawn(self, call: Callable[..., Any], *args: Any) -> Any:
        """Run `call(*args)` in a greenthread of its own; it ends with this actor at the latest."""
        thread = eventlet.spawn(here.carried(call) if here.used else call, *args)
        self._owned[thread] = None
        thread.link(self._owned.pop, None)
        return thread

    def at_rest(self) -> bool:
        """Whether the actor has nothing to do and waits for a message, or never had any."""
        idle = isinstance(self.inbox, Mailbox) and self.inbox.idle
        return self.dead or self.inbox is None or (idle and (self._parked or not self.begun))

    def own_turn(self) -> bool:
        """Whether the caller runs in this actor's own turn."""
        return getcurrent() is self

    def release(self) -> None:
        """Let go of all that the actor owns: timers, greenthreads, the alarm."""
        if self._timers is not None:
            self._timers.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        current = getcurrent()
        for thread in list(self._owned):
            if thread is not current:
                thread.kill()
        self._ready.rest()

    def top_frame(self) -> str:
        """Where the actor is at this moment, as ``file:line in function``."""
        frame = self.gr_frame
        return "" if frame is None else _readable(traceback.extract_stack(frame))

    def rouse(self) -> None:
        """Have the actor resumed: it has something to do."""
        self._ready.add(self)

    def _arm(self) -> None:
        """See to it that the hub wakes the actor when its first timer is due."""
        due = self.due()
        if self._alarm is not None:
            if due is not None and self._alarm.at <= due:
                return
            self._alarm.cancel()
            self._alarm = None
        if due is not None:
            delay_s = max(0.0, due - monotonic())
            self._alarm = self._hub.schedule_call_global(delay_s, self._ring)
            self._alarm.at = due

    def _ring(self) -> None:
        self._alarm = None
        if self.inbox is None:
            eventlet.spawn_n(self.tick, monotonic())
        else:
            self.inbox.put(d6msg(type="tick"))

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
        hub = self._hub
        while self.running:
            entry = mailbox.take()
            if entry is not None:
                self._turn(*entry)
                continue
            self._parked = True
            try:
                hub.greenlet.switch()  # it is alive: it gave the actor this turn
            finally:
                self._parked = False

    def _loop_queue(self, queue: Any) -> None:
        """The same over a queue that old code brought along."""
        while self.running:
            self._turn(monotonic(), queue.get())
            queue.task_done()

    def _turn(self, since: float, msg: d6msg) -> None:
        self.in_hand = msg
        self.in_hand_since = begun = monotonic()
        self.waited_s = waited_s = begun - since
        self.mailbox_s += waited_s
        try:
            self.receive(msg)
        except Failure as error:
            self.failures += 1
            if not self.failed(msg, error):
                raise
        except GreenletExit:
            self.unfinished = msg
            raise
        finally:
            self.in_hand = None
            self.handled += 1
            self.handler_s += monotonic() - begun


def _readable(stack: traceback.StackSummary) -> str:
    """The innermost frame that is the service's own, not the hub's or ours."""
    own = [f for f in stack if not f.filename.startswith(_NOT_ITS_OWN)]
    last = (own or stack)[-1]
    return f"{last.filename}:{last.lineno} in {last.name}"


def sleep(seconds: float = 0) -> None:
    """Let others run for `seconds`."""
    eventlet.sleep(seconds)


def may_wait() -> bool:
    """Whether the caller can wait: everybody but the hub can."""
    return getcurrent() is not hubs.get_hub().greenlet


def current_actor() -> Actor | None:
    """The actor in whose own turn the caller runs."""
    current = getcurrent()
    return current if isinstance(current, Actor) else None


def spawn(call: Callable[..., Any], *args: Any) -> Any:
    """Run `call(*args)` in a greenthread of its own; the caller owns it."""
    return eventlet.spawn(call, *args)


def in_thread(call: Callable[..., Any], *args: Any) -> Any:
    """Call `call(*args)` in a native thread and wait for it here: for what would block the hub."""
    return tpool.execute(call, *args)


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
    return eventlet.Timeout(seconds, error)


class Signals:
    """Signals of the process, as values that a greenthread waits for.

    A handler only writes to a socket that the hub watches: an idle hub would notice a handler's own
    event with its next timer, up to a minute later.
    """

    def __init__(self, wanted: tuple[str, ...] = ("SIGINT", "SIGTERM")) -> None:
        self._wanted = [getattr(signal, name) for name in wanted if hasattr(signal, name)]
        self._before: dict[int, Any] = {}
        self._arrived: deque[str] = deque()

    def __enter__(self) -> "Signals":
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        for number in self._wanted:
            self._before[number] = signal.signal(number, self._note)
        self._wakeup_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_exc: object) -> None:
        signal.set_wakeup_fd(self._wakeup_fd)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._read.close()
        self._write.close()

    def put(self, why: str) -> None:
        """Wake who waits, for a reason that is no signal."""
        self._arrived.append(why)
        self._write.send(b"\0")

    def wait(self) -> str:
        """Wait for the next signal and return its name."""
        while not self._arrived:
            hubs.trampoline(self._read, read=True)
            self._read.recv(4096)
        return self._arrived.popleft()

    def exit_at_once(self) -> None:
        """From now on a signal ends the process without further ado."""
        for number in self._wanted:
            signal.signal(number, _exit_now)

    def _note(self, number: int, _frame: Any) -> None:
        self._arrived.append(signal.Signals(number).name)


def _exit_now(number: int, _frame: Any) -> None:
    os._exit(128 + number)
