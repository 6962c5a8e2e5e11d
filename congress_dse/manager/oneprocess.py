"""The debug mode: every service in this one process, in the same lives, without a master."""

import contextlib
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from congress_dse.exceptions import ConfigError
from congress_dse.manager import posix
from congress_dse.manager.answer import Answer
from congress_dse.manager.children import Outfit
from congress_dse.manager.deaths import one_line
from congress_dse.manager.hooks import Hooks
from congress_dse.manager.hubwatch import HubWatch
from congress_dse.manager.inquiry import Inquiry
from congress_dse.manager.life import Life
from congress_dse.manager.lines import Message
from congress_dse.manager.oneorders import ORDERS
from congress_dse.manager.orders import SAME_BREATH_S
from congress_dse.manager.place import Place
from congress_dse.manager.port import Loop, choose
from congress_dse.manager.reloading import Reloading
from congress_dse.manager.roster import EXIT_BOOT_FAILED, Finish

LOG = logging.getLogger(__name__)
IDLE_S = 3600.0


class OneProcess:
    """The lives, and the signals and requests that reach them all."""

    loop: Loop

    def __init__(
        self, outfits: dict[str, Outfit], hooks: Hooks, signals: Mapping[str, str]
    ) -> None:
        self._table = signals
        runtimes = {outfit.runtime for outfit in outfits.values()}
        if len(runtimes) > 1:
            raise ConfigError(f"one process has one runtime, not {', '.join(sorted(runtimes))}")
        self._runtime = runtimes.pop() if runtimes else "plain"
        self._outfits = outfits
        self._hooks = hooks
        # Made before the runtime is chosen, which may patch sockets: a native thread wakes by it.
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._lives: list[Life] = []
        self.watch = HubWatch(self._wake)
        self._inquiries: dict[str, Inquiry] = {}
        self._asked: deque[tuple[Message, Answer | None]] = deque()
        self._reloading = Reloading()
        self._waiting: list[Answer] = []
        self._ready_at: dict[str, float] = {}
        self._started_at = time.monotonic()
        self._stops = 0
        self._interrupted_at = 0.0

    def run(self) -> Finish:
        """Build everything, serve, stop."""
        self.loop = choose(self._runtime)
        try:
            with posix.signals(self._table, self._signalled, self._wake_out):
                return self._live()
        finally:
            for answer in self._waiting:
                answer.set_exception(ConnectionAbortedError("the process has stopped"))

    def submit(self, request: Message) -> Answer:
        """Take a request in the calling native thread, which may wait for the answer."""
        answer = Answer()
        try:
            ORDERS[request["command"]](self, request, answer)
        except Exception as error:  # noqa: BLE001 (whoever asked is told, whatever it is)
            answer.set_exception(error)
        return answer

    def queue(self, request: Message, answer: Answer | None = None) -> None:
        """Have `request` acted upon in the hub's next turn; from any thread."""
        self._asked.append((request, answer))
        self._wake()

    def names(self) -> list[str]:
        """The lives that are led here."""
        return [life.name for life in tuple(self._lives)]

    def lives(self) -> list[Life]:
        """The lives that are led here; from any thread."""
        return list(self._lives)

    def inquire_in_turn(self, order: Message, inquiry: Inquiry) -> None:
        """Have an inquiry answered in the hub's turn; who asks waits for no longer than he says."""
        ticket = f"inquiry {id(inquiry)}"
        self._inquiries[ticket] = inquiry
        for life in self.lives():
            life.post({**order, "id": ticket, "order": "act"})

    def snapshot(self) -> dict[str, Any]:
        """What there is, in the form of a master's; from any thread."""
        lives = tuple(self._lives)
        reloading = self._reloading
        return {
            "mode": "one process",
            "state": "stopping" if self._stops else "running",
            "services": {
                _service(life): {
                    "wanted": 1,
                    "ready": int(life.name in self._ready_at),
                    "generation": 1,
                    "held": [],
                    "retry_at": {},
                }
                for life in lives
            },
            "workers": [self._seen(life) for life in lives],
            "reload": {
                "state": reloading.state,
                "cause": reloading.cause,
                "count": reloading.count,
            },
            "parked": [],
        }

    def _seen(self, life: Life) -> dict[str, Any]:
        ready_at = self._ready_at.get(life.name)
        running = "starting" if ready_at is None else "ready"
        return {
            "name": life.name,
            "service": _service(life),
            "slot": 0,
            "pid": os.getpid(),
            "state": "stopping" if self._stops else running,
            "generation": 1,
            "started_at": self._started_at,
            "ready_at": ready_at,
            "beat_at": None,
            "requests": life.requests(),
            "rss_b": posix.resident_b(),
        }

    def _live(self) -> Finish:
        for name, outfit in self._outfits.items():
            heard = partial(self._heard, f"{name}.0")
            life = Life(f"{name}.0", self.loop, heard, self._wake)
            self._lives.append(life)
            try:
                life.build(outfit.parts, 0, self._place(outfit, heard))
            except Exception as error:  # noqa: BLE001 (the service's own code)
                life.failed("boot", error)
                return Finish(EXIT_BOOT_FAILED, f"{name}: could not be built: {error}")
        self.loop.run(self._wake_in, self._turn)
        codes = [life.code for life in self._lives if life.code]
        return Finish(codes[0], "a service failed") if codes else Finish(0)

    def _place(self, outfit: Outfit, heard: Callable[[Message], object]) -> Place:
        place = Place(heard)
        place.listeners = {n: way.open() for n, way in outfit.parts["listeners"].items()}
        return place

    def _turn(self) -> float | None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_in.recv(4096):
                continue
        self.watch.turned()
        while self._asked:
            request, answer = self._asked.popleft()
            self.IN_TURN[request["command"]](self, request, answer)
        going = [life.turn() for life in self._lives]
        if any(life.code for life in self._lives) and not self._stops:
            self._stop({"from": "a service that failed"})
        return self._wait_s() if any(going) else None

    def _wait_s(self) -> float:
        now = time.monotonic()
        if self._reloading.overdue(now):
            self._reload_over(f"no answer from {', '.join(sorted(self._reload_of()))}")
        return min([IDLE_S, *(max(0.0, at - now) for at in self._reloading.times())])

    def _signalled(self, word: str, name: str) -> None:
        # A loop of uvloop has signals wake itself alone, so the word comes with a wake of our own.
        self.queue({"command": word, "from": name})

    def _stop(self, request: Message, _answer: Answer | None = None) -> None:
        self._stops += 1
        if self._stops > 1:
            self._stop_now(request)
            return
        LOG.info("stop, by %s", request["from"])
        self._hooks.terminate()
        self._post({"order": "stop"})

    def _interrupt(self, request: Message, _answer: Answer | None) -> None:
        now = time.monotonic()
        if not self._stops or now - self._interrupted_at > SAME_BREATH_S:
            self._interrupted_at = now
            self._stop(request)

    def _stop_now(self, request: Message, _answer: Answer | None = None) -> None:
        LOG.warning("stop at once, by %s", request["from"])
        self._stops += 1
        for life in self._lives:
            life.code = 1

    def _late(self, request: Message, _answer: Answer | None) -> None:
        if self._stops:
            self._stop_now(request)

    # Reload.

    def _reload(self, request: Message, answer: Answer | None) -> None:
        LOG.info("reload, by %s", request["from"])
        if answer is not None:
            self._waiting.append(answer)
        if self._stops:
            return  # who waits is told at the end
        try:
            self._hooks.reload()
        except Exception as error:
            LOG.debug("the new configuration is refused", exc_info=True)
            self._reload_refused(one_line(f"{type(error).__name__}: {error}"))
        else:
            self._begin_reload()

    def _begin_reload(self) -> None:
        if self._reloading.begin(time.monotonic()):
            self._reloading.in_place = {
                n for n, life in enumerate(self._lives) if life.code is None
            }
            self._post({"order": "reload"})

    def _reload_refused(self, cause: str) -> None:
        if self._reloading.running:  # of an earlier one, which was good and goes on
            LOG.error("reload refused: %s", cause)
            self._answer_reload(cause)
        else:
            self._reloading.begin(time.monotonic())
            self._reload_over(cause)

    def _took_reload(self, request: Message, _answer: Answer | None) -> None:
        names = self.names()
        if names.index(request["life"]) not in self._reloading.in_place:
            return
        self._reloading.in_place.discard(names.index(request["life"]))
        if request["error"]:
            self._reload_over(f"{request['life']}: {request['error']}")
        elif not self._reloading.in_place:
            self._reload_over("")

    def _reload_over(self, cause: str) -> None:
        again = self._reloading.end(cause)
        if cause:
            LOG.error("reload failed, what served before serves on: %s", cause)
        else:
            LOG.info("reload done")
        self._answer_reload(cause)
        if again:
            self._begin_reload()

    def _answer_reload(self, cause: str) -> None:
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer.set_result({"cause": cause, "taken": not cause})

    def _reload_of(self) -> list[str]:
        return [self._lives[n].name for n in self._reloading.in_place]

    # The lives.

    def _post(self, word: Message) -> None:
        for life in self._lives:
            life.post(word)

    def _heard(self, life: str, message: Message) -> None:
        LOG.debug("one process: %s", message["is"])
        if message["is"] == "ready":
            self._ready_at[life] = time.monotonic()
        elif message["is"] == "stop":
            self.queue({"command": "stop", "from": f"{life}: {message['reason']}"})
        elif message["is"] == "event":
            self._hooks.event({**message["event"], "worker": life})
        elif message["is"] == "answer":
            self._answered(life, message)
        elif message["is"] == "reloaded":
            self.queue({"command": "reloaded", "life": life, "error": message["error"]})

    def _answered(self, life: str, message: Message) -> None:
        inquiry = self._inquiries.get(message["id"])
        if inquiry is not None:
            inquiry.heard(self.names().index(life), message, time.monotonic())
            if inquiry.over(time.monotonic()):
                del self._inquiries[message["id"]]

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_out.send(b".")

    IN_TURN: ClassVar[dict[Any, Callable[..., None]]] = {
        "stop": _stop,
        "interrupt": _interrupt,
        "stop-now": _stop_now,
        "reload": _reload,
        "reloaded": _took_reload,
        "late": _late,
    }


def _service(life: Life) -> str:
    return life.name.rpartition(".")[0]
