"""Dead letters: messages that nobody matched, that were dropped, that came too late or that failed.

They are counted by reason and kept in a ring, from which they can be listed, replayed and
discarded. A flood of them is logged once a second.
"""

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from congress_dse.d6message import d6msg

LOG = logging.getLogger(__name__)
KEPT = 1000  # letters; the oldest gives way
LOG_EVERY_S = 1.0


@dataclass(frozen=True)
class DeadLetter:
    """One message that was not handled; `at` is seconds of the wall clock since 1970."""

    number: int
    at: float
    reason: str
    receiver: str
    msg: d6msg
    attempts: int = 0
    stack: str = ""


class DeadLetters:
    """The ring of one cage."""

    def __init__(self, kept: int = KEPT, clock: Callable[[], float] = time.monotonic) -> None:
        self.kept = kept
        self.counts: Counter[str] = Counter()
        self._letters: OrderedDict[int, DeadLetter] = OrderedDict()
        self._number = 0
        self._clock = clock
        self._logged_at = float("-inf")
        self._unlogged = 0

    def add(
        self, msg: d6msg, reason: str, receiver: str = "", attempts: int = 0, stack: str = ""
    ) -> DeadLetter:
        """Keep `msg`; `receiver` names the service that had it, if one did."""
        self._number += 1
        self.counts[reason] += 1
        letter = DeadLetter(
            self._number, time.time(), reason, receiver, _light(msg), attempts, stack
        )
        self._letters[letter.number] = letter
        if len(self._letters) > self.kept:
            self._letters.popitem(last=False)
        self._log(letter)
        return letter

    def letters(self) -> list[DeadLetter]:
        """Those that are kept, oldest first."""
        return list(self._letters.values())

    def take(self, number: int) -> DeadLetter | None:
        """Take one letter out, to replay it or to be rid of it; None when it is not kept."""
        return self._letters.pop(number, None)

    def statistics(self) -> dict[str, Any]:
        """The number kept, and counts by reason since the start."""
        return {"kept": len(self._letters), "counts": dict(self.counts)}

    def _log(self, letter: DeadLetter) -> None:
        now = self._clock()
        if now - self._logged_at < LOG_EVERY_S:
            self._unlogged += 1
            return
        LOG.warning(
            "dead letter %d: %s: %r for %r; %d more unlogged since the last",
            letter.number,
            letter.reason,
            letter.msg,
            letter.receiver or letter.msg.key,
            self._unlogged,
        )
        self._logged_at, self._unlogged = now, 0


def _light(msg: d6msg) -> d6msg:
    """An update without its table: kept, it would hold on to a version that nobody needs."""
    if msg.type != "pub":
        return msg
    return d6msg(msg.key, msg.replyTo, msg.correlationId, msg.type, msg.dataindex)
