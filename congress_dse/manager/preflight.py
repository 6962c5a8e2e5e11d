"""Before the first worker: what is to cross to it must pickle, and what does not is named."""

import functools
import io
import pickle
import socket
import types
from collections.abc import Iterator
from multiprocessing import context, reduction
from typing import Any, cast

from congress_dse.exceptions import NotPlain

DEPTH_MAX = 50
PICKLE_ERRORS = (pickle.PicklingError, TypeError, AttributeError, RuntimeError, ValueError, OSError)


def check(service: str, parts: dict[str, Any]) -> None:
    """Raise NotPlain with the attribute path of the first thing in `parts` that cannot cross."""
    error = _fault(parts)
    if error is None:
        return
    path, thing, error = _culprit(parts, "", error, set())
    raise NotPlain(
        f"{service}: {path.lstrip('.')} is a {type(thing).__qualname__}, which cannot cross to a "
        f"spawned worker ({error}); make it in the worker, or pass plain data"
    )


def _culprit(thing: Any, path: str, error: Exception, seen: set[int]) -> tuple[str, Any, Exception]:
    seen.add(id(thing))
    if len(seen) < DEPTH_MAX * DEPTH_MAX:
        for step, part in _inside(thing, top=not path):
            if id(part) in seen:
                continue
            fault = _fault(part)
            if fault is not None:
                return _culprit(part, path + step, fault, seen)
    return path, thing, error


def _inside(thing: Any, *, top: bool = False) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, dict):
        yield from (((f".{k}" if top else f"[{k!r}]"), v) for k, v in thing.items())
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from ((f"[{number}]", value) for number, value in enumerate(thing))
    elif isinstance(thing, functools.partial):
        yield from ((".func", thing.func), (".args", thing.args), (".keywords", thing.keywords))
    elif isinstance(thing, types.MethodType):
        yield ".__self__", thing.__self__
    elif not isinstance(thing, type | types.FunctionType | types.ModuleType):
        yield from ((f".{name}", value) for name, value in _attributes(thing))


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(thing, "__dict__", {}).items()
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(thing, name):
                yield name, getattr(thing, name)


class _Trial(reduction.ForkingPickler):
    """A pickler that sends nothing and refuses descriptors that are not listed."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, socket.socket):
            raise TypeError("sockets cross as listeners only")
        return NotImplemented


class _NoProcess:
    """Stands for the process being spawned, which some reducers ask for."""

    def duplicate_for_child(self, fd: int) -> int:
        return fd

    def DupFd(self, fd: int) -> int:  # noqa: N802 (multiprocessing's name)
        return fd


def _fault(thing: Any) -> Exception | None:
    before = context.get_spawning_popen()
    context.set_spawning_popen(cast("Any", _NoProcess()))
    try:
        _Trial(io.BytesIO(), pickle.HIGHEST_PROTOCOL).dump(thing)
    except RecursionError as error:
        return error
    except PICKLE_ERRORS as error:
        return error
    finally:
        context.set_spawning_popen(before)
    return None
