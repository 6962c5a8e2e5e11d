"""Keeper: the host of a node's leases: it speaks with the coordination service, by tooz.

All of tooz's drivers wait, so the keeper lives in a process without a hub, in one native thread of
its own; what the leases allow is told to whoever asked, after each beat.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote, urlsplit

from congress_dse import locks
from congress_dse.leases import Leases, colliding, times

LOG = logging.getLogger(__name__)
GROUP = b"congress-dse"
LOCK = "congress-dse-source-"
STUCK = 3  # leases without a beat, after which the process is given up
EXIT_STUCK = 5
ANSWER_S = 5.0  # in which the service answers what is asked of it about members
SHORT = {"postgresql"}  # whose locks have but two bytes of a name's MD5

Tell = Callable[[dict[str, float]], None]


class Keeper:
    """The leases of `node` at the service behind `url`; `tell` is given what they allow."""

    def __init__(self, url: str, node: str, lease_s: float, tell: Tell) -> None:
        self.leases = Leases(node, times(lease_s))
        self.quiet: Callable[[], bool] = lambda: True
        self.state = ""
        self.failures = 0  # beats in which the service failed
        self.renewed: float | None = None  # when the last beat began in which it did not
        self._url = url
        self._tell = tell
        self._locks: dict[str, Any] = {}
        self._wanted: Mapping[str, str] = {}
        self._joined: list[str] | None = None
        self._groups = True
        self._ended = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._watch = threading.Thread(target=self._look_after, name="watch", daemon=True)
        self._stuck_s = STUCK * lease_s
        self._beaten = monotonic()
        self._coordinator: Any = None
        self._made = False

    def start(self) -> None:
        """Keep leases from now on."""
        logging.getLogger("tooz").setLevel(logging.CRITICAL)  # what it says we say, once
        self._thread.start()
        self._watch.start()

    def want(self, pins: Mapping[str, str]) -> None:
        """These sources are configured here, each with the node that it names; from any thread."""
        if dict(pins) != self._wanted:
            self._wanted = dict(pins)
            self._wake.set()

    def look(self) -> None:
        """Something has changed that the next beat should see at once; from any thread."""
        self._wake.set()

    def stop(self, within_s: float) -> None:
        """Give every lock back, as far as the service can be reached within this time."""
        self._ended = True
        self._wake.set()
        self._thread.join(within_s)

    def _run(self) -> None:
        while not self._ended:
            begun = monotonic()
            self._wake.clear()
            try:
                self._beat()
                self.renewed = begun
                self._say("")
            except Exception as error:  # noqa: BLE001 (of whatever library a service needs)
                self.failures += 1
                self._say(f"{type(error).__name__}: {error}")
            self._let_go(self.leases.lapsed(monotonic()))
            self._tell(self.leases.granted(monotonic()))
            self._beaten = monotonic()
            self._wake.wait(max(0.05, begun + self.leases.times.beat_s - monotonic()))
        self.leases.want({})
        self.leases.review(monotonic())
        self._let_go(list(self._locks))
        if self._made:
            locks.tried(self._coordinator.stop)

    def _look_after(self) -> None:
        """End the process where a library waits for ever for a service that says nothing.

        What was granted has ended long before; a new process makes new connections.
        """
        while not self._ended:
            sleep(self._stuck_s / 10)
            silent_s = monotonic() - self._beaten
            if silent_s > self._stuck_s and not self._ended:
                LOG.error("coordination: no answer for %.0f s; the lease worker ends", silent_s)
                os._exit(EXIT_STUCK)

    def _beat(self) -> None:
        if not self._made:
            self._coordinator = locks.coordinator(self._url, self.leases)
            self._coordinator.start()
            self._made = True
        self._take_wishes()
        self._coordinator.heartbeat()
        self._prove()
        self._tell(self.leases.granted(monotonic()))
        self._meet()
        # First those that were told in a turn before, and stopped; then those to be told in this.
        self._let_go(self.leases.to_release(monotonic(), self.quiet()))
        self.leases.review(monotonic())
        self._get()

    def _take_wishes(self) -> None:
        if self._wanted == self.leases.wanted:
            return
        wanted = self._wanted
        self.leases.want(wanted)
        if urlsplit(self._url).scheme in SHORT:
            names = {_lock_name(name): name for name in wanted}
            for one, other in colliding(names):
                LOG.error(
                    "sources %s and %s have one lock at PostgreSQL: only one of them will run; "
                    "rename one, or use another service for coordination",
                    names[one],
                    names[other],
                )

    def _prove(self) -> None:
        for name, lock in list(self._locks.items()):
            asked = monotonic()
            if locks.proof(lock):
                self.leases.proved(name, asked)
            else:
                LOG.warning("source %s: its lease is lost; it stops here", name)
                self._forget(name)

    def _get(self) -> None:
        for name in self.leases.to_try(monotonic()):
            lock = self._coordinator.get_lock(_lock_name(name).encode())
            asked = monotonic()
            if locks.got(lock):
                now = monotonic()
                self._locks[name] = lock
                self.leases.got(name, asked, now)
                LOG.info("source %s: this node has its lease, and runs it soon", name)

    def _let_go(self, names: list[str]) -> None:
        for name in names:
            LOG.info("source %s: its lease is given back", name)
            self._forget(name)

    def _forget(self, name: str) -> None:
        lock = self._locks.pop(name)
        self.leases.lost(name)
        locks.leave(lock)

    def _meet(self) -> None:
        """Be a member, and learn who else is, with which sources."""
        if not self._groups:
            return
        try:
            self._join(sorted(self.leases.wanted))
            self.leases.members = self._members()
        except locks.Unable:
            self._groups = False
            LOG.info("coordination: this service knows no members: who comes first has a source")
        except locks.Forgotten:
            self._joined = None  # it forgot us
        except locks.StillThere:
            self._joined = []  # it did not: we leave, and join with what we have now

    def _join(self, names: list[str]) -> None:
        if self._joined == names:
            return
        about = {"node": self.leases.node, "sources": names}
        if self._joined is not None:
            self._coordinator.leave_group(GROUP).get(ANSWER_S)
            self._joined = None
        self._coordinator.join_group_create(GROUP, capabilities=about)
        self._joined = names

    def _members(self) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        members = self._coordinator.get_members(GROUP).get(ANSWER_S)
        for member in members:
            try:
                about = self._coordinator.get_member_capabilities(GROUP, member).get(ANSWER_S)
            except locks.Forgotten:
                continue  # it has just left
            node = str(about["node"])
            found[node] = found.get(node, frozenset()) | frozenset(about["sources"])
        if self.leases.node not in found:
            self._joined = None
        return found

    def _say(self, state: str) -> None:
        if state != self.state:
            self.state = state
            if state:
                LOG.error("coordination: %s; sources stop here until it is back", state)
            else:
                LOG.info("coordination: the service answers again")


def _lock_name(name: str) -> str:
    """The lock of a source; a file's name, too."""
    return LOCK + quote(name, safe="")
