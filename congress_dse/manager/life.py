"""The life of one service in one process: built, serving, reloading, stopping, over.

The host's loop calls `turn`; everybody else only posts words. The same life is led in a spawned
worker and in the one process of the debug mode.
"""

import logging
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from congress_dse.manager.base import Service
from congress_dse.manager.lines import Message
from congress_dse.manager.place import Place
from congress_dse.manager.port import Loop

LOG = logging.getLogger(__name__)
TRACEBACK_MAX = 20000  # characters of a traceback that cross to the master


class Life:
    """A service, its hooks, and the words it is given; `code` is set when it is over."""

    def __init__(
        self, name: str, loop: Loop, send: Callable[[Message], object], wake: Callable[[], object]
    ) -> None:
        self.name = name
        self.code: int | None = None
        self.is_ready = False
        self.service: Any = None
        self._loop = loop
        self._send = send
        self._wake = wake
        self._words: deque[Message] = deque()
        self._stopping = False

    def post(self, word: Message) -> None:
        """Queue a word, from any thread or a signal handler, and wake the loop."""
        self._words.append(word)
        self._wake()

    def requests(self) -> int:
        """The requests that the service has counted; from any thread."""
        place = getattr(self.service, "place", None)
        return place.requests if place is not None else 0

    def inquire(self, order: Message) -> Any:
        """What the service says of itself; from any thread."""
        inquire = getattr(self.service, "inquire", None)
        return {} if inquire is None else inquire(order["what"], order.get("args") or {})

    def build(self, parts: dict[str, Any], slot: int, place: Place) -> None:
        """Build the service and set it to work."""
        self.service = make(parts["service"], slot, parts["args"], parts["kwargs"], place)
        for hook in parts["hooks"]:
            hook(parts["service_id"], slot, self.service)
        self._loop.beside(self.service.run, self._ran)
        if not getattr(self.service, "announces_ready", False):
            place.ready()
        self.is_ready = True

    def failed(self, phase: str, error: BaseException) -> None:
        """Tell log and master what ended this life."""
        text = "".join(traceback.format_exception(error))
        LOG.error("%s: %s failed\n%s", self.name, phase, text)
        self._send({"is": "failed", "phase": phase, "traceback": text[-TRACEBACK_MAX:]})

    def turn(self) -> bool:
        """Act on the words that came; answer whether life goes on."""
        while self._words:
            word = self._words.popleft()
            self.WORDS[word["order"]](self, word)
        return self.code is None

    def _leave(self, word: Message) -> None:
        if not self._stopping:
            self._send({"is": "failed", "phase": "leaving", "traceback": ""})
        self._stop(word)

    def _stop(self, word: Message) -> None:
        if not self._stopping:
            self._stopping = True
            LOG.info("%s: stops, by %s", self.name, word.get("from", word["order"]))
            self._loop.beside(self.service.terminate, self._terminated)

    def _reload(self, _word: Message) -> None:
        if not self._stopping:
            self._loop.beside(self._reload_all, self._reloaded)

    def _reload_all(self) -> Any:
        for call in self.service.place.before_reload:
            call()
        return self.service.reload()

    def _resized(self, word: Message) -> None:
        self.service.place.slots = tuple(word["slots"])
        resized = getattr(self.service, "resized", None)
        if resized is not None and not self._stopping:
            self._loop.beside(resized, self._took_slots)

    def _took_slots(self, error: BaseException | None) -> None:
        if error is not None:
            self._end("resized", error)

    def _level(self, word: Message) -> None:
        logging.getLogger().setLevel(word["level"])

    def _parked(self, word: Message) -> None:
        parked = self.service.place.parked
        parked.clear()
        parked.update(word["keys"])

    def _replay(self, word: Message) -> None:
        self._loop.beside(lambda: self.service.replay(word["payload"]), self._replayed)

    def _act(self, word: Message) -> None:
        """Do in the hub's turn what an operator asked for, and answer."""
        found: list[Any] = []
        self._loop.beside(
            lambda: found.append(self.inquire(word)),
            lambda error: self._acted(word, found, error),
        )

    def _acted(self, word: Message, found: list[Any], error: BaseException | None) -> None:
        cause = "" if error is None else f"{type(error).__name__}: {error}"
        about = {"blocked_s": 0.0, "stack": "", "cause": cause}
        self._send({"is": "answer", "id": word["id"], "answer": (found or [{}])[0], **about})

    def _ran(self, error: BaseException | None) -> None:
        if error is not None and not self._stopping:
            self._end("run", error)

    def _terminated(self, error: BaseException | None) -> None:
        self._last_counters()
        if error is None:
            self._over(0)
        else:
            self._end("stop", error)

    def _last_counters(self) -> None:
        """Tell what was counted to the end."""
        try:
            answer = self.inquire({"what": "metrics"})
        except Exception:
            LOG.debug("%s: its last counters are not known", self.name, exc_info=True)
            return
        if answer:
            self._send({"is": "answer", "id": "", "answer": {"counters": answer["counters"]}})

    def _replayed(self, error: BaseException | None) -> None:
        if error is not None:
            self._end("replay", error)

    def _reloaded(self, error: BaseException | None) -> None:
        if error is None:
            self._send({"is": "reloaded", "error": ""})
            return
        LOG.error("%s: reload failed", self.name, exc_info=error)
        self._send({"is": "reloaded", "error": f"{type(error).__name__}: {error}"})

    def _end(self, phase: str, error: BaseException) -> None:
        if isinstance(error, SystemExit) and isinstance(error.code, int | None):
            self._over(error.code or 0)
        else:
            self.failed(phase, error)
            self._over(1)

    def _over(self, code: int) -> None:
        self.code = code
        self._wake()

    WORDS: ClassVar[dict[Any, Callable[..., None]]] = {
        "stop": _stop,
        "leave": _leave,
        "orphan": _stop,
        "reload": _reload,
        "level": _level,
        "resized": _resized,
        "parked": _parked,
        "replay": _replay,
        "act": _act,
    }


def make(
    factory: Any, slot: int, args: tuple[Any, ...], kwargs: dict[str, Any], place: Place
) -> Service:
    """Build a service that knows its place before its ``__init__`` runs."""
    if isinstance(factory, type) and issubclass(factory, Service):
        service = _bare(factory, slot, args, kwargs)
        service.place = place
        service.__init__(slot, *args, **kwargs)  # type: ignore[misc]
        return service
    made: Service = factory(slot, *args, **kwargs)
    made.place = place
    return made


def _bare(kind: type[Service], slot: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Service:
    new: Callable[..., Service] = kind.__new__
    own = kind.__new__ is not object.__new__
    return new(kind, slot, *args, **kwargs) if own else new(kind)


class Pulse:
    """When the next heartbeat is due, and what it does."""

    def __init__(self, every_s: float, beat: Callable[[], object]) -> None:
        self._every_s = every_s
        self._beat = beat
        self._due = time.monotonic()

    def turn(self) -> float:
        """Beat if it is time; answer the seconds until the next."""
        now = time.monotonic()
        if now >= self._due:
            self._beat()
            self._due = now + self._every_s
        return self._due - now
