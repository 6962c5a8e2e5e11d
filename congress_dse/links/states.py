"""States of a table on the wire: a snapshot, a delta, or data that is no table.

Only what changed crosses a link. The far side puts it to the version that it holds, so a delta
fits exactly one version; what does not fit is answered with a snapshot, not guessed.
"""

from typing import Any

from congress_dse.dataobj import Mark, dataObject, new_state
from congress_dse.exceptions import WireError
from congress_dse.links.wire import flat, unflat
from congress_dse.rows import Rows, difference

ROWS, DELTA, DATA = "rows", "delta", "data"


def packed(state: dataObject, snapshot: bool = False) -> list[Any]:
    """`state` as plain values: epoch, version, since, opaque, answers, kind and payload."""
    head = [state.epoch, state.version]
    tail = [state.opaque, state.answers]
    if not isinstance(state.data, Rows) or state.opaque:
        return [*head, None if snapshot else state.since, *tail, DATA, _plain(state.data)]
    if snapshot or state.since is None:
        return [*head, None, *tail, ROWS, flat(state.data.rows())]
    return [*head, state.since, *tail, DELTA, [flat(state.added), flat(state.removed)]]


def _plain(data: Any) -> Any:
    return data.rows() if isinstance(data, Rows) else data


class Replica:
    """One table of one far publisher, as far as it is known here."""

    def __init__(self) -> None:
        self.state: dataObject | None = None
        self.behind = False
        self._asks = 0

    def receive(self, parcel: list[Any]) -> dataObject | None:
        """Take what `packed` made; return the state it leads to, None when it leads to none.

        Afterwards `behind` says whether a snapshot is wanted. Raises WireError for what is none.
        """
        epoch, version, since, opaque, answers, kind, payload = _checked(parcel)
        mark = Mark(epoch, version)
        if since is None:
            wanted = self._news(mark, opaque, answers)
        elif opaque:
            wanted = self._next_opaque(mark, since)
        else:
            wanted = self._fits(mark, since)
        if not wanted:
            return None
        if kind == DELTA:
            self.state = self._delta(mark, since, unflat(payload[0]), unflat(payload[1]))
        elif kind == ROWS:
            self.state = self._snapshot(mark, unflat(payload))
        else:
            self.state = new_state(payload, mark, since)
            self.state.opaque = opaque
        self.behind = False
        return self.state

    def marked(self, mark: Mark) -> bool:
        """Take how far the publisher is; return whether a snapshot is wanted."""
        now = self.state
        if now is None or now.epoch != mark.epoch or now.version < mark.version:
            self.behind = True
        return self.behind

    def ask(self) -> int:
        """The number that the answer to a request for a snapshot will bear."""
        self.behind = True
        self._asks += 1
        return self._asks

    def snapshot(self, answers: int = 0) -> dataObject | None:
        """The present state for somebody who has none; None before the first."""
        now = self.state
        if now is None:
            return None
        rows = now.data if isinstance(now.data, Rows) else frozenset()
        made = new_state(now.data, Mark(now.epoch, now.version), None, rows)
        made.opaque, made.answers = now.opaque, answers
        return made

    def _fits(self, mark: Mark, since: int) -> bool:
        """Whether a change on `since` can be put to what is here; if not, notes what is wanted."""
        now = self.state
        if now is not None and now.epoch == mark.epoch and mark.version <= now.version:
            return False  # a repetition
        if now is None or now.epoch != mark.epoch or now.version != since:
            self.behind = True
            return False
        return True

    def _news(self, mark: Mark, opaque: bool, answers: int) -> bool:
        """Whether a snapshot tells something new."""
        now = self.state
        if now is None or mark.epoch > now.epoch or (answers and answers == self._asks):
            return True
        if mark.epoch < now.epoch:
            self.behind = True  # of a life that ended, or of a clock set back: ask to be sure
            return False
        if mark.version == now.version and not opaque:
            self.behind = False
        return mark.version > now.version or (opaque and mark.version == now.version)

    def _next_opaque(self, mark: Mark, since: int) -> bool:
        """Whether a change in a driver's own dialect comes next; it may be the first of all."""
        now = self.state
        if now is None or now.epoch != mark.epoch:
            return True
        if mark.version > now.version and since > now.version:
            self.behind = True
        return bool(mark.version > now.version >= since)

    def _delta(self, mark: Mark, since: Any, added: Any, removed: Any) -> dataObject:
        before = None if self.state is None else self.state.data
        if not isinstance(before, Rows):
            before = Rows(())
        return new_state(before.next(added, removed, mark.version), mark, since, added, removed)

    def _snapshot(self, mark: Mark, rows: set[Any]) -> dataObject:
        """A snapshot within the same life is one more step: it costs each follower its change."""
        now = self.state
        if now is None or now.epoch != mark.epoch or not isinstance(now.data, Rows):
            return new_state(Rows(rows, mark.version), mark, None, rows)
        added, removed = difference(now.data.rows(), rows)
        after = now.data.next(added, removed, mark.version)
        return new_state(after, mark, now.version, added, removed)


def _checked(parcel: Any) -> list[Any]:
    """The seven values of a state, of their types; raises WireError for what is none."""
    if not isinstance(parcel, list) or [type(x) for x in parcel[:5]] not in _HEADS:
        raise WireError("a state of a table that is none")
    kind = parcel[5] if len(parcel) == 7 else None
    if kind not in _KINDS or (kind != DATA and type(parcel[6]) is not list):
        raise WireError("a state of a table whose kind is none")
    if kind == DELTA and (len(parcel[6]) != 2 or parcel[2] is None or parcel[3]):
        raise WireError("a delta of a table that is none")
    return parcel


_KINDS = [ROWS, DELTA, DATA]
_HEADS = [[int, int, int, bool, int], [int, int, type(None), bool, int]]
