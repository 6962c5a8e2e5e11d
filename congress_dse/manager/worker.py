"""A worker: choose the runtime, build the service here, serve, beat, stop.

A native thread, the attendant, reads the master's orders and answers for stacks, so that both work
while the hub is blocked; all else it hands to the loop. The channel's end means that the master is
gone: the worker stops, and the attendant ends the process if that takes too long.
"""

import contextlib
import logging
import os
import socket
import sys
import time
from _thread import start_new_thread

import setproctitle

from congress_dse.manager import posix, scratch, streams
from congress_dse.manager.blackbox import BlackBox
from congress_dse.manager.charter import Charter
from congress_dse.manager.hubwatch import HubWatch
from congress_dse.manager.inquiry import answered
from congress_dse.manager.life import Life, Pulse
from congress_dse.manager.lines import Message
from congress_dse.manager.link import Link
from congress_dse.manager.place import Place
from congress_dse.manager.port import Loop, choose
from congress_dse.manager.roster import EXIT_BOOT_FAILED

LOG = logging.getLogger(__name__)
SWEEP_AGAIN_S = 0.1
ORPHAN_S = 1.1  # and a sweep twice: from the master's death to ours, at most
EXIT_ORPHANED = 4
STACKS_MAX = 200_000  # characters of stacks in one answer
_native_sleep = time.sleep  # kept before anything patches it


def main(charter: Charter) -> None:
    """Live one life; the target of the spawned process."""
    posix.ignore(posix.WORKER_IGNORES)
    _log_like_the_master(charter)
    setproctitle.setproctitle(charter.title)
    worker = Worker(charter)
    code = worker.live()
    logging.shutdown()
    sys.exit(code)


class Worker:
    """The host of one life in a process of its own."""

    def __init__(self, charter: Charter) -> None:
        self._charter = charter
        self._link = Link(charter.channel.take())
        self._box = BlackBox(charter.box_path, charter.liveness_s)
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._loop: Loop = choose(charter.runtime)
        name = f"{charter.service}.{charter.slot}"
        self._life = Life(name, self._loop, self._link.send, self._wake)
        self._place = Place(self._link.send, charter.parked, charter.slots)
        self._orphaned = False
        self._watch = HubWatch(self._wake)
        self._pulse = Pulse(charter.beat_s, self._beat)

    def live(self) -> int:
        """Build, serve, stop; the exit code."""
        start_new_thread(self._attend, ())
        with posix.signals(posix.WORKER_SIGNALS, self._signalled, self._wake_out):
            try:
                parts = self._charter.sealed.open()
                self._place.listeners = {n: way.open() for n, way in parts["listeners"].items()}
                self._life.build(parts, self._charter.slot, self._place)
            except (Exception, SystemExit) as error:  # noqa: BLE001 (the service's own code)
                self._life.failed("boot", error)
                return EXIT_BOOT_FAILED
            self._loop.run(self._wake_in, self._turn)
        self._box.close()
        if self._orphaned:
            scratch.sweep()
        return self._life.code or 0

    def _turn(self) -> float | None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_in.recv(4096):
                continue
        self._watch.turned()
        if not self._life.turn():
            return None
        return self._pulse.turn()

    def _beat(self) -> None:
        self._box.beat()
        told = {"requests": self._place.requests, "rss_b": posix.resident_b()}
        self._link.send({"is": "alive", **told})

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_out.send(b".")

    def _signalled(self, word: str, name: str) -> None:
        self._life.post({"order": word, "from": name})

    def _attend(self) -> None:
        while (orders := self._link.receive()) is not None:
            for order in orders:
                if order["order"] == "stacks":
                    stacks = self._loop.stacks()[-STACKS_MAX:]
                    self._link.send({"is": "stacks", "text": stacks, "id": order.get("id")})
                elif order["order"] == "inquire":
                    # Each in a thread of its own: who waits for the hub holds up nobody else.
                    start_new_thread(self._inquired, (order,))
                else:
                    self._life.post(order)
        self._orphaned = True
        if self._life.is_ready:
            self._life.post({"order": "orphan"})
            _native_sleep(ORPHAN_S)
        for pause_s in (0.0, SWEEP_AGAIN_S):
            _native_sleep(pause_s)  # workers that end together keep each other's hands off
            scratch.sweep()  # what the master left: nobody else may come by
        os._exit(EXIT_ORPHANED)

    def _inquired(self, order: Message) -> None:
        """Answer an inquiry, or hand one to the loop that is for the hub's turn."""
        if order.get("turn"):
            self._life.post({**order, "order": "act"})
        else:
            said = answered(self._life, self._watch, order)
            self._link.send({"is": "answer", "id": order["id"], **said})


def _log_like_the_master(charter: Charter) -> None:
    streams.unbuffer()
    root = logging.getLogger()
    if not root.handlers and charter.log_format:
        logging.basicConfig(format=charter.log_format, filename=charter.log_file or None)
    root.setLevel(charter.log_level)
