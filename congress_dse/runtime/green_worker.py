"""The hub of a worker under eventlet: patched here, before any driver is loaded.

Names are resolved by the system's resolver in native threads and not by eventlet's own in Python,
whose import takes longer than all the rest of a worker's start (0.35 of 0.5 s). Whoever wants that
one sets ``EVENTLET_NO_GREENDNS=no``.
"""

import os
import socket as native
import traceback
import warnings
from collections.abc import Callable
from socket import socket
from typing import Any

os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
warnings.filterwarnings("ignore", message="\nEventlet is deprecated")

import eventlet  # noqa: E402
import eventlet.green.socket  # noqa: E402
import eventlet.hubs  # noqa: E402
import eventlet.tpool  # noqa: E402

from congress_dse.runtime import green_patch, heap  # noqa: E402
from congress_dse.stacks import thread_stacks  # noqa: E402


class WorkerLoop:
    """The main greenthread of a worker is the one that beats."""

    def __init__(self) -> None:
        self._patch()

    def _patch(self) -> None:
        green_patch.patch()
        if os.environ["EVENTLET_NO_GREENDNS"].lower() == "yes":
            _resolve_in_threads()

    def beside(
        self, call: Callable[[], object], done: Callable[[BaseException | None], object]
    ) -> None:
        """Run `call` in a greenthread."""
        eventlet.spawn(attempt, call, done)

    def run(self, wake: socket, turn: Callable[[], float | None]) -> None:
        """Turn until there is nothing more to do."""
        while (wait_s := turn()) is not None:
            try:
                eventlet.hubs.trampoline(wake, read=True, timeout=wait_s, timeout_exc=_Due)
            except _Due:
                continue

    def stacks(self) -> str:
        """The stacks of all threads, and of all greenthreads that wait."""
        parts = [thread_stacks()]
        for thing in heap.greenlets():
            if thing.gr_frame is not None:
                stack = "".join(traceback.format_stack(thing.gr_frame))
                parts.append(f"greenthread {id(thing):#x}:\n{stack}")
        return "\n".join(parts)


def _resolve_in_threads() -> None:
    for name in ("getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyname_ex"):
        resolver = _beside(vars(native)[name])
        for module in (native, eventlet.green.socket, eventlet.green.socket.create_connection):
            vars_of = getattr(module, "__globals__", None) or vars(module)
            vars_of[name] = resolver


def _beside(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def resolver(*args: Any, **kwargs: Any) -> Any:
        return eventlet.tpool.execute(resolve, *args, **kwargs)

    return resolver


def attempt(call: Callable[[], object], done: Callable[[BaseException | None], object]) -> None:
    try:
        call()
    except BaseException as error:
        done(error)
    else:
        done(None)


class _Due(BaseException):
    """The time to turn has come."""
