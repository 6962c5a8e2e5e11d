"""The events of a table, as server-sent events: a snapshot, then every change.

The id of each is ``epoch.version``: who comes back with it as ``Last-Event-ID`` gets what was
missed, or a new snapshot. ``end`` says that the stream ends here: come back.
"""

from collections.abc import Generator, Iterator

from congress_dse.api import asking
from congress_dse.api.app import Context, Route
from congress_dse.api.feeds import NOTHING, Feeds, Follower
from congress_dse.api.http import Request, Response, dumps
from congress_dse.dataobj import Mark
from congress_dse.runtime import chosen as runtime

HEARTBEAT_S = 15.0
RETRY_MS = 1000  # after which a client comes back


def events(context: Context, request: Request, ds: str, table: str) -> Response:
    """Follow a table."""
    entry = asking.found(context, ds)
    asking.ask(context, entry, "schema", table=table)
    follower = context.parts["feeds"]().follow(entry.name, table, _mark(request))
    body = _Stream(context, follower)
    headers = {
        "content-type": "text/event-stream; charset=UTF-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
    }
    return Response(200, body, headers)


class _Stream(Iterator[bytes]):
    """The bytes of one stream; closing it lets its follower go, also before the first byte."""

    def __init__(self, context: Context, follower: Follower) -> None:
        self._feeds: Feeds = context.parts["feeds"]()
        self._context = context
        self._follower = follower
        self._parts = self._stream()

    def __next__(self) -> bytes:
        return next(self._parts)

    def close(self) -> None:
        """Let go of the table."""
        self._parts.close()
        self._feeds.leave(self._follower)

    def _stream(self) -> Generator[bytes]:
        follower = self._follower
        yield f"retry: {RETRY_MS}\n\n".encode()
        beat = runtime.now() + HEARTBEAT_S
        while not self._feeds.ending:
            if follower.behind():
                yield from follower.news()
                beat = runtime.now() + HEARTBEAT_S
                continue
            left_s = beat - runtime.now()
            if left_s > 0:
                follower.wait(left_s)
                continue
            if self._gone():
                yield self._end("the source was deleted")
                return
            yield b": heartbeat\n\n"
            beat = runtime.now() + HEARTBEAT_S
        yield self._end("the server stops")

    def _gone(self) -> bool:
        """Whether the source was deleted; looked up once for all who follow the table."""
        feed, now = self._follower.feed, runtime.now()
        if now - feed.looked_up > HEARTBEAT_S / 2:
            feed.looked_up = now
            feed.gone = self._context.catalogue.find(feed.source) is None
        return feed.gone

    def _end(self, reason: str) -> bytes:
        at = self._follower.at
        mark = "" if at == NOTHING else f"id: {at.epoch}.{at.version}\n"
        return mark.encode() + b"event: end\ndata: " + dumps({"reason": reason}) + b"\n\n"


def _mark(request: Request) -> Mark:
    """How far the client has come."""
    epoch, _, version = request.headers.get("last-event-id", "").strip().partition(".")
    known = [text for text in (epoch, version) if text.isascii() and text.isdigit()]
    return Mark(int(known[0][:25]), int(known[1][:25])) if len(known) == 2 else NOTHING


ROUTES = [
    Route(
        "GET",
        "/v1/data-sources/{ds}/tables/{table}/events",
        events,
        "Follow a table: a snapshot, then every change, as server-sent events.",
        about={"type": "text/event-stream", "answer": {"type": "string"}},
    ),
]
