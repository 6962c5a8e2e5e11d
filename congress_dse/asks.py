"""Asks: requests whose sender waits for the answer, with a deadline, an explanation and no circles.

A service that asks in its own turn is blocked until the answer comes. Before it waits, the chain
of those that wait already is followed from the receiver on: if it leads back, the ask would never
be answered and is refused at once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from congress_dse import exceptions
from congress_dse.d6message import d6msg
from congress_dse.runtime import chosen as runtime

Route = Callable[[d6msg], None]


class Wait(NamedTuple):
    """A service in whose own turn an ask is open, and the one that it waits for.

    The receiver of a `far` one lives at another node, and is known by its key.
    """

    asker: str
    receiver: str
    dataindex: str
    waiter: runtime.Waiter
    id: str = ""
    far: bool = False


class Asks:
    """The open asks of one cage."""

    def __init__(self, probe: Callable[[Wait, list[Wait]], None] | None = None) -> None:
        self._probe = probe
        self._open: dict[str, runtime.Waiter] = {}
        self._waits: dict[str, Wait] = {}
        self.timeouts = 0

    def ask(
        self,
        msg: d6msg,
        timeout_s: float,
        receivers: tuple[Any, ...],
        route: Route,
        explain: Callable[[tuple[Any, ...]], str],
        actor: Any = None,
    ) -> Any:
        """Send `msg` by `route` and return the data of the first answer to it.

        `receivers` are the mailboxes that its key reaches; `explain` tells what their owners are
        doing, and `actor` is the service in whose turn this is. Who is asked himself waits no
        longer than his asker does. Raises DeadlockError, AskTimeout, or what the receiver answered
        with.
        """
        asker = None if actor is None else str(actor.name)
        waiter, wait = runtime.Waiter(), None
        if asker is not None and len(receivers) == 1:
            far = getattr(receivers[0], "far", False)
            receiver = msg.key if far else getattr(receivers[0], "name", "")
            wait = Wait(asker, receiver, msg.dataindex, waiter, msg.correlationId, far)
            self._waits[asker] = self._checked(wait, "ask would never be answered")
        self._open[msg.correlationId] = waiter
        msg.deadline, limit = _limit(actor, timeout_s)
        try:
            if msg.deadline > runtime.now():
                route(msg)
            in_time = waiter.wait(max(0.0, msg.deadline - runtime.now()))
        finally:
            self._open.pop(msg.correlationId, None)
            if asker is not None and self._waits.get(asker) is wait:
                self._waits.pop(asker, None)  # a coroutine may have another one open
        if not in_time:
            self.timeouts += 1
            raise exceptions.AskTimeout(
                f"ask {msg.dataindex!r} of {msg.key!r}: no answer in {limit}; {explain(receivers)}"
            )
        if isinstance(waiter.value, Exception):
            raise waiter.value
        return waiter.value.data

    def wait_for_room(
        self,
        actor: runtime.Actor | None,
        receiver: str,
        dataindex: str,
        room: runtime.Waiter,
        timeout_s: float | None,
    ) -> bool:
        """Wait for `room` in a full mailbox, in the turn of `actor`; return whether it was in time.

        Raises DeadlockError where the receiver itself waits, in the end, for `actor`.
        """
        if actor is None:
            return room.wait(timeout_s)
        sender = str(actor.name)
        before = self._waits.get(sender)
        wait = Wait(sender, receiver, dataindex, room)
        self._waits[sender] = self._checked(wait, "there would never be room in a full mailbox")
        try:
            return room.wait(timeout_s)
        finally:
            if before is None:
                del self._waits[sender]
            else:
                self._waits[sender] = before  # an ask, which goes on

    def answered(self, msg: d6msg) -> bool:
        """Give an answer to whoever waits for it; return whether anybody did."""
        waiter = self._open.pop(msg.correlationId, None)
        if waiter is None:
            return False
        waiter.send(msg.body)
        return True

    def refuse_all(self, error: Exception) -> None:
        """Answer every open ask with `error`."""
        for waiter in list(self._open.values()):
            waiter.send(error)
        self._open.clear()

    def open(self, id_: str) -> bool:
        """Whether this ask is still waited for."""
        return id_ in self._open

    def waiting(self, service: str) -> Wait | None:
        """The ask that blocks `service`, if one does."""
        return self._waits.get(service)

    def waits(self) -> list[tuple[str, str, str]]:
        """(who, for whom, for what) of every service that is blocked by an ask of its own."""
        return [(w.asker, w.receiver, w.dataindex) for w in self._waits.values()]

    def __len__(self) -> int:
        return len(self._open)

    def _checked(self, wait: Wait, what: str) -> Wait:
        """Return `wait`, or raise DeadlockError with `what` where it would close a circle."""
        hops = [wait]
        following: Wait | None = wait
        while following is not None:
            if following.receiver == wait.asker:
                way = " -> ".join([wait.asker, *(f"{h.receiver} ({h.dataindex})" for h in hops)])
                raise exceptions.DeadlockError(f"{what}: {way}")
            following = None if following.far else self._waits.get(following.receiver)
            if following is not None and following.waiter.done:
                following = None  # it has what it waited for, and goes on in its next turn
            if following is not None:
                hops.append(following)
        if len(hops) > 1 and hops[-1].far and self._probe is not None:
            self._probe(wait, hops)  # the circle may close beyond a link
        return wait


def _limit(actor: runtime.Actor | None, timeout_s: float) -> tuple[float, str]:
    """Until when an ask of `actor` waits, and that in words: no longer than he is waited for."""
    now = runtime.now()
    asked = None if actor is None else actor.in_hand
    if asked is None or asked.deadline is None or asked.deadline >= now + timeout_s:
        return now + timeout_s, f"{timeout_s:g} s"
    left_s = max(0.0, asked.deadline - now)
    return asked.deadline, f"the {left_s:.3g} s for which {asked.replyTo!r} still waited"
