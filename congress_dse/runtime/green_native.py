"""Modules as they were before eventlet patched them, for native threads that must not meet a hub.

A thread that lives beside the hub has to wait in the system's own sockets, locks and sleeps. The
standard library's are eventlet's originals; a library that uses them is imported a second time with
the originals in place of the patched ones, and kept apart from the copy that everybody else has.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from eventlet import patcher

_ORIGINAL = ("_thread", "time", "os", "select", "threading", "queue", "socket")
_AGAIN = ("selectors", "ssl")  # of the standard library; they use the originals

_kept: dict[str, ModuleType] = {}


def unpatched(name: str) -> ModuleType:
    """The module `name`, using the system's own sockets, locks and time; always the same one.

    A package is imported anew with all of its modules; what it imports beside them is shared with
    everybody, so name that first if it waits too. Call it early: for the time of the import the
    process's other threads would import originals as well.
    """
    if name in _ORIGINAL:
        return patcher.original(name)  # type: ignore[no-any-return]
    if name not in _kept:
        for other in _AGAIN:
            if other not in _kept:
                _import_again(other)
        if name not in _kept:
            importlib.import_module(name)  # what it shares with others is imported as they need it
            _import_again(name)
    return _kept[name]


def _import_again(name: str) -> None:
    package = name.partition(".")[0]
    with _originals_in_place(package):
        importlib.import_module(name)
        _kept.update(_modules_of(package))


@contextmanager
def _originals_in_place(package: str) -> Iterator[None]:
    before = dict(sys.modules)
    mine = {name: module for name, module in _kept.items() if name.partition(".")[0] != package}
    try:
        for name in _modules_of(package):
            del sys.modules[name]
        sys.modules.update(mine)
        sys.modules.update({name: patcher.original(name) for name in _ORIGINAL})
        yield
    finally:
        for name in sys.modules.keys() - before.keys():
            if not name.startswith("__original_module_"):
                del sys.modules[name]
        sys.modules.update(before)


def _modules_of(package: str) -> dict[str, ModuleType]:
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name == package or name.startswith(package + ".")
    }
