"""Chronicle: what happened to an engine, on its way to the timeline of its database.

The master notes; a thread of its own writes, so that nothing waits for the database. What a
database takes is imported there, too: a master has better things to do at its start.
"""

import logging
import threading
import time
from collections import deque
from importlib import import_module
from typing import Any

LOG = logging.getLogger(__name__)
TIMELINE = "congress_dse.timeline"
QUEUE_MAX = 5000  # events that wait for the database; further ones are lost, and counted
TEXT_MAX = 4000  # characters

Event = dict[str, Any]


class Chronicle:
    """The events of one engine. Made, and noted in, by a process that is not patched."""

    def __init__(self, url: str, node: str) -> None:
        self._where = (url, node)
        self._queue: deque[Event] = deque()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._lost = 0
        self._begun = False

    def note(self, event: dict[str, str]) -> None:
        """Have something written that happened now; never waits.

        `event` has ``kind``, ``subject`` and ``text``, and may have ``level`` and ``worker``.
        """
        if len(self._queue) >= QUEUE_MAX:
            self._lost += 1
            return
        self._idle.clear()
        self._queue.append(_noted(event))
        self._wake.set()
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._run, name="timeline", daemon=True).start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Wait until all is written, but not for longer."""
        self._idle.wait(timeout_s)

    def _run(self) -> None:
        try:
            timeline = import_module(TIMELINE).Timeline(*self._where)
        except Exception as error:  # noqa: BLE001 (the engine lives without)
            LOG.warning("timeline: cannot be kept: %s", type(error).__name__)
            return
        while True:
            self._wake.wait()
            self._wake.clear()
            self._write_all(timeline)

    def _write_all(self, timeline: Any) -> None:
        while events := [self._queue.popleft() for _ in range(len(self._queue))]:
            try:
                timeline.write(events)
            except Exception as error:
                text = "timeline: %d events are not kept: %s"
                LOG.warning(text, len(events), type(error).__name__)
                LOG.debug("timeline", exc_info=True)
        if self._lost:
            LOG.warning("timeline: %d events were lost: the database is too slow", self._lost)
            self._lost = 0
        self._idle.set()


def _noted(event: dict[str, str]) -> Event:
    return {
        "at": time.time(),
        "kind": event["kind"][:64],
        "subject": event["subject"][:255],
        "text": event["text"][:TEXT_MAX],
        "level": event.get("level", "info")[:16],
        "worker": event.get("worker", "")[:255],
    }
