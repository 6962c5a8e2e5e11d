"""Tables as they travel: a snapshot, then numbered deltas.

* A table is a set of rows, a row a tuple of scalars. Any other data travels whole.
* ``version`` counts the changes of one life of the publisher, ``epoch`` names that life; a later
  life has a higher epoch.
* A subscriber applies deltas in order and once. One that comes early is held, up to `HELD_MAX`, and
  the subscriber is ``behind`` until the missing one or a snapshot arrives. Repeats and the past are
  ignored. A mark (epoch, version) shows a subscriber that the last update was lost.
* Inside a process ``data`` is the whole table by reference, whatever its size; see `rows.Rows`.
"""

import copy
import time
from collections.abc import Callable, Set as AbstractSet
from typing import Any, NamedTuple

from congress_dse.rows import Delta, Number, Rows, as_rows, change, difference, numbers_of

HELD_MAX = 1000  # early deltas per publisher; past this a snapshot is cheaper than waiting

_NOTHING: frozenset[Any] = frozenset()
_last_epoch = [0]


def _new_epoch() -> int:
    """Nanoseconds of the wall clock, but never the same or less twice in a process."""
    _last_epoch[0] = max(_last_epoch[0] + 1, time.time_ns())
    return _last_epoch[0]


_OWN = {dict, list}  # what a table or subscription holds and changes in place


class Mark(NamedTuple):
    """How far a publisher has come."""

    epoch: int
    version: int


class dataObject:
    """A state of one table, and how it came about.

    `since` is the version that a delta builds on, None in a snapshot. `added` and `removed` are
    what changed since the state that the receiver had before. `opaque` data is in a driver's own
    dialect: it is handed on as it is. `answers` is the number of the resync that a snapshot
    answers.
    """

    __slots__ = ("added", "answers", "data", "epoch", "opaque", "removed", "since", "version")

    def __init__(self, data: Any = None, version: int = 0) -> None:
        self.data: Any = {} if data is None else data
        self.version = version or (1 if data else 0)
        self.epoch = 0
        self.since: int | None = None
        self.added: Any = _NOTHING
        self.removed: Any = _NOTHING
        self.opaque = False
        self.answers = 0

    def __str__(self) -> str:
        return str(self.data)


def new_state(
    data: Any, mark: Mark, since: int | None = None, added: Any = _NOTHING, removed: Any = _NOTHING
) -> dataObject:
    """A numbered state; without `since` it is a snapshot."""
    made = dataObject.__new__(dataObject)
    made.data, made.epoch, made.version = data, mark.epoch, mark.version
    made.since, made.added, made.removed = since, added, removed
    made.opaque, made.answers = False, 0
    return made


class pubData:
    """One table of a publisher, its followers and who waits for an answer about it.

    `subscribers` is a dict of name to ``{'type', 'correlationId'}``; `requesters` of name to
    correlation id. One name may hold several subscriptions: `followers` lists them all.
    """

    # What most tables never change: a service is made, and a request handled, faster without it.
    published = False
    _epoch = 0  # set when it first matters: most tables of most services never travel
    _version = 0
    _sent = 0
    changed_at = 0.0  # of the monotonic clock; 0 before the first state
    _rows: Rows | None = None
    _numbers: AbstractSet[Number] = _NOTHING

    def __init__(self, dataindex: str, args: Any = None) -> None:
        self.dataindex = dataindex
        self.args = {} if args is None else args
        self.subscribers: dict[str, dict[str, str]] = {}
        self.requesters: dict[str, str] = {}
        self._waiting: dict[str, str] = {}
        self._followers: dict[str, tuple[str, str]] = {}
        self._ids: dict[str, list[str]] = {}
        self._data: Any = {}

    def update(self, newdata: Any) -> dataObject | None:
        """Take the table's next state and return what to send; None when nothing changed.

        `newdata` is a set of tuples, a `Delta` of the present table, or any other data. With
        followers a set costs one difference and a delta its own size; without, nothing is compared
        or copied. Raises TypeError for a delta of data that is no table.
        """
        if isinstance(newdata, Delta):
            return self._apply(newdata)
        rows = as_rows(newdata) if self._followers else None
        if rows is None:
            self._rows = None
            return self._whole(newdata)
        before = self._own()
        if before is None:
            self._numbers = numbers_of(rows)
            self._rows = Rows(rows, self._version + 1)
            return self._whole(self._rows, added=self._rows)
        added, removed = difference(before.rows(), rows, self._numbers)
        return self._changed(before, added, removed) if added or removed else None

    def hold(self, newdata: Any) -> None:
        """Take the next state without looking for what it changed.

        For a table that nobody follows or asks for, or that its driver turns into its own deltas.
        """
        self._rows = None
        self._version += 1
        self._data = {} if newdata is None else newdata
        self.published = True
        self.changed_at = time.monotonic()

    def get(self) -> dataObject:
        """The present state as a snapshot; ``version`` 0 and ``{}`` before the first one."""
        rows = self._own()
        data = self._data if rows is None else rows
        return new_state(data, self.mark(), None, _NOTHING if rows is None else rows, _NOTHING)

    def dialect(self, data: Any, snapshot: bool) -> dataObject:
        """Number `data`, which a driver's own ``prepush_processor`` made of the present state."""
        made = new_state(data, self.mark(), None if snapshot else self._sent, _NOTHING, _NOTHING)
        made.opaque = True
        if not snapshot:
            self._sent = self._version
        return made

    def held(self) -> Any:
        """The present data as it was published, for a driver's own ``prepush_processor``."""
        return self._data

    def mark(self) -> Mark:
        """How far this table has come; for a subscriber that may have lost the last update."""
        if not self._epoch:
            self._epoch = _new_epoch()
        return Mark(self._epoch, self._version)

    def version(self) -> int:
        """The number of changes so far."""
        return self._version

    def addsubscriber(self, sender: str, type: str, corrId: str) -> None:
        """Note one subscription of `sender`; `type` is ``push`` or ``pull``."""
        self.subscribers[sender] = {"type": type, "correlationId": corrId}
        self._followers[corrId] = (sender, type)
        self._ids.setdefault(sender, []).append(corrId)

    def removesubscriber(self, sender: str, corrId: str = "") -> None:
        """Forget one subscription of `sender`, or all of them."""
        mine = self._ids.get(sender, [])
        for corruuid in [c for c in mine if corrId in {"", c}]:
            del self._followers[corruuid]
            mine.remove(corruuid)
        if mine:
            kind = self._followers[mine[-1]][1]
            self.subscribers[sender] = {"type": kind, "correlationId": mine[-1]}
        else:
            self._ids.pop(sender, None)
            self.subscribers.pop(sender, None)

    def getsubscribers(self, sender: str = "") -> Any:
        """The dict of all subscribers, or the entry of one, [] when it is none."""
        return self.subscribers.get(sender, []) if sender else self.subscribers

    def followers(self, type: str = "push") -> list[tuple[str, str]]:
        """(correlation id, name) of every subscription of this type."""
        return [(corrId, name) for corrId, (name, t) in self._followers.items() if t == type]

    def addrequester(self, sender: str, corrId: str) -> None:
        """Note a request of `sender` that waits for its answer."""
        self.requesters[sender] = corrId
        self._waiting[corrId] = sender

    def requests(self) -> list[tuple[str, str]]:
        """(correlation id, name) of every request that waits, one name may have several."""
        latest = {corrId: name for name, corrId in self.requesters.items()}
        return list({**latest, **self._waiting}.items())

    def requested(self, corrId: str) -> bool:
        """Whether this request still waits."""
        return corrId in self._waiting

    def answered(self, corrId: str, sender: str) -> None:
        """Forget a request."""
        self._waiting.pop(corrId, None)
        if self.requesters.get(sender) == corrId:
            del self.requesters[sender]

    def unused(self) -> bool:
        """Whether nothing was published here and nobody follows or asks."""
        return not (self.published or self._followers or self._waiting or self.requesters)

    def awaited(self) -> bool:
        """Whether anybody follows or asks."""
        return bool(self._followers or self._waiting or self.requesters)

    def followed_by(self, sender: str) -> list[str]:
        """The ids of every subscription of `sender`, oldest first."""
        return list(self._ids.get(sender, ()))

    def followed(self, corrId: str) -> bool:
        """Whether this subscription is known."""
        return corrId in self._followers

    def _whole(self, data: Any, added: Any = _NOTHING, removed: Any = _NOTHING) -> dataObject:
        since = self._version
        self._version = since + 1
        self._data = {} if data is None else data
        self.published = True
        self.changed_at = time.monotonic()
        return new_state(self._data, self.mark(), since, added, removed)

    def _own(self) -> Rows | None:
        """The table as rows of our own, copied once; None for data that is no table."""
        if self._rows is None:
            rows = as_rows(self._data)
            if rows is None:
                return None
            self._numbers = numbers_of(rows)
            self._data = self._rows = Rows(rows, self._version)
        return self._rows

    def _apply(self, delta: Delta) -> dataObject | None:
        before = self._own()
        if before is None:
            if self.published:
                held = type(self._data).__name__
                raise TypeError(f"table {self.dataindex!r} holds a {held}, which has no delta")
            before = self._rows = Rows(())
        added = set(delta.added)
        self._numbers = self._numbers | numbers_of(added)
        added, removed = change(before.rows(), Delta(added, delta.removed), self._numbers)
        return self._changed(before, added, removed) if added or removed else None

    def _changed(self, before: Rows, added: set[Any], removed: set[Any]) -> dataObject:
        self._rows = before.next(added, removed, self._version + 1)
        self._numbers = self._numbers | numbers_of(added)
        return self._whole(self._rows, added, removed)


class _Source:
    """What a subscription knows of one of its publishers."""

    __slots__ = ("behind", "epoch", "held", "state", "version")

    def __init__(self) -> None:
        self.epoch = 0
        self.version: int | None = None
        self.state: dataObject | None = None
        self.held: dict[int, dataObject] = {}
        self.behind = False


class subData:
    """One subscription: per publisher, the state received so far. Belongs to one actor; not shared.

    `dataObjects` holds, per publisher, what the callback returned. `lasting` is false for a
    request, which ends with its answer.
    """

    def __init__(
        self,
        key: str,
        dataindex: str,
        corrId: str,
        callback: Callable[[Any], Any] | None,
        lasting: bool = False,
        pull: bool = False,
    ) -> None:
        self.key = key
        self.dataindex = dataindex
        self.corrId = corrId
        self.callback = callback
        self.dataObjects: dict[str, dataObject] = {}
        self.lasting = lasting
        self.pull = pull
        self._sources: dict[str, _Source] = {}
        self._asks = 0

    def receive(self, sender: str, update: dataObject, late: bool = False) -> list[dataObject]:
        """Take one update; return the states it makes reachable, oldest first.

        With `late` (it waited long) a delta of a table leads straight to the newest state there is.
        """
        source = self._source(sender)
        if update.epoch == 0:  # a publisher that does not number: each update stands alone
            source.state = update
            return [update]
        if update.since is None:
            return self._snapshot(source, update)
        if update.epoch != source.epoch and not (update.opaque and source.version is None):
            source.behind = True
            return []
        return self._delta(source, update, late)

    def pulled(self, sender: str, update: dataObject) -> list[dataObject]:
        """Take the answer of a publisher that was asked, which stands alone."""
        self._source(sender).state = update
        return [update]

    def marked(self, sender: str, mark: Mark) -> bool:
        """Take a mark of `sender`; return whether a snapshot is wanted."""
        source = self._source(sender)
        if source.epoch != mark.epoch or source.version is None or source.version < mark.version:
            source.behind = True
        return source.behind

    def resync(self, sender: str) -> int:
        """Note that a snapshot is asked of `sender`; its answer carries the number returned."""
        self._source(sender).behind = True
        self._asks += 1
        return self._asks

    def behind(self, sender: str) -> bool:
        """Whether an update of `sender` is known to be missing."""
        source = self._sources.get(sender)
        return source is not None and source.behind

    def progress(self) -> dict[str, dict[str, Any]]:
        """Per publisher: the epoch and version that were reached, and whether an update lacks."""
        return {
            sender: {"epoch": s.epoch, "version": s.version, "behind": s.behind}
            for sender, s in list(self._sources.items())
        }

    def getSources(self) -> list[str]:
        """The publishers heard so far."""
        return list(dict.fromkeys([*self.dataObjects, *self._sources]))

    def update(self, sender: str, newdata: dataObject) -> None:
        """Store what the callback made of the last update of `sender`."""
        self.dataObjects[sender] = newdata

    def version(self, sender: str) -> int:
        """The version of what is stored for `sender`, 0 when nothing is."""
        return self.getData(sender).version

    def getData(self, sender: str) -> dataObject:
        """What the callback returned, else the last state received, else an empty one."""
        stored = self.dataObjects.get(sender)
        if stored is not None:
            return stored
        source = self._sources.get(sender)
        return source.state if source is not None and source.state is not None else dataObject()

    def getAllData(self) -> dict[str, dataObject]:
        """The same for every publisher heard so far."""
        return {sender: self.getData(sender) for sender in self.getSources()}

    def _source(self, sender: str) -> _Source:
        source = self._sources.get(sender)
        if source is None:
            source = self._sources[sender] = _Source()
        return source

    def _snapshot(self, source: _Source, update: dataObject) -> list[dataObject]:
        asked_for = update.answers and update.answers == self._asks
        if update.epoch < source.epoch and not asked_for:
            source.behind = True  # from a life that ended, or from a clock set back: ask to be sure
            return []
        if update.epoch == source.epoch and source.version is not None:
            if update.version < source.version:
                return []
            if update.version == source.version and not update.opaque:
                source.behind = bool(source.held)
                return []
        else:
            source.held = {}
        source.epoch = update.epoch
        return self._settle(source, _after(source.state, update))

    def _delta(self, source: _Source, update: dataObject, late: bool) -> list[dataObject]:
        since = update.since or 0
        if source.version is None and update.opaque:
            source.epoch, source.version = update.epoch, since
        if source.version is not None and update.version <= source.version:
            return []
        if source.version is not None and since <= source.version:
            return self._settle(source, _newest(source.state, update) if late else update)
        if len(source.held) >= HELD_MAX:
            source.held.clear()
        source.held[since] = update
        source.behind = True
        return []

    @staticmethod
    def _settle(source: _Source, state: dataObject) -> list[dataObject]:
        """Adopt `state`, then every held delta that now fits."""
        states, held = [state], source.held
        while held and (since := min(held)) <= states[-1].version:
            fitting = held.pop(since)
            if fitting.version > states[-1].version:
                states.append(fitting)
        source.state = states[-1]
        source.version = source.state.version
        source.behind = bool(held)
        return states


def copied(kept: Any) -> Any:
    """A copy of a `pubData` or `subData` to give away: what its receiver does is not seen here."""
    twin = copy.copy(kept)
    for name, value in vars(kept).items():
        if isinstance(value, dict):
            setattr(
                twin, name, {k: copy.copy(v) if type(v) in _OWN else v for k, v in value.items()}
            )
    return twin


def _after(before: dataObject | None, update: dataObject) -> dataObject:
    """The snapshot `update` as the step from `before`: with what it adds and removes."""
    old = before.data if before is not None else None
    if not isinstance(update.data, Rows) or not isinstance(old, Rows):
        return update
    added, removed = difference(old.rows(), update.data.rows())
    return new_state(update.data, Mark(update.epoch, update.version), None, added, removed)


def _newest(before: dataObject | None, update: dataObject) -> dataObject:
    """The newest state that can be reached from `update` inside this process, as one step."""
    rows = update.data
    if not isinstance(rows, Rows) or not rows.superseded():
        return update
    newest, added, removed = rows.latest(update.added, update.removed)
    since = before.version if before is not None else update.since
    return new_state(newest, Mark(update.epoch, newest.version), since, added, removed)
