"""The choice of this process's runtime: made once, before anything else of the engine is imported.

* ``green``: greenthreads on eventlet's own hub, the standard library patched; synchronous drivers
  wait as they always did, and coroutines run on a loop that lives in the hub.
* ``mixed``: greenthreads on eventlet's asyncio hub, nothing patched: coroutines and greenthreads
  side by side, and synchronous drivers in native threads.
* ``asyncio``: plain asyncio, without eventlet.
* ``uvloop``: the same on the loop of the package uvloop.
"""

import os
import sys
from importlib.machinery import PathFinder
from typing import Any

from congress_dse import exceptions

VARIABLE = "CONGRESS_DSE_RUNTIME"
GREEN, MIXED, ASYNCIO, UVLOOP = RUNTIMES = ("green", "mixed", "asyncio", "uvloop")
NEEDS = {GREEN: "eventlet", MIXED: "eventlet", UVLOOP: "uvloop"}
EXTRAS = {"eventlet": "green", "uvloop": "uvloop"}

MODULES = {
    GREEN: "congress_dse.runtime.green",
    MIXED: "congress_dse.runtime.green",
    ASYNCIO: "congress_dse.runtime.aio",
    UVLOOP: "congress_dse.runtime.aio",
}
IO = {
    GREEN: "congress_dse.runtime.green_io",
    MIXED: "congress_dse.runtime.green_io",
    ASYNCIO: "congress_dse.runtime.aio_io",
    UVLOOP: "congress_dse.runtime.aio_io",
}
NATIVE = {
    GREEN: "congress_dse.runtime.green_native",
    MIXED: "congress_dse.runtime.native",
    ASYNCIO: "congress_dse.runtime.native",
    UVLOOP: "congress_dse.runtime.native",
}


class _Choice:
    made = ""
    why = ""


def choose(runtime: str, why: str = "a call of choose") -> str:
    """Make `runtime` that of this process; `why` is told to whoever wants another one later.

    Raises ConfigError for one that is none, and for a second choice that is not the first.
    """
    if runtime not in RUNTIMES:
        raise exceptions.ConfigError(
            f"runtime {runtime!r} (of {why}) is none of {', '.join(RUNTIMES)}"
        )
    if _Choice.made and _Choice.made != runtime:
        raise exceptions.ConfigError(
            f"this process has chosen its runtime: {_Choice.made}, by {_Choice.why}; "
            f"{runtime}, by {why}, comes too late: choose before the engine is imported"
        )
    if runtime != GREEN and _patched():
        raise exceptions.ConfigError(
            f"runtime {runtime}, by {why}: eventlet has patched {', '.join(_patched())} already; "
            f"in {runtime} nothing may be patched"
        )
    if not _Choice.made:
        _Choice.made, _Choice.why = runtime, why
    return runtime


def chosen() -> str:
    """The runtime of this process; who asks first, and has not chosen, takes the environment's."""
    if not _Choice.made:
        given = os.environ.get(VARIABLE, "")
        choose(given or default(), f"the environment variable {VARIABLE}" if given else "default")
    return _Choice.made


def why() -> str:
    """Who has chosen."""
    return _Choice.why


def configured(value: str | None) -> str:
    """The runtime that a configuration asks for; the environment, if it says one, goes before."""
    given = os.environ.get(VARIABLE, "")
    found = given or value or default()
    where = f"the environment variable {VARIABLE}" if given else "[DEFAULT] runtime"
    if found not in RUNTIMES:
        raise exceptions.ConfigError(f"{where}: {found!r} is none of {', '.join(RUNTIMES)}")
    needs = NEEDS.get(found)
    if needs is not None and not _has(needs):
        raise exceptions.ConfigError(
            f"{where}: {found} needs {needs}, which is not installed: pip install "
            f"'congress-dse[{EXTRAS[needs]}]', or choose asyncio"
        )
    return found


def default() -> str:
    """The runtime of who says nothing: green, or asyncio where eventlet is not installed."""
    return GREEN if _has("eventlet") else ASYNCIO


def _has(library: str) -> bool:
    try:
        return library in sys.modules or PathFinder.find_spec(library) is not None
    except ValueError:
        return False


def keep_eventlet_out() -> None:
    """Have an import of eventlet fail from now on; what is imported already stays.

    Its sleeps and its sockets would block the loop, with a hub of their own that nobody turns.
    """
    if _NoEventlet not in sys.meta_path:
        sys.meta_path.insert(0, _NoEventlet)


class _NoEventlet:
    """Finds no eventlet, and says why."""

    @staticmethod
    def find_spec(name: str, _path: Any = None, _target: Any = None) -> None:
        if name == "eventlet":
            text = f"eventlet would block the loop of this process: its runtime is {chosen()}"
            raise ModuleNotFoundError(text, name=name)


def _patched() -> list[str]:
    """What eventlet has patched in this process; asked without importing it."""
    patcher = sys.modules.get("eventlet.patcher")
    return sorted(getattr(patcher, "already_patched", ()))
