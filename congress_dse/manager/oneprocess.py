"""The debug mode: every service in this one process, in the same lives, without a master."""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from congress_dse.exceptions import ConfigError
from congress_dse.manager import posix
from congress_dse.manager.children import Outfit
from congress_dse.manager.hooks import Hooks
from congress_dse.manager.life import Life
from congress_dse.manager.lines import Message
from congress_dse.manager.orders import SAME_BREATH_S
from congress_dse.manager.place import Place
from congress_dse.manager.port import choose
from congress_dse.manager.roster import EXIT_BOOT_FAILED, Finish

LOG = logging.getLogger(__name__)
IDLE_S = 3600.0


class OneProcess:
    """The lives, and the signals that reach them all."""

    def __init__(
        self, outfits: dict[str, Outfit], hooks: Hooks, signals: Mapping[str, str]
    ) -> None:
        self._table = signals
        runtimes = {outfit.runtime for outfit in outfits.values()}
        if len(runtimes) > 1:
            raise ConfigError(f"one process has one runtime, not {', '.join(sorted(runtimes))}")
        self._outfits = outfits
        self._hooks = hooks
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._loop = choose(runtimes.pop() if runtimes else "plain")
        self._lives: list[Life] = []
        self._signals: list[str] = []
        self._stops = 0
        self._interrupted_at = 0.0

    def run(self) -> Finish:
        """Build everything, serve, stop."""
        with posix.signals(self._table, self._signals.append, self._wake_out):
            for name, outfit in self._outfits.items():
                life = Life(f"{name}.0", self._loop, self._heard, self._wake)
                try:
                    life.build(outfit.parts, 0, self._place(outfit))
                except Exception as error:  # noqa: BLE001 (the service's own code)
                    life.failed("boot", error)
                    return Finish(EXIT_BOOT_FAILED, f"{name}: could not be built: {error}")
                self._lives.append(life)
            self._loop.run(self._wake_in, self._turn)
        codes = [life.code for life in self._lives if life.code]
        return Finish(codes[0], "a service failed") if codes else Finish(0)

    def _place(self, outfit: Outfit) -> Place:
        place = Place(self._heard)
        place.listeners = {n: way.open() for n, way in outfit.parts["listeners"].items()}
        return place

    def _turn(self) -> float | None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_in.recv(4096):
                continue
        while self._signals:
            self.SIGNALLED[self._signals.pop(0)](self)
        going = [life.turn() for life in self._lives]
        if any(life.code for life in self._lives) and not self._stops:
            self._stop()
        return IDLE_S if any(going) else None

    def _stop(self) -> None:
        self._stops += 1
        if self._stops > 1:
            self._stop_now()
            return
        self._hooks.terminate()
        self._post({"order": "stop"})

    def _interrupt(self) -> None:
        now = time.monotonic()
        if not self._stops or now - self._interrupted_at > SAME_BREATH_S:
            self._interrupted_at = now
            self._stop()

    def _stop_now(self) -> None:
        for life in self._lives:
            life.code = 1

    def _reload(self) -> None:
        try:
            self._hooks.reload()
        except Exception:
            LOG.exception("the new configuration is refused")
        else:
            self._post({"order": "reload"})

    def _late(self) -> None:
        if self._stops:
            self._stop_now()

    def _post(self, word: Message) -> None:
        for life in self._lives:
            life.post(word)

    def _heard(self, message: Message) -> None:
        LOG.debug("one process: %s", message["is"])
        if message["is"] == "stop":
            self._signals.append("stop")
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_out.send(b".")

    SIGNALLED: ClassVar[dict[Any, Callable[..., None]]] = {
        "stop": _stop,
        "interrupt": _interrupt,
        "stop-now": _stop_now,
        "reload": _reload,
        "late": _late,
    }


def run_in_one_process(
    outfits: dict[str, Outfit], hooks: Hooks, title: str, signals: Mapping[str, str]
) -> Finish:
    """Run every service here; the same signals mean the same."""
    LOG.info("%s: debug mode, %d services in one process", title, len(outfits))
    return OneProcess(outfits, hooks, signals).run()
