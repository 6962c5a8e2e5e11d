"""The standard library made to wait on eventlet, also for those who imported it earlier."""

import _thread
import sys
import threading
from importlib import import_module
from typing import Any

import eventlet

from congress_dse import exceptions

# What waits by way of the hub once it is patched, and the module that says it is its own before.
# Who puts something else in its place, as tools of tests do, knows what they do.
WAITS = {
    ("socket", "socket"): "socket",
    ("ssl", "SSLSocket"): "ssl",
    ("select", "select"): "select",
    ("time", "sleep"): "time",
    ("_thread", "allocate_lock"): "_thread",
    ("_thread", "start_new_thread"): "_thread",
    ("threading", "Lock"): "_thread",
    ("queue", "Queue"): "queue",
    ("subprocess", "Popen"): "subprocess",
}
GREEN = {"_thread": "thread", "queue": "Queue"}  # modules that eventlet calls otherwise


def patch() -> None:
    """Patch the standard library; once is enough, and again does no harm.

    Raises ConfigError where a part of it that the runtime needs stays unpatched: eventlet patches
    a module once, also if that was put back or loaded anew since.
    """
    _mend_forgetting()
    eventlet.monkey_patch()
    left = unpatched()
    if left:
        raise exceptions.ConfigError(
            f"runtime green: {', '.join(left)} would block the hub: eventlet has patched the "
            "standard library before, and what it patched was put back or loaded anew since; "
            "import the engine before that, or choose runtime mixed or asyncio"
        )
    _mend_contexts()
    _mend_handshakes()
    _mend_joins()


def unpatched() -> list[str]:
    """What of the standard library waits without the hub, though eventlet has its own of it."""
    return [
        f"{module}.{name}"
        for (module, name), own in WAITS.items()
        if _home(sys.modules.get(module), name) == own != _home(_green(module), name)
    ]


def _green(module: str) -> Any:
    """What eventlet puts in the place of a module's names."""
    return import_module(f"eventlet.green.{GREEN.get(module, module)}")


def _home(module: Any, name: str) -> Any:
    return getattr(getattr(module, name, None), "__module__", None)


def _mend_forgetting() -> None:
    """Give what forgets threads that nobody started a lock that eventlet has no word about.

    From Python 3.14 on its lock is a default of a function, where eventlet finds no lock to put its
    own in the place of, and says so at each start. It is held for one look, in which nobody waits.
    """
    forget = getattr(getattr(threading, "_DeleteDummyThreadOnDel", None), "__del__", None)
    if forget is not None and forget.__defaults__:
        forget.__defaults__ = tuple(
            vars(threading)["_PyRLock"]() if isinstance(default, _thread.RLock) else default
            for default in forget.__defaults__
        )


def _mend_contexts() -> None:
    """Give the class of TLS contexts as it was before the patch what eventlet's own has.

    Whoever imported it earlier, as urllib3 does, keeps it. Its setters look for it by a name that
    is now eventlet's class and would call themselves for ever, and its sockets would block the hub.
    """
    green = eventlet.green.ssl.GreenSSLContext
    for name, mended in vars(green).items():
        if isinstance(mended, property) or name == "wrap_socket":
            setattr(green.__base__, name, mended)


def _mend_handshakes() -> None:
    """Have a socket closed whose handshake fails as it is made, as the standard library does."""
    green = eventlet.green.ssl.GreenSSLSocket
    make = green.__init__
    if make.__module__ == __name__:
        return

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            make(self, *args, **kwargs)
        except BaseException:
            self.close()
            raise

    green.__init__ = init


def _mend_joins() -> None:
    """Have a `join` that is late return, as the standard library's does, and not raise.

    From Python 3.13 on a thread is joined by its handle, of which eventlet has its own.
    """
    handle = getattr(import_module("eventlet.green.thread"), "_ThreadHandle", None)
    if handle is None or handle.join.__module__ == __name__:
        return
    wait = handle.join

    def join(self: Any, timeout: float | None = None) -> None:
        with eventlet.Timeout(timeout, False):
            wait(self)

    handle.join = join
