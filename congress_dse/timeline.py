"""Timeline: what happened to an engine, kept in its database, so that a restart does not end it.

The master writes, by its `chronicle`. The newest `KEPT` events are kept. Whoever has the database
reads.
"""

import datetime as dt
import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc, pool

KEPT = 10_000
TRIM_EVERY = 200  # written events
BUSY_S = 15

METADATA = sa.MetaData()
_EVENTS = sa.Table(
    "timeline",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("node", sa.String(255), nullable=False),
    sa.Column("worker", sa.String(255), nullable=False),
    sa.Column("kind", sa.String(64), nullable=False, index=True),
    sa.Column("subject", sa.String(255), nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)

Event = dict[str, Any]


def write(link: sa.Connection, events: list[Event]) -> None:
    """Keep these."""
    link.execute(_EVENTS.insert(), events)


def trim(link: sa.Connection) -> None:
    """Forget the oldest, past `KEPT`."""
    newest = link.execute(sa.select(sa.func.max(_EVENTS.c.id))).scalar() or 0
    link.execute(_EVENTS.delete().where(_EVENTS.c.id <= newest - KEPT))


def read(link: sa.Connection, limit: int, before: int = 0, kind: str = "") -> list[Event]:
    """The newest events, newest first; those before the id `before`, and of one `kind`."""
    query = sa.select(_EVENTS).order_by(_EVENTS.c.id.desc()).limit(limit)
    if before:
        query = query.where(_EVENTS.c.id < before)
    if kind:
        query = query.where(_EVENTS.c.kind == kind)
    return [_shown(dict(row)) for row in link.execute(query).mappings()]


class Timeline:
    """The events in one database, by its SQLAlchemy URL. Its calls wait natively."""

    def __init__(self, url: str, node: str = "") -> None:
        self._url = sa.engine.make_url(url)
        self._node = node
        arguments = {"timeout": BUSY_S} if self._url.get_backend_name() == "sqlite" else {}
        self._engine = sa.create_engine(self._url, poolclass=pool.NullPool, connect_args=arguments)
        self._made = False
        self._written = 0

    def write(self, events: list[Event]) -> None:
        """Keep these; raises what the database raises."""
        self._make()
        self._written += len(events)
        with self._engine.begin() as link:
            write(link, [{**e, "node": self._node} for e in events])
            if self._written >= TRIM_EVERY:
                self._written = 0
                trim(link)

    def read(self, limit: int, before: int = 0, kind: str = "") -> list[Event]:
        """As the function of this name."""
        self._make()
        with self._engine.connect() as link:
            return read(link, limit, before, kind)

    def _make(self) -> None:
        """Make the table. Another process may be at it as well: then it is there."""
        if self._made:
            return
        file = _file(self._url)
        if file is not None:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        try:
            METADATA.create_all(self._engine)
        except exc.DBAPIError:
            METADATA.create_all(self._engine)
        self._made = True


def _file(url: sa.engine.URL) -> Path | None:
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database))


def _shown(row: Event) -> Event:
    at = dt.datetime.fromtimestamp(row["at"], dt.UTC)
    return {**row, "at": at.isoformat("T", "milliseconds")}
