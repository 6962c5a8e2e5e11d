"""Readings: what clients read of one source at the same time is asked for once.

A read takes part in the next question to its source: one that is sent after the read has come, so
its answer holds whatever any worker had accepted by then. While a question is open, those who come
meanwhile gather for the next one. Tables that were encoded are kept with the version that they are,
up to a size; the source is asked for them by that version, and while it has no other one it says
so instead of sending them again.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from congress_dse.api import asking
from congress_dse.api.app import Context
from congress_dse.api.http import dumps
from congress_dse.exceptions import ApiError
from congress_dse.runtime import chosen as runtime
from congress_dse.store import Entry
from congress_dse.tracing import here

PATIENCE_S = 0.05  # for an open question to be answered; then the next is asked beside it
AT_ONCE = 8  # tables of one message: each may bring as many rows as a message takes
OF_A_BODY_B = 500  # what is kept beside the bytes of a body, about

Part = dict[str, Any]
Mark = tuple[int, int]
What = tuple[str, int]  # a table, and how many of its rows, or 0 for all


class Body:
    """A whole table, or as many rows of it as were asked for, as JSON, and of which version."""

    __slots__ = ("data", "mark")

    def __init__(self, mark: Mark, data: bytes) -> None:
        self.mark, self.data = mark, data


class Bodies:
    """What was encoded and may be asked for again: at most `size_b`, what was used last."""

    def __init__(self, size_b: int) -> None:
        self._size_b = size_b
        self._held: OrderedDict[tuple[str, What], Body] = OrderedDict()
        self.held_b = 0

    def find(self, source: str, what: What) -> Body | None:
        """What is kept of this, of whatever version."""
        found = self._held.get((source, what))
        if found is not None:
            self._held.move_to_end((source, what))
        return found

    def keep(self, source: str, what: What, body: Body) -> None:
        """Keep this in the place of another version, and let go of what was not used for long."""
        self.drop(source, what)
        self._held[source, what] = body
        self.held_b += len(body.data) + OF_A_BODY_B
        while self.held_b > self._size_b:
            self.drop(*next(iter(self._held)))

    def drop(self, source: str, what: What) -> None:
        """Let go of this."""
        old = self._held.pop((source, what), None)
        if old is not None:
            self.held_b -= len(old.data) + OF_A_BODY_B

    def __len__(self) -> int:
        return len(self._held)


class Reading:
    """The rows of a table as they were at one moment, for all who asked for them then.

    `rows` are those of one message, and `marker` is where the next ones begin. `stale` is why they
    are not up to date. Nobody changes what is in it.
    """

    def __init__(self, part: Part, kept: Body | None, keep: Callable[[Body], None]) -> None:
        self.mark: Mark = (part["epoch"], part["version"])
        self.stale: dict[str, Any] = part.get("stale") or {}
        self.rows: list[Any] = part.get("rows") or []
        self.marker: str = part.get("marker") or ""
        self._kept = kept if part.get("same") else None
        self._keep = keep

    def body(self) -> bytes:
        """The whole document that a client gets; made by the first who wants it, and kept.

        Not for what a next page follows: that has to be of the very rows that the source holds.
        """
        if self._kept is None:
            self._kept = Body(self.mark, dumps({"results": [{"data": row} for row in self.rows]}))
            self._keep(self._kept)
        return self._kept.data


class _Read:
    """One read that waits for the answer to the question it takes part in."""

    __slots__ = ("known", "waiter", "what")

    def __init__(self, what: What, known: Mark | None) -> None:
        self.what, self.known = what, known
        self.waiter = runtime.Waiter()


class _Question:
    """What a source is asked next, as the first of those who take part asks for it."""

    def __init__(self, context: Context, entry: Entry) -> None:
        self.context, self.entry = context, entry
        self.reads: list[_Read] = []
        self.sent = False


class Readings:
    """The reads of one API."""

    def __init__(self, size_b: int) -> None:
        self.bodies = Bodies(size_b)
        self._next: dict[str, _Question] = {}
        self._open: dict[str, int] = {}

    def read(self, context: Context, entry: Entry, what: What, known: Mark | None) -> Reading:
        """The rows as they are now; they lack where they are those that the client has `known`.

        Raises ApiError for what the source refuses or leaves open.
        """
        read = _Read(what, known)
        if here.used and here.current() is not None:
            alone = _Question(context, entry)  # its ask is a part of this request's trace
            alone.reads.append(read)
            self._ask(alone)
        else:
            self._take_part(context, entry, read)
        found = read.waiter.value
        if isinstance(found, Reading):
            return found
        assert isinstance(found, Exception)
        raise found.with_traceback(None)

    def _take_part(self, context: Context, entry: Entry, read: _Read) -> None:
        """Take part in the next question, and wait for its answer."""
        key = entry.id
        question = self._next.get(key)
        if question is None:
            question = self._next[key] = _Question(context, entry)
            if key not in self._open:
                runtime.spawn(self._ask_on, question)
        question.reads.append(read)
        if key in self._open and not read.waiter.wait(PATIENCE_S) and not question.sent:
            runtime.spawn(self._ask_on, question)
        read.waiter.wait()

    def _ask_on(self, question: _Question | None) -> None:
        """Ask this, and then what has gathered meanwhile, as long as something has."""
        assert question is not None
        key = question.entry.id
        self._open[key] = self._open.get(key, 0) + 1
        try:
            while question is not None and self._next.get(key) is question:
                del self._next[key]
                self._ask(question)
                question = self._next.get(key)
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    def _ask(self, question: _Question) -> None:
        """Ask a question, and tell all who take part in it."""
        question.sent = True
        wanted: dict[What, list[_Read]] = {}
        for read in question.reads:
            wanted.setdefault(read.what, []).append(read)
        every = list(wanted.items())
        try:
            for at in range(0, len(every), AT_ONCE):
                self._ask_for(question, every[at : at + AT_ONCE])
        finally:
            for read in question.reads:
                if not read.waiter.done:  # whoever asked was killed
                    read.waiter.send(ApiError(503, "the server stops", retry_s=1))

    def _ask_for(self, question: _Question, wanted: list[tuple[What, list[_Read]]]) -> None:
        source = question.entry.id
        bodies = [self.bodies.find(source, what) for what, _ in wanted]
        reads = [
            [*what, list(_unless(body, readers))]
            for (what, readers), body in zip(wanted, bodies, strict=True)
        ]
        try:
            answer = asking.ask(question.context, question.entry, "reads", reads=reads)
        except Exception as error:  # noqa: BLE001 (told to each who waits for it)
            self._told(source, wanted, [error] * len(wanted), bodies)
        else:
            self._told(source, wanted, answer["parts"], bodies)

    def _told(
        self,
        source: str,
        wanted: list[tuple[What, list[_Read]]],
        answers: list[Any],
        bodies: list[Body | None],
    ) -> None:
        for (what, readers), part, body in zip(wanted, answers, bodies, strict=True):
            found: Reading | Exception
            if isinstance(part, Exception):
                found = part
            elif "refused" in part:
                found = asking.refused(part)
            else:
                found = Reading(part, body, _keeper(self.bodies, source, what))
            if isinstance(found, Exception):
                self.bodies.drop(source, what)
            for read in readers:
                read.waiter.send(found)


def _unless(body: Body | None, readers: list[_Read]) -> Iterable[int]:
    """The version that need not be sent: the kept one, or the one that all readers have."""
    if body is not None:
        return body.mark
    known = readers[0].known
    return known if known and all(read.known == known for read in readers) else ()


def _keeper(bodies: Bodies, source: str, what: What) -> Callable[[Body], None]:
    return lambda body: bodies.keep(source, what, body)
