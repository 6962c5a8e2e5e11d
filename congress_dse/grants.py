"""Grants: which sources this worker may run, as the lease worker beside it says.

A grant ends at a time, of the clock that all processes of a host share, and is renewed before: a
worker that hears nothing stops its sources by itself, whatever the reason.
"""

import contextlib
import json
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from congress_dse.manager import posix
from congress_dse.manager.lines import Lines, Message, encode
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)
NOBODY = "the lease worker does not answer"
AGAIN_S = 0.2  # between attempts to reach a lease worker that is not there


class Grants:
    """What may run; `stop` is given what may no more, and returns when it has ended.

    `start` is called when there is something new that may run.
    """

    def __init__(
        self, path: str, stop: Callable[[list[str]], object], start: Callable[[], object]
    ) -> None:
        self._path = path
        self._stop = stop
        self._start = start
        self._until: dict[str, float] = {}
        self._had: set[str] = set()
        self._wants: dict[str, str] | None = None  # until the sources are read
        self._sock: socket.socket | None = None
        self._token = ""
        self._unsent = b""
        self._number = -1
        self._alarm: Any = None
        self._state = NOBODY
        self._told = (0.0, 0.0)  # when it was, and how long it may be silent
        self._closed = False
        self._thread = runtime.spawn(self._follow)

    def __contains__(self, name: object) -> bool:
        return self._until.get(str(name), 0.0) > runtime.now()

    def want(self, pins: Mapping[str, str]) -> None:
        """These sources are configured here, each with the node that it names, or ""."""
        if dict(pins) != self._wants:
            self._wants = dict(pins)
            self._say({"wants": self._wants})

    @property
    def state(self) -> str:
        """What is wrong, for an operator; empty where all is well."""
        at, fence_s = self._told
        silent_s = runtime.now() - at
        if self._state or silent_s < fence_s:
            return self._state
        return f"the coordination service has not answered for {silent_s:.1f} s"

    def leases(self) -> list[dict[str, Any]]:
        """Each source, the node that it names, and for how long it may run here; in seconds."""
        now = runtime.now()
        return [
            {
                "source": name,
                "pinned": pin,
                "leased": name in self,
                "for_s": round(max(0.0, self._until.get(name, 0.0) - now), 3),
            }
            for name, pin in sorted((self._wants or {}).items())
        ]

    def close(self) -> None:
        """Hear nothing more; nothing may run."""
        self._closed = True
        self._until.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        self._thread.kill()
        if self._sock is not None:
            self._sock.close()

    def _follow(self) -> None:
        while not self._closed:
            try:
                self._connect()
                self._read()
            except (OSError, ValueError, KeyError) as error:
                LOG.debug("no lease worker: %s", error)
            self._sock, self._state = None, NOBODY
            runtime.sleep(AGAIN_S)

    def _connect(self) -> None:
        if posix.UNIX:
            self._sock = posix.connect_unix(self._path)
        else:
            about = json.loads(Path(self._path).read_text())
            self._sock = socket.create_connection((about["host"], about["port"]))
            self._token = about["token"]
        self._sock.setblocking(False)
        self._unsent = b""
        self._say({} if self._wants is None else {"wants": self._wants})

    def _read(self) -> None:
        lines = Lines()
        sock = self._sock
        while sock is not None and not self._closed:
            try:
                data = sock.recv(65536)
            except BlockingIOError:
                runtime.wait_io(sock)
                continue
            if not data:
                return
            messages = lines.feed(data)
            if messages:
                self._take(messages[-1])  # each says all

    def _take(self, message: Message) -> None:
        self._until = {str(name): float(at) for name, at in message["granted"].items()}
        self._state = str(message["state"])
        self._told = (runtime.now(), float(message["fence_s"]))
        self._review()
        if message["number"] != self._number:
            self._number = message["number"]
            self._say({"seen": self._number})

    def _say(self, message: Message) -> None:
        self._unsent += encode({**message, "token": self._token})
        with contextlib.suppress(OSError):  # the reader sees it, too
            while self._unsent and self._sock is not None:
                try:
                    self._unsent = self._unsent[self._sock.send(self._unsent) :]
                except BlockingIOError:
                    runtime.wait_io(self._sock, write=True)

    def _review(self) -> None:
        """Have stopped what may run no more, and started what may now."""
        if self._closed:
            return
        has = {name for name in self._until if name in self}
        lost, gained = self._had - has, has - self._had
        self._had = has
        self._arm(self._until[name] for name in has)
        if lost:
            LOG.warning("no lease any more: %s", ", ".join(sorted(lost)))
            self._stop(sorted(lost))
        if gained:
            runtime.spawn(self._start)

    def _arm(self, ends: Iterable[float]) -> None:
        """Look again when the first grant ends, unless it is renewed."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        first = min(ends, default=None)
        if first is not None:
            left_s = max(0.0, first - runtime.now()) + 0.001
            self._alarm = runtime.call_later(left_s, runtime.spawn, self._review)
