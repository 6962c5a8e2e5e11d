"""The master: carries out what the fleet decides, and tells it what happens.

One thread, which waits for all of it at once: the workers' channels and sentinels, and one socket
that signal handlers and other threads use to wake it. Handlers only queue.
"""

import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from multiprocessing.connection import wait
from typing import Any, ClassVar

from congress_dse.counters import Sums
from congress_dse.manager import posix
from congress_dse.manager.blackbox import read
from congress_dse.manager.children import Child, Nursery, last_words
from congress_dse.manager.deaths import ending
from congress_dse.manager.fleet import Fleet
from congress_dse.manager.hooks import Hooks
from congress_dse.manager.inquiry import Inquiry
from congress_dse.manager.lines import Message
from congress_dse.manager.notify import Notify
from congress_dse.manager.orders import ORDERS
from congress_dse.manager.poison import Poison
from congress_dse.manager.roster import (
    EXIT_BOOT_FAILED,
    Announce,
    Dead,
    Decision,
    Finish,
    Happened,
    Kill,
    Reloaded,
    Replaced,
    Say,
    Start,
    Tell,
)

LOG = logging.getLogger(__name__)


class Master:
    """The host of the fleet."""

    def __init__(
        self, fleet: Fleet, nursery: Nursery, hooks: Hooks, signals: Mapping[str, str]
    ) -> None:
        self.fleet = fleet
        self._signals = signals
        self.nursery = nursery
        self.hooks = hooks
        self.poison = Poison()
        self.notify = Notify()
        self.finish: Finish | None = None
        self.interrupted_at = 0.0
        self.snapshot: dict[str, Any] = {}
        self.waiting: dict[str, list[Future[Any]]] = {}
        self.inquiries: dict[str, Inquiry] = {}
        self.sums = Sums()
        self.children: dict[int, Child] = {}
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._requests: deque[tuple[Message, Future[Any]]] = deque()
        self._watchdog_at = 0.0 if self.notify.watchdog_s else None

    def submit(self, request: Message) -> "Future[Any]":
        """Queue a request from any thread, and wake the master; the future has the answer."""
        future: Future[Any] = Future()
        self._requests.append((request, future))
        self._wake()
        return future

    def run(self) -> Finish:
        """Supervise until all is over; every worker is gone when this returns or raises."""
        with posix.signals(self._signals, self._signalled, self._wake_out):
            try:
                self.obey(self.fleet.begin(time.monotonic()))
                while self.finish is None:
                    self._turn()
            finally:
                self._end()
        return self.finish

    def obey(self, decisions: list[Decision]) -> None:
        """Carry out decisions, in their order."""
        for decision in decisions:
            self.CARRY_OUT[type(decision)](self, decision)

    def ear(self, serial: int) -> Child:
        """The worker with this number."""
        return self.children[serial]

    def tell_service(self, service: str, order: Message) -> None:
        """Give an order to every worker of `service`."""
        for child in self.children.values():
            if child.service == service:
                child.tell(order)

    # One turn.

    def _turn(self) -> None:
        self._take_snapshot()
        sources: dict[Any, Callable[[], None]] = {self._wake_in: self._woken}
        for child in self.children.values():
            sources[child.process.sentinel] = partial(self._buried, child)
            if child.open:
                sources[child.channel] = partial(self._heard, child)
        ready = wait(list(sources), self._wait_s())
        # Channels before sentinels: what a worker said last comes before its death.
        for source in sorted(ready, key=lambda s: isinstance(s, int)):
            sources[source]()
        while self._requests:
            self._requested(*self._requests.popleft())
        self._tick()

    def _wait_s(self) -> float | None:
        inquiries = (inquiry.until for inquiry in self.inquiries.values())
        due = [t for t in (self.fleet.due(), self._watchdog_at, *inquiries) if t is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _tick(self) -> None:
        now = time.monotonic()
        if self._watchdog_at is not None and now >= self._watchdog_at:
            self.notify.watchdog()
            self._watchdog_at = now + self.notify.watchdog_s
        for ticket in [t for t, inquiry in self.inquiries.items() if inquiry.over(now)]:
            del self.inquiries[ticket]
        self.obey(self.fleet.tick(now))

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_in.recv(4096):
                continue

    def _heard(self, child: Child) -> None:
        for message in child.messages():
            self.HEARD[message["is"]](self, child, message)

    def _buried(self, child: Child) -> None:
        self._heard(child)
        del self.children[child.serial]
        code = child.reap()
        for inquiry in self.inquiries.values():
            inquiry.lost(child.serial)
        self.sums.ended(child.serial)
        self._died(child, code, last_words(child))

    def _died(self, child: Child, code: int | None, note: str) -> None:
        member = self.fleet.find(child.serial)
        if member and member.state == "stopping":
            self.poison.ended(child.serial)
        stack = ending(member, code, note).cause if member else note
        for work in self.poison.died(child.serial, stack):
            self._parked(work.service, work.key)
        self.obey(self.fleet.died(child.serial, code, note, time.monotonic()))

    def _parked(self, service: str, key: str) -> None:
        LOG.error("%s: %s ended its workers too often and is parked", service, key)
        self.tell_service(service, {"order": "parked", "keys": self.poison.keys(service)})

    def _requested(self, request: Message, future: "Future[Any]") -> None:
        try:
            ORDERS[request["command"]](self, request, future)
        except Exception as error:
            LOG.debug("%s refused", request["command"], exc_info=True)
            if not future.done():
                future.set_exception(error)

    def _signalled(self, word: str, name: str) -> None:
        # A deque is the one thing a handler may touch; the wake-up socket is written by C.
        self._requests.append(({"command": word, "from": name}, Future()))

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_out.send(b".")

    def _take_snapshot(self) -> None:
        parked = self.poison.statistics()
        self.snapshot = {**self.fleet.statistics(), "parked": parked}

    def _end(self) -> None:
        for child in self.children.values():
            child.process.kill()
        for child in tuple(self.children.values()):
            child.reap()
        self.children.clear()
        self._take_snapshot()
        for futures in self.waiting.values():
            for future in futures:
                future.set_exception(ConnectionAbortedError("the master has stopped"))
        self.nursery.close()
        self._wake_in.close()
        self._wake_out.close()

    # Decisions.

    def _start(self, decision: Start) -> None:
        try:
            slots = self.fleet.crew(decision.service).slots()
            child = self.nursery.start(decision, self.poison.keys(decision.service), slots)
        except Exception as error:
            LOG.exception("%s.%d: cannot be spawned", decision.service, decision.slot)
            note = f"{type(error).__name__}: {error}"
            died = self.fleet.died(decision.serial, EXIT_BOOT_FAILED, note, time.monotonic())
            self.obey(died)
            return
        self.children[decision.serial] = child
        self.fleet.spawned(decision.serial, child.process.pid)

    def _tell(self, decision: Tell) -> None:
        child = self.children.get(decision.serial)
        if child:
            child.tell(decision.order)

    def _kill(self, decision: Kill) -> None:
        child = self.children.get(decision.serial)
        if child is None:
            return
        if not decision.soft:
            stacks = read(child.box_path)
            if stacks:
                LOG.error("pid %s: stacks of its threads\n%s", child.process.pid, stacks)
        (child.process.terminate if decision.soft else child.process.kill)()

    def _say(self, decision: Say) -> None:
        LOG.log(decision.level, "%s", decision.text)

    def _happened(self, decision: Happened) -> None:
        self.hooks.event(vars(decision))

    def _dead(self, decision: Dead) -> None:
        self.hooks.dead_worker(decision.service, decision.slot, decision.exit_code)

    def _announce(self, decision: Announce) -> None:
        if decision.state == "ready":
            self.notify.ready(f"{len(self.children)} workers")
        elif decision.state == "reloading":
            self.notify.reloading()
        else:
            self.notify.stopping()
            self.hooks.terminate()

    def _reloaded(self, decision: Reloaded) -> None:
        self.answer("reload", {"cause": decision.cause, "taken": not decision.cause})
        if not decision.cause:
            LOG.info("reload done")

    def _replaced(self, decision: Replaced) -> None:
        self.answer(f"restart {decision.name}", {"cause": decision.cause})

    def _finish(self, decision: Finish) -> None:
        self.finish = decision

    def answer(self, about: str, result: Any) -> None:
        """Answer everybody who waits for `about`; what they ask next shows what was answered."""
        self._take_snapshot()
        for future in self.waiting.pop(about, ()):
            future.set_result(result)

    # Messages.

    def _ready(self, child: Child, _message: Message) -> None:
        self.obey(self.fleet.ready(child.serial, time.monotonic()))

    def _alive(self, child: Child, m: Message) -> None:
        self.obey(self.fleet.beat(child.serial, time.monotonic(), m["requests"], m["rss_b"]))

    def _failed(self, child: Child, message: Message) -> None:
        self.fleet.failed(child.serial, message["phase"], message["traceback"])

    def _took_reload(self, child: Child, message: Message) -> None:
        self.obey(self.fleet.reloaded(child.serial, message["error"], time.monotonic()))

    def _stacks(self, child: Child, message: Message) -> None:
        if message["id"] is not None:
            self.answer(message["id"], message["text"])
        else:
            LOG.error("pid %s: silent, its stacks\n%s", child.process.pid, message["text"])

    def _answered(self, child: Child, message: Message) -> None:
        self.sums.heard(child.serial, message["answer"].get("counters", ()))
        inquiry = self.inquiries.get(message["id"])
        if inquiry is not None:
            inquiry.heard(child.serial, message, time.monotonic())

    def _told_event(self, child: Child, message: Message) -> None:
        member = self.fleet.find(child.serial)
        name = member.name if member is not None else child.service
        self.hooks.event({**message["event"], "worker": name})

    def _taken(self, child: Child, m: Message) -> None:
        self.poison.taken(child.serial, child.service, m["key"], m["payload"])

    def _done(self, child: Child, message: Message) -> None:
        self.poison.done(child.serial, message["key"])

    def _raised(self, child: Child, message: Message) -> None:
        if self.poison.raised(child.serial, message["key"], message["traceback"]):
            self._parked(child.service, message["key"])

    def _asked_to_stop(self, child: Child, message: Message) -> None:
        reason = f"{child.service}: {message['reason']}"
        self._requests.append(({"command": "stop", "from": reason}, Future()))

    CARRY_OUT: ClassVar[dict[Any, Callable[..., None]]] = {
        Start: _start,
        Tell: _tell,
        Kill: _kill,
        Say: _say,
        Happened: _happened,
        Dead: _dead,
        Announce: _announce,
        Reloaded: _reloaded,
        Replaced: _replaced,
        Finish: _finish,
    }

    HEARD: ClassVar[dict[Any, Callable[..., None]]] = {
        "ready": _ready,
        "alive": _alive,
        "failed": _failed,
        "reloaded": _took_reload,
        "stacks": _stacks,
        "answer": _answered,
        "event": _told_event,
        "taken": _taken,
        "done": _done,
        "raised": _raised,
        "stop": _asked_to_stop,
    }
