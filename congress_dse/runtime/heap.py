"""Heap: what a process has when it begins to serve is not searched for garbage again.

A worker has over a hundred thousand objects from its imports, which stay to the end. Python would
look through all of them again and again, prompted by the lists of each large message: most of the
time that it takes to read one. What is garbage for want of references is freed as ever.
"""

import gc
import weakref
from collections.abc import Iterator
from typing import Any

from greenlet import greenlet

YOUNG = 10_000  # new objects between two looks at them; Python's own 700 are one message's

_early: weakref.WeakSet[Any] = weakref.WeakSet()


def settle() -> None:
    """Call it once all is imported and made: from now on only what is new is looked through."""
    gc.collect()
    for thing in gc.get_objects():
        if isinstance(thing, greenlet):
            _early.add(thing)
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


def greenlets() -> Iterator[Any]:
    """Every greenlet that there is; the collector itself does not tell of early ones any more."""
    yield from list(_early)
    for thing in gc.get_objects():
        if isinstance(thing, greenlet):
            yield thing
