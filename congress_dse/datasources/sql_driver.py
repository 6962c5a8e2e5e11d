"""sql: tables from queries on any database that SQLAlchemy knows; it reads, and never writes.

Waiting and fetching is done in a native thread, for the libraries of databases block (psycopg 3
waits in C and gives way to gevent alone). A table with a change column reads only what is new,
and a notification of PostgreSQL has the tables read at once.
"""

import logging
from typing import Any, ClassVar

from oslo_config import cfg
from sqlalchemy import exc

from congress_dse import exceptions
from congress_dse.datasources import statements
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.datasources.named import Named, named
from congress_dse.datasources.sql_reading import Followed, Query, Reader, engine, listening, url_of
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)
READING = 0.9  # part of poll_deadline that the queries have
RELISTEN_S, RELISTEN_MAX_S = 0.5, 30.0  # waits before LISTEN is tried again, doubled each time


class SqlDriver(PollingDataSourceDriver):
    """The tables of one database."""

    DESCRIPTION = "Tables from queries on an SQL database, which are only read."
    OPTIONS: ClassVar[list[Any]] = [
        cfg.StrOpt(
            "connection",
            required=True,
            secret=True,
            help="URL of the database, as SQLAlchemy takes it: "
            "postgresql://user:password@host/database, mysql://..., mariadb://..., "
            "sqlite:////path.",
        ),
        cfg.MultiOpt(
            "query",
            item_type=Named(),
            required=True,
            help="A table and its query, as in: orders: SELECT id, state FROM orders; given once "
            "for each table. The query names the columns.",
        ),
        cfg.MultiOpt(
            "primary_key",
            item_type=Named(),
            help="The columns that tell a table's rows apart, as in: items: order_id, line; "
            "needed where change_column is given.",
        ),
        cfg.MultiOpt(
            "change_column",
            item_type=Named(),
            help="A column that grows with every change of a row, as in: orders: updated_at; "
            "a poll reads only the rows that are as new as the newest so far, or newer.",
        ),
        cfg.IntOpt(
            "full_read_every",
            default=10,
            min=1,
            help="A table with a change_column is read whole at each such poll, for the rows "
            "that are gone and for those that were committed late.",
        ),
        cfg.ListOpt(
            "listen",
            default=[],
            help="Channels of PostgreSQL; a NOTIFY on one of them has the tables read at once.",
        ),
        cfg.IntOpt(
            "max_rows", default=1_000_000, min=1, help="Rows that one table may have at most."
        ),
    ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keys, changes = named(self.args["primary_key"]), named(self.args["change_column"])
        every = int(self.args["full_read_every"])
        queries = {
            table: Query(text, _words(keys.get(table, "")), changes.get(table), every)
            for table, text in named(self.args["query"]).items()
        }
        url = url_of(self.args["connection"])
        if url.password:
            self._secrets.append(str(url.password))
        # A slow query ends before the poll does: its table alone is stale, with the server's words.
        deadline_s = self.poll_deadline * READING
        most = int(self.args["max_rows"])
        self.reader = Reader(self.args["connection"], queries, deadline_s, most)
        self.columns: dict[str, tuple[str, ...]] = {}
        self.listening = False
        self._followed: dict[str, Followed] = {}

    @classmethod
    def check(cls, args: dict[str, Any]) -> list[tuple[str, str]]:
        queries = named(args["query"])
        wrong = [
            ("query", f"{table}: {fault}")
            for table, query in queries.items()
            if (fault := statements.writes(query))
        ]
        keys, changes = named(args["primary_key"]), named(args["change_column"])
        for option, given in (("primary_key", keys), ("change_column", changes)):
            wrong += [
                (option, f"{t}: no query makes this table") for t in given if t not in queries
            ]
        wrong += [
            ("primary_key", f"{t}: needed with change_column") for t in changes if t not in keys
        ]
        return [*wrong, *_wrong_connection(args)]

    def schema(self) -> dict[str, tuple[Any, ...]]:
        """As every source's; the columns of a query are known from its first read on."""
        return {**super().schema(), **dict.fromkeys(self.reader.queries, ()), **self.columns}

    def begin(self) -> None:
        super().begin()
        if self.args["listen"] and self.inbox is not None:
            self.spawn(self._listen)

    def update_from_datasource(self) -> None:
        wanted = [table for table in self.reader.queries if self.wanted(table)]
        for table, read in self.blocking(self.reader.read, wanted, self._followed).items():
            with self.reading(table):
                if isinstance(read, exceptions.SourceError):
                    self._followed.pop(table, None)
                    raise read
                self.columns[table] = read.columns
                if read.followed is not None:
                    self._followed[table] = read.followed
                if read.rows is None:
                    self.keep(table)
                else:
                    self.state[table] = read.rows

    def _listen(self) -> None:
        """Wait for notifications as long as the service lives, on a connection of its own."""
        failed = (OSError, self.reader.engine.dialect.loaded_dbapi.Error)
        wait_s = RELISTEN_S
        while self.running:
            try:
                self._listen_once()
            except failed as error:
                if self.listening:
                    wait_s = RELISTEN_S
                self.listening = False
                why = self.describe(error)
                LOG.warning("%s: does not listen, tries in %.1f s: %s", self.name, wait_s, why)
                runtime.sleep(wait_s)
                wait_s = min(wait_s * 2, RELISTEN_MAX_S)

    def _listen_once(self) -> None:
        channels = self.args["listen"]
        connection = runtime.in_thread(listening, self.args["connection"], channels)
        try:
            self.listening = True
            LOG.info("%s: listens to %s", self.name, ", ".join(channels))
            while True:
                # Also at first: what was notified before, nobody heard.
                self.request_refresh()
                runtime.wait_io(connection.fileno())
                connection.pgconn.consume_input()
                while connection.pgconn.notifies():
                    pass
        finally:
            connection.close()


def _wrong_connection(args: dict[str, Any]) -> list[tuple[str, str]]:
    """What can be seen to be wrong with the connection without connecting."""
    try:
        dialect = engine(url_of(args["connection"])).dialect
    except ImportError as error:
        return [("connection", f"the library of this database is missing: {error}")]
    except (ValueError, exc.SQLAlchemyError) as error:
        return [("connection", " ".join(str(error).split()))]
    if args["listen"] and (dialect.name, dialect.driver) != ("postgresql", "psycopg"):
        return [("listen", "is for PostgreSQL by psycopg alone")]
    return []


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> SqlDriver:
    """Make the service, as a cage asks for it."""
    return SqlDriver(name, keys, inbox, datapath, args)
