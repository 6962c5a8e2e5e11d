"""LeaseWorker: what a master runs beside its engine workers where nodes are coordinated.

It is a process without a hub: it keeps the leases of this node, and tells each engine worker which
sources may run, over a socket in the engine's own directory, a line of JSON each. A worker that has
stopped what it must not run any more says so by the number of what it was told.
"""

import contextlib
import json
import logging
import os
import secrets
import socket
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from congress_dse.counters import Series
from congress_dse.manager import Service, posix
from congress_dse.manager.lines import Lines, Message, encode

LOG = logging.getLogger(__name__)
KEEPER = "congress_dse.keeper"
BACKLOG = 64
STOP_S = 3.0  # in which the locks are given back at a stop


class Worker:
    """An engine worker at the other end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.seen = -1
        self.wants: dict[str, str] | None = None  # until it has read the sources


class LeaseWorker(Service):
    """The keeper of one node's leases, and the desk where engine workers ask for them."""

    name = "leases"
    runtime = "plain"
    announces_ready: ClassVar[bool] = True

    def __init__(self, worker_id: int, path: str, url: str, node: str, lease_s: float) -> None:
        super().__init__(worker_id)
        self._path = path
        self._keeper = import_module(KEEPER).Keeper(url, node, lease_s, self._tell)
        self._keeper.quiet = self._quiet
        self._settle_s: float = self._keeper.leases.times.settle_s
        self._fence_s: float = self._keeper.leases.times.fence_s
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._granted: dict[str, float] = {}
        self._number = 0
        self._left = time.monotonic()  # when a worker was last here that may run on

    def run(self) -> None:
        """Keep leases, and answer workers, until the process ends."""
        self._listener, self._token = listen(self._path)
        self._keeper.start()
        self.place.ready()
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def reload(self) -> None:
        """Nothing: the sources are the engine workers' to name, the rest is for a new start."""

    def terminate(self) -> None:
        """Give back what this node has; its workers have stopped by now."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        end = time.monotonic() + self._fence_s
        while self._workers and time.monotonic() < end:
            time.sleep(0.02)  # they are stopping, too, and have nothing granted after that
        self._keeper.stop(STOP_S)

    def inquire(self, what: str, args: dict[str, Any]) -> dict[str, Any]:
        """Tell the metrics of the leases; nothing else is to be had of a process without a cage."""
        if what != "metrics":
            return {}
        keeper, now = self._keeper, time.monotonic()
        leases = keeper.leases
        counters: list[Series] = [["lease_renewal_failures", {}, keeper.failures]]
        for name, counts in (("lease_grants", leases.grants), ("lease_losses", leases.losses)):
            counters += [[name, {"source": source}, n] for source, n in counts.copy().items()]
        gauges: list[Series] = [
            ["leases_wanted", {}, len(leases.wanted)],
            ["leases_held", {}, len(leases.held)],
        ]
        for source, until in self._granted.items():
            gauges.append(["lease_left_seconds", {"source": source}, max(0.0, until - now)])
        age_s = None if keeper.renewed is None else now - keeper.renewed
        up = age_s is not None and age_s < self._fence_s and not keeper.state
        gauges.append(["coordination_up", {}, int(up)])
        if age_s is not None:
            gauges.append(["lease_renewal_age_seconds", {}, age_s])
        return {"counters": counters, "gauges": gauges}

    def _serve(self, sock: socket.socket) -> None:
        worker, lines, known = Worker(sock), Lines(), not self._token
        with sock, contextlib.suppress(OSError, ValueError, KeyError):
            while data := sock.recv(65536):
                for message in lines.feed(data):
                    known = known or secrets.compare_digest(str(message["token"]), self._token)
                    if not known:
                        return
                    self._take(worker, message)
        with self._lock:
            if worker in self._workers:
                self._workers.remove(worker)
                self._left = time.monotonic()

    def _take(self, worker: Worker, message: Message) -> None:
        """A worker names its sources, or says up to which number it has done as it was told."""
        with self._lock:
            if "wants" in message:
                worker.wants = {str(k): str(v) for k, v in message["wants"].items()}
            worker.seen = int(message.get("seen", worker.seen))
            if worker not in self._workers:
                self._workers.append(worker)
            told = [w.wants for w in self._workers if w.wants is not None]
            self._send(worker)
        if told:  # while workers are being replaced, what their elders wanted stands
            self._keeper.want({k: v for wants in told for k, v in wants.items()})
        if worker.seen == self._number:
            self._keeper.look()

    def _tell(self, granted: dict[str, float]) -> None:
        """Tell every worker; from the keeper's thread, which waits for nobody."""
        with self._lock:
            self._number += granted.keys() != self._granted.keys()
            self._granted = granted
            for worker in self._workers:
                self._send(worker)

    def _send(self, worker: Worker) -> None:
        told = {"granted": self._granted, "number": self._number, "state": self._keeper.state}
        data = encode({**told, "fence_s": self._fence_s})
        try:
            sent = worker.sock.send(data, getattr(socket, "MSG_DONTWAIT", 0))
        except OSError:
            sent = 0
        if sent < len(data):  # it does not read: what it has ends by itself
            with contextlib.suppress(OSError):
                worker.sock.shutdown(socket.SHUT_RDWR)

    def _quiet(self) -> bool:
        """Whether nobody runs any more what was granted before."""
        with self._lock:
            done = all(worker.seen == self._number for worker in self._workers)
            return done and time.monotonic() - self._left > self._settle_s


def listen(path: str) -> tuple[socket.socket, str]:
    """A socket that the workers of this engine find, and the word by which they are known.

    Where there are no Unix sockets, `path` is a file of the owner's with both.
    """
    if posix.UNIX:
        Path(path).unlink(missing_ok=True)  # a lease worker's before us
        return posix.bind_unix(path, 0o600, BACKLOG), ""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    host, port = listener.getsockname()
    token = secrets.token_hex(32)
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump({"host": host, "port": port, "token": token}, file)
    os.replace(f"{path}.new", path)
    return listener, token
