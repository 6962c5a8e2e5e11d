"""The master's end of each worker: its process, its channel, its black box.

The start method is taken from a context of our own and never from the process's default, and it is
``spawn``: a worker inherits no locks, no threads and no descriptors but those that are listed.
"""

import logging
import multiprocessing
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from congress_dse.manager import blackbox, worker
from congress_dse.manager.charter import Charter, Handed, Sealed
from congress_dse.manager.lines import Lines, Message, encode
from congress_dse.manager.roster import Spec, Start
from congress_dse.manager.scratch import Scratch

LOG = logging.getLogger(__name__)
BEATS_PER_LIVENESS = 4
CHUNK_B = 65536
REAP_S = 1.0  # from the sentinel to the exit code


@dataclass
class Outfit:
    """What the workers of one service are given, beside what the fleet must know."""

    spec: Spec
    parts: dict[str, Any]
    runtime: str
    title: str


class Child:
    """One spawned worker, as the master has it."""

    def __init__(self, charter: Callable[[socket.socket], Charter]) -> None:
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        self._lines = Lines()
        self._unsent = b""
        self.open = True
        with theirs:
            made = charter(theirs)
            self.serial, self.service, self.box_path = made.serial, made.service, made.box_path
            context = multiprocessing.get_context("spawn")
            self.process = context.Process(target=worker.main, args=(made,), name=made.title)
            try:
                self.process.start()
            except BaseException:
                self._channel.close()
                raise

    @property
    def channel(self) -> socket.socket:
        """What to wait on for its messages."""
        return self._channel

    def tell(self, order: Message) -> None:
        """Give an order; one that reads nothing any more is left to its deadline."""
        self._unsent += encode(order)
        self._flush()

    def messages(self) -> list[Message]:
        """Everything it said since; afterwards ``open`` is false if it will say no more."""
        self._flush()
        found: list[Message] = []
        while self.open:
            try:
                data = self._channel.recv(CHUNK_B)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self.open = bool(data)
            found += self._parse(data)
        return found

    def _flush(self) -> None:
        # What does not fit goes when the worker is next heard: it never holds up the master.
        try:
            while self._unsent:
                self._unsent = self._unsent[self._channel.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = b""

    def reap(self) -> int | None:
        """The exit code of a process whose sentinel has fired; everything of it is closed."""
        self.process.join(REAP_S)
        code = self.process.exitcode
        self._channel.close()
        if code is not None:
            self.process.close()
        return code

    def _parse(self, data: bytes) -> list[Message]:
        try:
            return self._lines.feed(data)
        except ValueError:
            LOG.exception("pid %s: speaks no JSON lines, not heard any more", self.process.pid)
            self.open = False
            return []


class Nursery:
    """Where workers come from: their outfits, and the directory of their black boxes."""

    def __init__(self, title: str) -> None:
        self.outfits: dict[str, Outfit] = {}
        self.title = title
        self._boxes = Scratch()

    def start(self, start: Start, parked: list[str], slots: list[int]) -> Child:
        """Spawn the worker that the fleet decided on."""
        outfit = self.outfits[start.service]
        root = logging.getLogger()

        def charter(channel: socket.socket) -> Charter:
            return Charter(
                serial=start.serial,
                service=start.service,
                slot=start.slot,
                generation=start.generation,
                title=f"{self.title}: {outfit.title} worker({start.slot})",
                runtime=outfit.runtime,
                channel=Handed(channel),
                beat_s=beat_s(outfit.spec),
                liveness_s=outfit.spec.liveness_s,
                box_path=os.path.join(self._boxes.path, str(start.serial)),
                log_level=root.level,
                log_format=log_format(root),
                log_file=log_file(root),
                sealed=Sealed(outfit.parts),
                parked=tuple(parked),
                slots=tuple(slots),
            )

        return Child(charter)

    def close(self) -> None:
        """Remove the black boxes."""
        self._boxes.close()


def beat_s(spec: Spec) -> float:
    """How often a worker beats: often enough for its limits, and no more."""
    intervals = [spec.liveness_s / BEATS_PER_LIVENESS] if spec.liveness_s else []
    if spec.max_requests or spec.max_rss_b:
        intervals.append(1.0)
    return min(intervals, default=3600.0)


def log_file(root: logging.Logger) -> str:
    """The file that the master logs to, which its workers append to; empty for standard error."""
    files = [h.baseFilename for h in root.handlers if isinstance(h, logging.FileHandler)]
    return files[0] if files else ""


def log_format(root: logging.Logger) -> str:
    """The format of the master's own log, for workers that configure none; empty if it has none."""
    for handler in root.handlers:
        formatter = handler.formatter
        if isinstance(formatter, logging.Formatter):
            return getattr(formatter, "_fmt", None) or ""
    return "%(levelname)s:%(name)s:%(message)s" if root.handlers else ""


def last_words(child: Child) -> str:
    """What the black box of `child` holds."""
    text = blackbox.read(child.box_path)
    blackbox.discard(child.box_path)
    return text
