"""Engine: a cage with the datasources of a configuration, or with one worker's share of them.

Every worker reads the whole configuration. Which worker has a source is decided by rendezvous
hashing of its name over the workers that serve, so that a change of their number moves as few
sources as can be; a source may name its worker instead.
"""

import hashlib
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from congress_dse import config, sources
from congress_dse.d6cage import d6Cage
from congress_dse.exceptions import DataServiceError
from congress_dse.manager import options as processes
from congress_dse.sources import Source
from congress_dse.watch import Printer, Watch

LOG = logging.getLogger(__name__)


class Engine:
    """The host of one cage; called by whoever owns the process."""

    def __init__(
        self, files: list[str], watch: dict[str, Any], stop: Callable[[str], object]
    ) -> None:
        self._files = files
        self._watch = watch
        self._stop = stop
        self._slot = 0
        self._slots: tuple[int, ...] = (0,)
        self._running: dict[str, Source] = {}
        self._conf = config.read(files)
        self.cage = d6Cage()

    def share(self, slot: int, slots: Sequence[int]) -> None:
        """Be worker `slot` of `slots`: take the sources that are its own, let the others go."""
        self._slot, self._slots = slot, tuple(slots)
        self._apply(sources.sources(self._conf))
        if self._watch["tables"] and self.cage.service_object("watch") is None:
            printer = Printer(sys.stdout, self._watch["colour"], self._watch["json"])
            watch = self.cage.createservice("watch", factory=Watch)
            watch.follow(self._watch["tables"], printer, lambda: self._stop("nobody reads"))

    def reload(self) -> None:
        """Read the configuration again and apply it; raises ConfigError, and changes nothing."""
        conf = config.read(self._files)
        wanted = sources.sources(conf)
        self._conf = conf
        self._apply(wanted)

    def stop(self) -> None:
        """End the cage and everything in it."""
        timeout_s = self._conf[processes.GROUP].graceful_shutdown_timeout
        # A little less than the master waits before it kills; 0 means as long as it takes.
        killed = self.cage.d6stop(0.9 * timeout_s or float("inf"))
        if killed:
            LOG.warning("killed, being late: %s", ", ".join(killed))

    def _apply(self, every: Iterable[Source]) -> None:
        wanted = {s.name: s for s in every if self._slots and owner(s, self._slots) == self._slot}
        for name in [n for n, source in self._running.items() if wanted.get(n) != source]:
            del self._running[name]
            if self.cage.service_object(name) is not None:
                self.cage.deleteservice(name)
        for name, source in wanted.items():
            if name not in self._running:
                self._create(source)
        LOG.info("serving %s", ", ".join(self._running) or "no source")

    def _create(self, source: Source) -> None:
        """Create one source; one that cannot be had ends nothing; the next reload tries again."""
        try:
            self.cage.createservice(source.name, factory=source.driver, args=source.args)
        except DataServiceError:
            LOG.exception("source %s is left out", source.name)
        else:
            self._running[source.name] = source


def owner(source: Source, slots: Sequence[int]) -> int:
    """The worker that has `source`: the one it names, if that serves, else the highest bidder."""
    if source.worker in slots:
        return int(source.worker or 0)
    return max(slots, key=lambda slot: _bid(source.name, slot))


def _bid(name: str, slot: int) -> bytes:
    return hashlib.blake2b(f"{slot}:{name}".encode(), digest_size=8).digest()
