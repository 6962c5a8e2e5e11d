"""Rows on disk: tables that outlive the process, in one SQLite file.

A change is on the disk when its call returns (write-ahead log, ``synchronous=FULL``), so it
survives a kill and a power cut. The file belongs to one open store at a time. Calls block.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from congress_dse import exceptions

Row = tuple[Any, ...]

_PUSHED = """
    CREATE TABLE IF NOT EXISTS pushed
        (name TEXT, key TEXT, cells TEXT NOT NULL, PRIMARY KEY (name, key)) WITHOUT ROWID
"""
_SET_UP = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    _PUSHED,
    "CREATE TABLE IF NOT EXISTS written (name TEXT PRIMARY KEY) WITHOUT ROWID",
)


class RowStore:
    """Tables of rows in a file; every method raises SourceError for a file that fails."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    @property
    def opened(self) -> bool:
        return self._connection is not None

    def open(self) -> dict[str, set[Row]]:
        """Open the file, make it if there is none, and return every table ever written."""
        with self._failing():
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=1.0
            )
            try:
                tables = _read(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            return tables

    def replace(self, table: str, rows: Iterable[Row]) -> None:
        """Make `rows` the whole table."""
        with self._failing(), self._transaction() as connection:
            connection.execute("DELETE FROM pushed WHERE name = ?", (table,))
            _insert(connection, table, rows)

    def change(self, table: str, added: Iterable[Row], removed: Iterable[Row]) -> None:
        """Add rows to the table and take others from it."""
        with self._failing(), self._transaction() as connection:
            connection.executemany(
                "DELETE FROM pushed WHERE name = ? AND key = ?", ((table, _key(r)) for r in removed)
            )
            _insert(connection, table, added)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        assert connection is not None
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            raise exceptions.SourceError(f"rows cannot be kept in {self.path}: {error}") from error


def _read(connection: sqlite3.Connection) -> dict[str, set[Row]]:
    for statement in _SET_UP:
        connection.execute(statement)
    tables: dict[str, set[Row]] = {
        name: set() for (name,) in connection.execute("SELECT name FROM written")
    }
    for name, cells in connection.execute("SELECT name, cells FROM pushed"):
        tables.setdefault(name, set()).add(tuple(json.loads(cells)))
    return tables


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    connection.execute("INSERT OR IGNORE INTO written VALUES (?)", (table,))
    connection.executemany(
        "INSERT OR REPLACE INTO pushed VALUES (?, ?, ?)",
        ((table, _key(row), json.dumps(row)) for row in rows),
    )


def _key(row: Row) -> str:
    """The same text for rows that are equal: 1.0 is 1."""
    return json.dumps([int(v) if isinstance(v, float) and v.is_integer() else v for v in row])
