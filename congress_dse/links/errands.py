"""Errands: requests and commands that cross a link, and the answers that come back.

An answer finds its way by the id of its request: on the side of the one who asked it is a message
to him, on the side of the one who answered it is what came for the link. What is open when a node
goes is answered at once. What nobody waits for any more is counted and dropped.
"""

from collections import OrderedDict
from typing import Any, NamedTuple

from congress_dse import exceptions
from congress_dse.d6message import d6msg
from congress_dse.dataobj import Mark, dataObject, new_state
from congress_dse.rows import Rows

OPEN_MAX = 10_000  # of each direction; the oldest gives way
OLD_STYLE_S = 300.0  # a request without a deadline may be answered this long, and more than once


_LEFT = 6  # the place in a message of the seconds that are left to it


class Open(NamedTuple):
    """A request that crossed the link: whose it is, from or to which nodes, and until when."""

    asker: str
    nodes: frozenset[str]
    until: float
    lasts: bool
    key: str
    dataindex: str


class Errands:
    """The open requests of one link, in both directions."""

    def __init__(self) -> None:
        self._out: OrderedDict[str, Open] = OrderedDict()
        self._in: OrderedDict[str, Open] = OrderedDict()
        self.late = 0

    def go(self, msg: d6msg, nodes: list[str], now: float) -> list[Any]:
        """Note a request or command of this node; return it as a message to `nodes`."""
        left_s = None if msg.deadline is None else max(0.0, msg.deadline - now)
        if msg.type == "req":
            self._note(self._out, msg, frozenset(nodes), now, left_s)
        header = {k: v for k, v in msg.header.items() if k != "dataindex"}
        body = msg.body.data if isinstance(msg.body, dataObject) else msg.body
        to = [msg.correlationId, msg.key, msg.replyTo, msg.dataindex]
        return [msg.type, *to, body, left_s, header]

    def come(self, node: str, message: list[Any], name: str, now: float) -> d6msg:
        """Note what came from `node`; return it as a message of this node, from `name`."""
        kind, id_, key, asker, dataindex, body, left_s, header = message
        msg = d6msg(key, name, id_, kind, dataindex, body)
        msg.via = name
        msg.header |= {**header, "asker": asker, "node": node}
        if left_s is not None:
            msg.deadline = now + left_s
        self._note(self._in, msg, frozenset([node]), now, left_s, asker)
        return msg

    def answer(self, msg: d6msg, now: float) -> tuple[list[str], list[Any]] | None:
        """The answer of a service here as (nodes, message); None when nobody waits for it."""
        asked = self._in.get(msg.correlationId)
        if asked is None or asked.until < now:
            self._in.pop(msg.correlationId, None)
            self.late += 1
            return None
        if not asked.lasts:
            del self._in[msg.correlationId]
        fault, body = _outcome(msg.body)
        to = [msg.correlationId, asked.asker, msg.replyTo, msg.dataindex]
        return sorted(asked.nodes), ["rep", *to, fault, body]

    def answered(self, message: list[Any], now: float) -> d6msg | None:
        """What came back as a message to the one who asked; None when nobody waits for it."""
        _, id_, asker, sender, dataindex, fault, body = message
        asked = self._out.get(id_)
        if asked is None or asked.until < now:
            self._out.pop(id_, None)
            self.late += 1
            return None
        if not asked.lasts:
            del self._out[id_]
        return d6msg(asker, sender, id_, "rep", dataindex, _result(fault, body))

    def lose(self, node: str) -> list[d6msg]:
        """A node is gone: the answers that will not come, as errors to those who wait."""
        lost = [id_ for id_, asked in self._out.items() if asked.nodes == {node}]
        return [self._gone(id_, self._out.pop(id_), node) for id_ in lost]

    def __len__(self) -> int:
        return len(self._out)

    @staticmethod
    def _gone(id_: str, asked: Open, node: str) -> d6msg:
        error = exceptions.LinkError(
            f"node {node} is gone: {asked.dataindex!r} of {asked.key!r} may have been done or not"
        )
        return d6msg(asked.asker, asked.key, id_, "rep", asked.dataindex, error)

    @staticmethod
    def _note(
        kept: OrderedDict[str, Open],
        msg: d6msg,
        nodes: frozenset[str],
        now: float,
        left_s: float | None,
        asker: str = "",
    ) -> None:
        until = now + (OLD_STYLE_S if left_s is None else left_s)
        who = asker or msg.replyTo
        kept[msg.correlationId] = Open(who, nodes, until, left_s is None, msg.key, msg.dataindex)
        if len(kept) > OPEN_MAX:
            kept.popitem(last=False)


def age(message: list[Any], late_s: float) -> None:
    """Take what a request or command spent under way off the time that is left to it."""
    timed = len(message) > _LEFT and message[0] in {"req", "cmd"}
    if timed and isinstance(message[_LEFT], int | float):
        message[_LEFT] = max(0.0, message[_LEFT] - late_s)


def _outcome(body: Any) -> tuple[list[str], Any]:
    """An answer as ([] or [kind, text] of its error, plain value)."""
    if isinstance(body, Exception):
        known = type(body).__name__ if isinstance(body, exceptions.EngineError) else ""
        text = str(body) if known else f"{type(body).__name__}: {body}"
        return [known or "RequestFailed", text], None
    if not isinstance(body, dataObject):
        return [], ["value", body]
    data = body.data
    if isinstance(data, Rows):
        return [], ["rows", set(data.rows()), body.epoch, body.version]
    return [], ["value", data]


def _result(fault: list[str], body: Any) -> Any:
    """What `_outcome` made, as the body of an answer; errors are our own, never a stranger's."""
    if fault:
        kind = getattr(exceptions, fault[0], None)
        ours = isinstance(kind, type) and issubclass(kind, exceptions.EngineError)
        return (kind if ours else exceptions.RequestFailed)(fault[1])  # type: ignore[misc]
    if body[0] == "rows":
        return new_state(Rows(body[1], body[3]), Mark(body[2], body[3]))
    return dataObject(body[1])
