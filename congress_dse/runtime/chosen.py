"""The runtime of this process: what runs an actor and waits for it.

It is a module of its own, and not the package, so that a master, which has no runtime, and each
loop of a worker can be imported without it. The rest of the engine reaches it by these names
alone, so a further runtime is one further file. `choice` says which it is; this import makes that
final.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from congress_dse.exceptions import EngineError
from congress_dse.runtime import choice
from congress_dse.runtime.clock import now
from congress_dse.runtime.mailbox import Mailbox, MailboxStatistics
from congress_dse.runtime.serving import http_server

if TYPE_CHECKING:
    from congress_dse.runtime.green import (
        NAME,
        PATCHED,
        Actor,
        Failure,
        Killed,
        Lock,
        Waiter,
        beside,
        call_later,
        coroutines,
        current_actor,
        deadline,
        foreign,
        from_thread,
        in_loop,
        in_thread,
        loop,
        may_wait,
        sleep,
        spawn,
        wait_dead,
        watchdog,
        wrap_greenthread,
        yield_future,
    )
    from congress_dse.runtime.green_io import wait_io, watch_io
    from congress_dse.runtime.native import unpatched
else:
    _made: Any = import_module(choice.MODULES[choice.chosen()])
    _io: Any = import_module(choice.IO[choice.chosen()])
    _native: Any = import_module(choice.NATIVE[choice.chosen()])
    NAME, PATCHED = _made.NAME, _made.PATCHED
    Actor, Waiter, Lock = _made.Actor, _made.Waiter, _made.Lock
    Failure, Killed = _made.Failure, _made.Killed
    beside, spawn, in_thread, from_thread = (
        _made.beside,
        _made.spawn,
        _made.in_thread,
        _made.from_thread,
    )
    current_actor, wait_dead = _made.current_actor, _made.wait_dead
    foreign, in_loop, may_wait = _made.foreign, _made.in_loop, _made.may_wait
    call_later, deadline, sleep = _made.call_later, _made.deadline, _made.sleep
    watchdog = _made.watchdog
    coroutines, loop = _made.coroutines, _made.loop
    wrap_greenthread, yield_future = _made.wrap_greenthread, _made.yield_future
    wait_io, watch_io = _io.wait_io, _io.watch_io
    unpatched = _native.unpatched
    if choice.NEEDS.get(NAME) != "eventlet":
        choice.keep_eventlet_out()


def failure(error: BaseException) -> BaseException:
    """What a service's own code raised, as a failure that the service lives on.

    Raises what ends the caller: a kill, and the interrupt of the process. Extensions and libraries
    have exceptions of their own beside Exception, as panics are.
    """
    if isinstance(error, Failure):
        return error
    if isinstance(error, (Killed, KeyboardInterrupt, GeneratorExit)):
        raise error
    made = EngineError(f"{type(error).__name__}: {error}")
    made.__cause__ = error
    return made


def finish(answer: Any) -> Any:
    """Wait for `answer` if it can be awaited; what it comes to, or `answer` itself."""
    return None if answer is None else coroutines.finish(answer)


__all__ = [
    "NAME",
    "PATCHED",
    "Actor",
    "Failure",
    "Killed",
    "Lock",
    "Mailbox",
    "MailboxStatistics",
    "Waiter",
    "beside",
    "call_later",
    "coroutines",
    "current_actor",
    "deadline",
    "failure",
    "finish",
    "foreign",
    "from_thread",
    "http_server",
    "in_loop",
    "in_thread",
    "loop",
    "may_wait",
    "now",
    "sleep",
    "spawn",
    "unpatched",
    "wait_dead",
    "wait_io",
    "watch_io",
    "watchdog",
    "wrap_greenthread",
    "yield_future",
]
