"""What crosses to a spawned worker: plain values, one channel, listed sockets, a sealed rest.

The rest (the service's class, its arguments, the hooks) is pickled a second time inside the first,
so that the child opens it only after its runtime has patched what it patches.
"""

import os
import pickle
from dataclasses import dataclass
from multiprocessing import reduction
from socket import socket
from typing import Any


class Handed:
    """A socket on its way to the process being spawned.

    By plain numbers, since a program that eventlet has patched has socket's enumerations twice.
    """

    def __init__(self, sock: socket) -> None:
        self._sock: Any = sock

    def __getstate__(self) -> Any:
        sock = self._sock
        if os.name != "posix":
            return sock
        kind = (int(sock.family), int(sock.type), sock.proto)
        return (reduction.DupFd(sock.fileno()), *kind)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple):
            handle, family, kind, proto = state
            state = socket(family, kind, proto, fileno=handle.detach())
        self._sock = state

    def take(self) -> socket:
        """The socket."""
        sock: socket = self._sock
        return sock


class Sealed:
    """Parts that are pickled when a process is being spawned, and opened by the child."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self._parts: dict[str, Any] | None = parts
        self._data = b""

    def __getstate__(self) -> bytes:
        return bytes(reduction.ForkingPickler.dumps(self._parts))

    def __setstate__(self, data: bytes) -> None:
        self._parts, self._data = None, data

    def open(self) -> dict[str, Any]:
        """The parts; in the child this loads the service's module."""
        if self._parts is None:
            # Trusted: our own parent wrote it, over the pipe that spawned us.
            self._parts = pickle.loads(self._data)  # noqa: S301
        return self._parts


@dataclass
class Charter:
    """Everything a worker is told at its birth."""

    serial: int
    service: str
    slot: int
    generation: int
    title: str
    runtime: str
    channel: Handed
    beat_s: float
    liveness_s: float
    box_path: str
    log_level: int
    log_format: str
    log_file: str
    sealed: Sealed
    parked: tuple[str, ...] = ()
    slots: tuple[int, ...] = (0,)
