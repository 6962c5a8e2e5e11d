"""Roll: who is on a bus whose nodes only have a broker in common.

A machine: bodies and the time come in; who is there, and who is no more, comes out.

* Each node sends a ``beacon`` every `BEACON_S`. One that is not heard of for `SILENCE_S`, while we
  ourselves could hear, is gone. A node that stops in order says ``bye``.
* Two nodes *meet*: each numbers its own meetings, and says so to the other with a ``hello`` of its
  own number and of the other's, 0 for one that it does not know. Who is told a number that it did
  not know, and that is no answer to its own, was forgotten: it meets anew, and both begin with
  nothing. So what one of the two has lost of the other never stays lost.
* The beacon says how many bodies each node should have had since they met. Who lacks some for
  `LACKING_MAX` beacons has lost them for good, and meets anew: a broker's full queue drops the
  oldest in silence.
"""

import itertools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from congress_dse.exceptions import WireError
from congress_dse.links.directory import STOPPED

LOG = logging.getLogger(__name__)

BEACON_S = 2.0
SILENCE_S = 7.0
LACKING_MAX = 3  # beacons; a lost connection's messages come late, but they come

HERE, ELSEWHERE, NOWHERE = "here", "elsewhere", ""

Say = Callable[[str, list[Any]], None]


@dataclass
class Meeting:
    """What we and one other node know of each other."""

    epoch: int
    mine: int
    heard: float
    theirs: int = 0
    sent: int = 0
    got: int = 0
    lacking: int = 0
    doubtful: bool = False
    services: int = 0  # that it says it has


class Roll:
    """The nodes behind one broker.

    `say(node, message)` sends; `meet(node, epoch)` and `part(node, why)` are told who comes and
    goes; `place(node)` tells whether the bus knows a node by this link, by another one or not;
    `cut()` ends the bodies that are open.
    """

    def __init__(
        self,
        node: str,
        epoch: int,
        say: Say,
        meet: Callable[[str, int], None],
        part: Callable[[str, str], None],
        place: Callable[[str], str],
        cut: Callable[[], None],
    ) -> None:
        self.node, self.epoch = node, epoch
        self._cut = cut
        self._say, self._meet, self._part, self._place = say, meet, part, place
        self.meetings: dict[str, Meeting] = {}
        self.clash = 0  # the epoch of another node of our name
        self._numbers = itertools.count(1)
        self._shunned: dict[str, int] = {}

    def beacon(self, routes: int) -> list[Any]:
        """What we say to all: how many services we have, and what each node should have had."""
        told = {n: [m.mine, m.sent] for n, m in self.meetings.items() if self._place(n) == HERE}
        return ["beacon", routes, told]

    def sent(self, nodes: Iterable[str]) -> None:
        """A body for `nodes` is on its way."""
        for node in nodes:
            meeting = self.meetings.get(node)
            if meeting is not None:
                meeting.sent += 1

    def came(self, node: str, epoch: int, now: float, counted: bool) -> bool:
        """A body of `node` came, not for the second time; return whether it is of interest.

        `counted` are those that were for us, not for all.
        """
        if node == self.node:
            return epoch != self.epoch
        if self._shunned.get(node, -1) >= epoch:
            return False
        meeting = self.meetings.get(node)
        if meeting is None:
            return True
        if meeting.epoch == epoch:
            meeting.heard = now
            meeting.got += counted
        return meeting.epoch <= epoch

    def take(self, node: str, epoch: int, message: list[Any], now: float) -> None:
        """Take a beacon, a hello or a bye; raises WireError for what is none."""
        kind, *values = message
        if kind not in _VALUES or [type(v) for v in values] != _VALUES[kind]:
            raise WireError(f"a {kind!r} that is none")
        if node == self.node:
            self.clash = epoch
            return
        if self._place(node) == ELSEWHERE:
            self.meetings.pop(node, None)
            return
        meeting = self._known(node, epoch)
        if meeting is None or meeting.epoch <= epoch:
            getattr(self, f"_take_{kind}")(node, epoch, meeting, values, now)

    def doubt(self, node: str) -> None:
        """A word of `node` that only holds in its order came after later ones: meet it anew."""
        if node in self.meetings:
            self.meetings[node].doubtful = True

    def grace(self, now: float) -> None:
        """We could not hear until now, so nobody was silent."""
        for meeting in self.meetings.values():
            meeting.heard = now

    def tick(self, now: float) -> None:
        """Let go of those who are silent."""
        for node, meeting in list(self.meetings.items()):
            if self._place(node) != HERE:
                del self.meetings[node]
            elif now - meeting.heard > SILENCE_S:
                self._leave(node, f"nothing heard for {now - meeting.heard:.1f} s")

    def shun(self, node: str, epoch: int, why: str) -> None:
        """Have nothing more to do with this life of a node."""
        self._shunned[node] = epoch
        self._leave(node, why)

    def renew(self, now: float, why: str) -> None:
        """What was on its way to us is lost: meet everybody anew."""
        for node, meeting in list(self.meetings.items()):
            self._again(node, meeting.epoch, 0, now, why)

    def _take_beacon(
        self, node: str, epoch: int, meeting: Meeting | None, values: list[Any], now: float
    ) -> None:
        services, told = values
        if meeting is None:
            meeting = self._join(node, epoch, 0, now)
        elif meeting.doubtful:
            meeting = self._again(node, epoch, 0, now, "its messages came out of order")
        meeting.services = services
        mine = told.get(self.node)
        if not isinstance(mine, list) or [type(v) for v in mine] != [int, int]:
            mine = [0, 0]
        number, sent = mine
        if number == meeting.theirs and number and meeting.got >= sent:
            meeting.got, meeting.lacking = sent, 0  # more than it meant for us came by a topic
            return
        meeting.lacking += 1
        if meeting.lacking > LACKING_MAX:
            lost = f"{sent - meeting.got} messages of it are lost"
            self._again(node, epoch, 0, now, lost if number == meeting.theirs else "it forgot us")

    def _take_hello(
        self, node: str, epoch: int, meeting: Meeting | None, values: list[Any], now: float
    ) -> None:
        theirs, mine, sent = values
        if meeting is None:
            self._join(node, epoch, theirs, now, sent)
        elif meeting.theirs == theirs:
            return
        elif not meeting.theirs or mine == meeting.mine:
            meeting.theirs, meeting.got, meeting.lacking = theirs, sent, 0
            if mine != meeting.mine:
                # It may have met us after what we told it first: tell it again.
                self._greet(node, meeting)
                self._meet(node, epoch)
        else:
            self._again(node, epoch, theirs, now, "it has met us anew", sent)

    def _take_bye(
        self, node: str, _epoch: int, _meeting: Meeting | None, _values: list[Any], _now: float
    ) -> None:
        self._leave(node, STOPPED)

    def _known(self, node: str, epoch: int) -> Meeting | None:
        """The meeting with this life of a node; what an earlier life had is let go."""
        meeting = self.meetings.get(node)
        if meeting is not None and (meeting.epoch < epoch or self._place(node) != HERE):
            self._leave(node, "it has started anew")
            return None
        return meeting

    def _again(
        self, node: str, epoch: int, theirs: int, now: float, why: str, got: int = 0
    ) -> Meeting:
        LOG.info("node %s is met anew: %s", node, why)
        self._leave(node, why)
        return self._join(node, epoch, theirs, now, got)

    def _join(self, node: str, epoch: int, theirs: int, now: float, got: int = 0) -> Meeting:
        meeting = Meeting(epoch, next(self._numbers), now, theirs, got=got)
        self.meetings[node] = meeting
        self._greet(node, meeting)
        self._meet(node, epoch)
        return meeting

    def _greet(self, node: str, meeting: Meeting) -> None:
        self._cut()  # bodies that are open are counted, and no part of what follows
        self._say(node, ["hello", meeting.mine, meeting.theirs, meeting.sent + 1])

    def _leave(self, node: str, why: str) -> None:
        if self.meetings.pop(node, None) is not None:
            self._part(node, why)


_VALUES: dict[str, list[type]] = {"beacon": [int, dict], "hello": [int, int, int], "bye": []}
