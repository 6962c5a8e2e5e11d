"""An asyncio loop that lives in eventlet's hub: greenthreads and coroutines in one thread.

The loop runs in a greenlet of its own. Where it would wait for sockets and time, it waits for the
hub, and everybody else runs meanwhile; to those no loop is running, as it is. It starts with the
first coroutine, so a process without any pays nothing.
"""

import asyncio
import atexit
import os
import selectors
import sys
from asyncio.events import _set_running_loop
from collections.abc import Callable, Mapping
from typing import Any

from eventlet import hubs, patcher
from greenlet import getcurrent, greenlet

from congress_dse.runtime.aio_hub import run_on
from congress_dse.runtime.clock import now
from congress_dse.runtime.waiting import Waiter


class HubSelector(selectors.BaseSelector):
    """Waits for files by way of the hub, and lets others run."""

    def __init__(self, waiter: Callable[[], Waiter]) -> None:
        self._new_waiter = waiter
        self._hub = hubs.get_hub()
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._listeners: dict[int, list[Any]] = {}
        self._fired: dict[int, int] = {}
        self._waiter: Waiter | None = None

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if fd in self._keys:
            raise KeyError(f"file descriptor {fd} is registered already")
        key = self._keys[fd] = selectors.SelectorKey(fileobj, fd, events, data)
        self._listen(key)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        fd = self._fd(fileobj)
        key = self._keys.pop(fd)
        self._deafen(fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = self._fd(fileobj)
        before = self._keys[fd]
        key = self._keys[fd] = before._replace(events=events, data=data)
        if events != before.events:
            self._deafen(fd)
            self._listen(key)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self._fired and (timeout is None or timeout > 0):
            self._park(timeout)
        elif not self._fired:
            self._pass()
        fired, self._fired = self._fired, {}
        return [(self._keys[fd], events) for fd, events in fired.items() if fd in self._keys]

    def wake(self) -> None:
        """Have `select` return: the loop has something to do."""
        if self._waiter is not None:
            self._waiter.send()

    def close(self) -> None:
        for fd in list(self._listeners):
            self._deafen(fd)
        self._keys.clear()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[self._fd(fileobj)]

    def _park(self, timeout_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = self._new_waiter()
        _set_running_loop(None)  # to all others none runs
        try:
            self._waiter.wait(timeout_s)
        finally:
            _set_running_loop(loop)
            self._waiter = None

    def _pass(self) -> None:
        """Let others run between two rounds of a loop that has more to do."""
        loop = asyncio.get_running_loop()
        self._hub.schedule_call_global(0, getcurrent().switch)
        _set_running_loop(None)
        try:
            self._hub.switch()
        finally:
            _set_running_loop(loop)

    def _listen(self, key: selectors.SelectorKey) -> None:
        hub, fd = self._hub, key.fd
        wanted = [(selectors.EVENT_READ, hub.READ), (selectors.EVENT_WRITE, hub.WRITE)]
        self._listeners[fd] = [
            hub.add(kind, fd, self._noting(fd, event), _nobody, _nobody)
            for event, kind in wanted
            if key.events & event
        ]

    def _deafen(self, fd: int) -> None:
        self._fired.pop(fd, None)
        for listener in self._listeners.pop(fd, ()):
            self._hub.remove(listener)

    def _noting(self, fd: int, event: int) -> Callable[[Any], None]:
        def note(_fd: Any) -> None:
            self._fired[fd] = self._fired.get(fd, 0) | event
            self.wake()

        return note

    def _fd(self, fileobj: Any) -> int:
        if isinstance(fileobj, int):
            return fileobj
        try:
            return int(fileobj.fileno())
        except (ValueError, OSError):
            found = [fd for fd, key in self._keys.items() if key.fileobj is fileobj]
            if not found:
                raise KeyError(f"{fileobj!r} is not registered") from None
            return found[0]


class _Files:
    """The module os as it is patched, but for reads and writes: they never wait."""

    def __init__(self) -> None:
        original = patcher.original("os")
        self.read, self.write = original.read, original.write

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def _let_pipes_not_wait() -> None:
    """Have asyncio read and write the pipes of subprocesses without the hub.

    A patched read that finds nothing would wait, in the greenlet of the loop, where nobody can.
    """
    unix = sys.modules.get("asyncio.unix_events")
    if unix is not None and not isinstance(vars(unix)["os"], _Files):
        vars(unix)["os"] = _Files()


class HubLoop(asyncio.SelectorEventLoop):
    """The loop; made and run by the first who needs it, in the hub's thread."""

    def __init__(self, waiter: Callable[[], Waiter]) -> None:
        _let_pipes_not_wait()
        self._hub_selector = HubSelector(waiter)
        super().__init__(self._hub_selector)
        (self.wakes,) = self._hub_selector.get_map()  # where other threads wake it
        atexit.register(self._end)
        self.greenlet = greenlet(self._run, hubs.get_hub().greenlet)
        hubs.get_hub().schedule_call_global(0, self.greenlet.switch)

    def time(self) -> float:
        return now()

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        self._hub_selector.wake()
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        self._hub_selector.wake()
        return handle

    def inside(self) -> bool:
        """Whether the caller runs in the loop, as coroutines and callbacks do."""
        return getcurrent() is self.greenlet

    def _run(self) -> None:
        run_on(self)

    def _end(self) -> None:
        if not self.is_running() and not self.is_closed():
            self.close()


def _nobody(*_args: Any) -> None:
    """What is called at the end of a file descriptor: the loop sees to its own."""
