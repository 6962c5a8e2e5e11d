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


class _Wait(NamedTuple):
    """A service in whose own turn an ask is open, and the one that it waits for."""

    asker: str
    receiver: str
    dataindex: str


class Asks:
    """The open asks of one cage."""

    def __init__(self) -> None:
        self._open: dict[str, runtime.Waiter] = {}
        self._waits: dict[str, _Wait] = {}
        self.timeouts = 0

    def ask(
        self,
        msg: d6msg,
        timeout_s: float,
        receivers: tuple[Any, ...],
        route: Route,
        explain: Callable[[tuple[Any, ...]], str],
    ) -> Any:
        """Send `msg` by `route` and return the data of the first answer to it.

        `receivers` are the mailboxes that its key reaches; `explain` tells what their owners are
        doing. Raises DeadlockError, AskTimeout, or what the receiver answered with.
        """
        actor = runtime.current_actor()
        asker = None if actor is None else str(actor.name)
        if asker is not None and len(receivers) == 1:
            receiver = getattr(receivers[0], "name", "")
            self._waits[asker] = self._checked(_Wait(asker, receiver, msg.dataindex))
        waiter = self._open[msg.correlationId] = runtime.Waiter()
        msg.deadline = runtime.now() + timeout_s
        try:
            route(msg)
            in_time = waiter.wait(max(0.0, msg.deadline - runtime.now()))
        finally:
            self._open.pop(msg.correlationId, None)
            if asker is not None:
                self._waits.pop(asker, None)
        if not in_time:
            self.timeouts += 1
            raise exceptions.AskTimeout(
                f"ask {msg.dataindex!r} of {msg.key!r}: no answer in {timeout_s:g} s; "
                f"{explain(receivers)}"
            )
        if isinstance(waiter.value, Exception):
            raise waiter.value
        return waiter.value.data

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

    def waits(self) -> list[tuple[str, str, str]]:
        """(who, for whom, for what) of every service that is blocked by an ask of its own."""
        return [(w.asker, w.receiver, w.dataindex) for w in self._waits.values()]

    def __len__(self) -> int:
        return len(self._open)

    def _checked(self, wait: _Wait) -> _Wait:
        """Return `wait`, or raise DeadlockError where it would close a circle."""
        hops = [wait]
        following: _Wait | None = wait
        while following is not None:
            if following.receiver == wait.asker:
                way = " -> ".join([wait.asker, *(f"{h.receiver} ({h.dataindex})" for h in hops)])
                raise exceptions.DeadlockError(f"ask would never be answered: {way}")
            following = self._waits.get(following.receiver)
            if following is not None:
                hops.append(following)
        return wait
