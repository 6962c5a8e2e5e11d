"""Engine: a cage with the datasources of a catalogue, or with one worker's share of them.

Every worker knows all sources. Which worker has a source is decided by rendezvous hashing of its
name over the workers that serve, so that a change of their number moves as few sources as can be; a
source may name its worker instead.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from congress_dse import config, exceptions, factsdesk
from congress_dse.catalogue import Catalogue, store
from congress_dse.d6cage import d6Cage
from congress_dse.enginedesk import KEY, EngineDesk
from congress_dse.exceptions import DataServiceError
from congress_dse.grants import Grants
from congress_dse.inquest import Inquest
from congress_dse.leases import bid, times
from congress_dse.links.joining import join
from congress_dse.links.way import Way
from congress_dse.manager import options as processes
from congress_dse.runtime import chosen as runtime
from congress_dse.sources import Source
from congress_dse.telemetry import Telemetry
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
        self._missing: dict[str, Source] = {}
        self._links: list[Any] = []
        self._telemetry: Telemetry | None = None
        self._grants: Grants | None = None
        self._revision = -1
        self._applying = runtime.Lock()
        self.conf = config.read(files)
        self.catalogue = Catalogue(files, store(self.conf))
        self.cage = d6Cage()
        self._watchdog: Any = None
        if self.conf.blocked_after:
            self._watchdog = runtime.watchdog(self.conf.blocked_after)
            self.cage.blocks = self._watchdog.blocks
        self.inquest = Inquest(self.cage)
        self.control = ""
        self.cage.bus.watchers.append(self._try_again)

    def join(self, way: Way, worker: str) -> None:
        """Become a node of the bus, as the worker of this name."""
        self._links = join(self.cage, way, worker, self.conf[config.LINKS])
        if way.leases:
            self._grants = Grants(way.leases, self._give_up, self._apply)
        self.inquest.grants = self._grants
        self.inquest.worker = worker
        self.control = way.control
        self._telemetry = Telemetry(self.conf, self.cage.bus.node)

    def share(self, slot: int, slots: Sequence[int]) -> None:
        """Be worker `slot` of `slots`: take the sources that are its own, let the others go."""
        self._slot, self._slots = slot, tuple(slots)
        self._apply()
        name = f"engine.{self.cage.bus.node}"
        if self.cage.service_object(name) is None:
            self.cage.createservice(name, [name, KEY], factory=EngineDesk).engine = self
        factsdesk.serve(self.cage, self.inquest)
        # On a bus one worker shows the tables of all.
        shows = slot == min(slots, default=slot) or not self._links
        if self._watch["tables"] and shows and self.cage.service_object("watch") is None:
            printer = Printer(sys.stdout, self._watch["colour"], self._watch["json"])
            watch = self.cage.createservice("watch", factory=Watch)
            watch.follow(self._watch["tables"], printer, lambda: self._stop("nobody reads"))

    def reload(self) -> None:
        """Read the configuration again and apply it; raises ConfigError, and changes nothing."""
        conf = config.read(self._files)
        self.catalogue.reload()
        self.conf = conf
        self._apply()

    def catch_up(self, revision: int) -> int:
        """Apply the stored sources up to `revision` at least; the revision that is applied."""
        if revision > self._revision:
            self._apply()
        return self._revision

    def serves(self, name: str) -> bool:
        """Whether the source `name` runs here."""
        return name in self._running

    def stop(self) -> None:
        """End the cage and everything in it."""
        if self._watchdog is not None:
            self._watchdog.stop()
        self.cage.notice = _unheard  # what ends now is no news
        timeout_s = self.conf[processes.GROUP].graceful_shutdown_timeout
        # A little less than the master waits before it kills; 0 means as long as it takes.
        for link in self._links:
            link.close()
        killed = self.cage.d6stop(0.9 * timeout_s or float("inf"))
        if killed:
            LOG.warning("killed, being late: %s", ", ".join(killed))
        if self._grants is not None:
            self._grants.close()
        if self._telemetry is not None:
            self._telemetry.end()

    def _apply(self) -> None:
        with self._applying:  # what is read first is applied first
            try:
                revision, every = self.catalogue.wanted()
            except exceptions.StoreError as error:
                # What runs goes on. Who starts without a database has what is configured.
                LOG.error("%s; the sources stay as they are", error)
                revision, every = self._revision, self.catalogue.configured()
                every += [s for n, s in self._running.items() if n not in {e.name for e in every}]
            if self._grants is not None:
                self._grants.want({source.name: source.node for source in every})
            self._make_it_so(every)
            self._revision = revision

    def _may(self, source: Source) -> bool:
        """Whether this node has the lease of a source, where nodes are coordinated."""
        return self._grants is None or source.name in self._grants

    def _give_up(self, names: list[str]) -> None:
        """End at once what this node may run no more: another is about to run it."""
        step_s = 0.5 * times(self.conf.links.coordination_lease).stop_s
        ends = [runtime.spawn(self._end, n, step_s) for n in names if self._running.pop(n, None)]
        for end in ends:
            end.wait()

    def _end(self, name: str, step_s: float) -> None:
        with contextlib.suppress(exceptions.NoSuchService):
            self.cage.deleteservice(name, step_s)

    def _make_it_so(self, every: Iterable[Source]) -> None:
        mine = [s for s in every if self._slots and owner(s, self._slots) == self._slot]
        wanted = {s.name: s for s in mine if self._may(s)}
        self._missing = {}
        for name in [n for n, source in self._running.items() if wanted.get(n) != source]:
            del self._running[name]
            if self.cage.service_object(name) is not None:
                self.cage.deleteservice(name)
        for name, source in wanted.items():
            if name not in self._running:
                self._create(source)
        self._tell()

    def _tell(self) -> None:
        LOG.info("serving %s", ", ".join(self._running) or "no source")

    def _create(self, source: Source) -> None:
        """Create one source; one that cannot be had ends nothing; the next reload tries again."""
        node = self.cage.bus.taken(source.name)
        if not self._may(source):
            return
        if node:
            self._missing[source.name] = source
            LOG.info("source %s is at %s and comes here when it ends there", source.name, node)
            return
        try:
            made = self.cage.createservice(source.name, factory=source.driver, args=source.args)
            if self._grants is not None:
                made.lease = lambda: self._may(source)
        except DataServiceError:
            LOG.exception("source %s is left out", source.name)
        else:
            self._running[source.name] = source

    def _try_again(self) -> None:
        """The bus has changed: create what another node had, if it is gone there."""
        for name in [n for n in self._running if self.cage.service_object(n) is None]:
            self._missing[name] = self._running.pop(name)  # it gave way to an elder one
        free = [n for n in self._missing if not self.cage.bus.taken(n)]
        if free and not self.cage.stopping:
            self.cage.do(lambda: self._create_missing(free))

    def _create_missing(self, names: list[str]) -> None:
        for name in names:
            source = self._missing.pop(name, None)
            if source is not None:
                self._create(source)
        self._tell()


def _unheard(_kind: str, _subject: str, _text: str, _level: str) -> None:
    """Whom a cage that is being stopped tells what happens to it."""


def owner(source: Source, slots: Sequence[int]) -> int:
    """The worker that has `source`: the one it names, if that serves, else the highest bidder."""
    if source.worker in slots:
        return int(source.worker or 0)
    return max(slots, key=lambda slot: bid(source.name, slot))
