"""What crosses to a spawned worker: plain values, one channel, listed sockets, a sealed rest.

The rest (the service's class, its arguments, the hooks) is pickled a second time inside the first,
so that the child opens it only after its runtime has patched what it patches.
"""

import pickle
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from socket import socket
from typing import Any


class Sealed:
    """Parts that are pickled when a process is being spawned, and opened by the child."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self._parts: dict[str, Any] | None = parts
        self._data = b""

    def __getstate__(self) -> bytes:
        return bytes(ForkingPickler.dumps(self._parts))

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
    channel: socket
    beat_s: float
    liveness_s: float
    box_path: str
    log_level: int
    log_format: str
    sealed: Sealed
    parked: tuple[str, ...] = ()
    measure_memory: bool = False
