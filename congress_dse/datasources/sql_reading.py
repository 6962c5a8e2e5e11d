"""Reading an SQL database: one read-only transaction for each table, rows in batches.

All of it blocks, and runs in a native thread. A table whose changes are followed is read whole at
first and at every n-th time; between, only the rows that are as new as the newest so far.
"""

import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event, exc, pool

from congress_dse import exceptions
from congress_dse.datasources import statements, values
from congress_dse.runtime import chosen as runtime

BATCH = 1000  # rows fetched at a time; beside those of the table no more are held
CONNECT_S = 5
SILENCE_S = 60.0
LOOKS = 10_000  # steps of SQLite's machine between two looks at the clock

# What these say of a lost connection comes as an exception, too. They say it in the native thread,
# where the locks of logging, which are those of greenthreads, may never be had.
SILENT = ("psycopg", "sqlalchemy.pool.impl.NullPool")

Row = tuple[Any, ...]

_LIBPQ = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "congress_dse",
}
CONNECT_ARGS: dict[str, dict[str, Any]] = {
    "psycopg": _LIBPQ,
    "psycopg2": _LIBPQ,
    "pymysql": {"connect_timeout": CONNECT_S, "charset": "utf8mb4"},
}
PLAIN = {  # what a URL that names no driver means
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
READ_ONLY: dict[str, tuple[str, ...]] = {
    "postgresql": (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "SET LOCAL statement_timeout = {deadline_ms:.0f}",
    ),
    "sqlite": ("PRAGMA query_only = ON",),
    "mysql": (
        "SET SESSION max_execution_time = {deadline_ms:.0f}",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    ),
    "mariadb": (
        "SET SESSION max_statement_time = {deadline_s:.3f}",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    ),
    "oracle": ("SET TRANSACTION READ ONLY",),
}


class Query(NamedTuple):
    """How a table is read."""

    text: str
    key: tuple[str, ...] = ()
    change: str | None = None
    whole_every: int = 1


class Followed(NamedTuple):
    """A table as it was last read, by primary key, and the newest value of its change column."""

    columns: Row
    rows: dict[Row, Row]
    newest: Any
    reads: int


class Read(NamedTuple):
    """What one read of a table brought; `rows` is None where nothing changed."""

    columns: Row
    rows: set[Row] | None
    followed: Followed | None = None


class Reader:
    """Reads the tables of one database."""

    def __init__(self, connection: str, queries: dict[str, Query], deadline_s: float, most: int):
        self.queries = queries
        self.deadline_s = deadline_s
        self.most = most
        self.engine = engine(url_of(connection), deadline_s + CONNECT_S)
        self._ends = 0.0
        for name in SILENT:
            logging.getLogger(name).disabled = True

    def read(
        self, wanted: Iterable[str], followed: dict[str, Followed]
    ) -> dict[str, Read | exceptions.SourceError]:
        """Each table, or why it cannot be read; raises SourceError without a connection."""
        found: dict[str, Read | exceptions.SourceError] = {}
        self._ends = time.monotonic() + self.deadline_s
        with _told(), self.engine.connect() as connection:
            for table in wanted:
                try:
                    with _told(), self._read_only(connection):
                        found[table] = self._read(connection, table, followed.get(table))
                except exceptions.SourceError as error:
                    found[table] = error
        return found

    @contextmanager
    def _read_only(self, connection: sa.Connection) -> Iterator[None]:
        """A transaction that cannot write, and that is rolled back whatever it did."""
        left_s = max(0.001, self._ends - time.monotonic())
        with connection.begin() as transaction:
            for statement in READ_ONLY.get(_kind(connection.dialect), ()):
                told = statement.format(deadline_ms=left_s * 1000, deadline_s=left_s)
                connection.exec_driver_sql(told)
            if connection.dialect.name == "sqlite":
                driver: Any = connection.connection.driver_connection
                driver.set_progress_handler(lambda: time.monotonic() > self._ends, LOOKS)
            yield
            transaction.rollback()

    def _read(self, connection: sa.Connection, table: str, before: Followed | None) -> Read:
        query = self.queries[table]
        if query.change is None:
            rows: set[Row] = set()
            with _run(connection, statements.literal(query.text)) as (columns, raw):
                for batch in raw:
                    rows.update(map(values.row, batch))
                    self._check_size(len(rows))
            return Read(columns, rows)
        if before is None or before.newest is None or before.reads % query.whole_every == 0:
            with _run(connection, statements.literal(query.text)) as (columns, raw):
                now = self._follow(query, Followed(columns, {}, None, 0), raw)
            return Read(columns, set(now.rows.values()), now)
        quoting = connection.dialect.identifier_preparer.quote
        text = statements.changed_since(query.text, query.change, quoting)
        with _run(connection, text, {"since": before.newest}) as (columns, raw):
            if columns != before.columns:
                raise exceptions.SourceError("the query has other columns than before")
            now = self._follow(query, before._replace(rows=dict(before.rows)), raw)
        same = now.rows == before.rows
        return Read(columns, None if same else set(now.rows.values()), now)

    def _follow(self, query: Query, before: Followed, raw: Iterable[Iterable[Any]]) -> Followed:
        """Put the rows read into those of `before`, which are ours to change."""
        assert query.change is not None
        at = [_place(before.columns, column) for column in query.key]
        change_at = _place(before.columns, query.change)
        rows, newest = before.rows, before.newest
        for batch in raw:
            for got in batch:
                made: Any = values.row(got)
                rows[tuple(made[place] for place in at)] = made
                change = got[change_at]
                if change is not None and (newest is None or change > newest):
                    newest = change
            self._check_size(len(rows))
        return Followed(before.columns, rows, newest, before.reads + 1)

    def _check_size(self, rows: int) -> None:
        if rows > self.most:
            raise exceptions.SourceError(f"more than {self.most} rows (max_rows)")


def url_of(connection: str) -> sa.URL:
    """The URL, with a driver for PostgreSQL and MySQL where it names none; ValueError for none."""
    try:
        url = sa.make_url(connection)
    except exc.ArgumentError:
        raise ValueError("not a URL such as postgresql://user:password@host/database") from None
    return url.set(drivername=PLAIN.get(url.drivername, url.drivername))


def engine(url: sa.URL, silence_s: float = SILENCE_S) -> sa.Engine:
    """An engine that connects anew for each poll; a file of SQLite is opened read-only.

    A server of MySQL's kind is lost once it has said nothing for `silence_s`.

    A pool would have locks, and a lock of a patched standard library must never be met by two
    native threads: the one that waits is not woken.
    """
    if url.get_backend_name() != "sqlite":
        return _remote(url, silence_s)
    path = url.database or ":memory:"
    if path == ":memory:" or path.startswith("file:"):
        return sa.create_engine(url, poolclass=pool.NullPool)

    def opened() -> sqlite3.Connection:
        address = f"file:{quote(path)}?mode=ro"
        return sqlite3.connect(address, uri=True, timeout=CONNECT_S, check_same_thread=False)

    return sa.create_engine("sqlite://", creator=opened, poolclass=pool.NullPool)


def _remote(url: sa.URL, silence_s: float) -> sa.Engine:
    name, module = url.get_driver_name(), None
    args = dict(CONNECT_ARGS.get(name, {}))
    if name == "pymysql":
        # It is written in Python, and would wait in a hub of the native thread's own.
        module = runtime.unpatched(name)
        args |= {"read_timeout": silence_s, "cursorclass": module.cursors.SSCursor}
    connect_args = {key: value for key, value in args.items() if key not in url.query}
    made = sa.create_engine(url, module=module, connect_args=connect_args, poolclass=pool.NullPool)
    if module is not None:
        made.dialect.supports_server_side_cursors = False  # they would be of the other copy
    event.listen(made, "handle_error", _close_cursor)
    return made


def _kind(dialect: Any) -> str:
    """The name of a dialect; MariaDB's also where the URL says mysql."""
    return "mariadb" if getattr(dialect, "is_mariadb", False) else str(dialect.name)


def listening(connection: str, channels: Iterable[str]) -> Any:
    """A connection of psycopg that listens to these channels of PostgreSQL."""
    url = url_of(connection)
    dialect = engine(url).dialect
    args, kwargs = dialect.create_connect_args(url)
    made: Any = dialect.connect(*args, **{**_LIBPQ, **kwargs, "autocommit": True})
    for channel in channels:
        made.execute(f"LISTEN {dialect.identifier_preparer.quote(channel)}")
    return made


@contextmanager
def _run(
    connection: sa.Connection, text: str, given: dict[str, Any] | None = None
) -> Iterator[tuple[Row, Iterator[Any]]]:
    """The columns of a query and its rows, a batch at a time."""
    streaming = {"stream_results": True, "max_row_buffer": BATCH}
    query = sa.text(text)
    with connection.execute(query, given or {}, execution_options=streaming) as result:
        if not result.returns_rows:
            raise exceptions.SourceError("the query has no rows to give")
        columns = tuple(result.keys())
        twice = {column for column in columns if columns.count(column) > 1}
        if twice:
            raise exceptions.SourceError(f"column {', '.join(sorted(twice))} twice; rename with AS")
        yield columns, result.partitions(BATCH)


def _close_cursor(context: Any) -> None:
    """Close the cursor of a connection that was lost; SQLAlchemy leaves it to the collector."""
    cursor = getattr(context.execution_context, "cursor", None)
    if context.is_disconnect and cursor is not None:
        with suppress(context.dialect.loaded_dbapi.Error):
            cursor.close()


def _place(columns: Row, column: str) -> int:
    try:
        return columns.index(column)
    except ValueError:
        has = ", ".join(columns)
        raise exceptions.SourceError(f"the query has no column {column!r}; it has {has}") from None


@contextmanager
def _told() -> Iterator[None]:
    """Tell of errors in the database's own words, without the statement."""
    try:
        yield
    except exc.DBAPIError as error:
        # The first line: what follows shows the statement, whose cursor has another name each time.
        said = error.orig.args[-1:] if error.orig is not None else ()  # after MySQL's number
        words = str(said[0] if said else "").strip().splitlines() or [type(error.orig).__name__]
        raise exceptions.SourceError(words[0]) from error
    except (exc.SQLAlchemyError, sqlite3.Error, ValueError, OverflowError) as error:
        raise exceptions.SourceError(str(error)) from error
