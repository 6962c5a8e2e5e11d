"""push: tables that are written from outside, whole or as deltas, and may outlive a restart.

What `persist_path` names keeps every row that was acknowledged.
"""

import logging
import re
from typing import Any, ClassVar

from oslo_config import cfg

from congress_dse import exceptions
from congress_dse.datasources.datasource_driver import ALL, PushedDataSourceDriver
from congress_dse.datasources.rowstore import RowStore

LOG = logging.getLogger(__name__)

Row = tuple[Any, ...]

_TABLE = re.compile(r"\s*([A-Za-z_]\w*)\s*\(([^()]*)\)\s*")
_COLUMN = re.compile(r"[A-Za-z_][\w.-]*")


class PushDriver(PushedDataSourceDriver):
    """Tables declared in the configuration."""

    DESCRIPTION = "Tables written from outside, whole or as deltas; kept over a restart if wanted."
    OPTIONS: ClassVar[list[Any]] = [
        cfg.StrOpt(
            "tables",
            required=True,
            help="The tables and their columns, as in: alarms(id,severity); hosts(name)",
        ),
        cfg.StrOpt(
            "persist_path",
            metavar="PATH",
            help="SQLite file that keeps the rows over a restart; one source a file.",
        ),
        cfg.IntOpt(
            "max_rows", default=100_000, min=1, help="Rows that one table may have at most."
        ),
    ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tables = declared(self.args["tables"])
        self.max_rows = int(self.args["max_rows"])
        path = self.args["persist_path"]
        self._store = RowStore(path) if path else None
        self._misfits: dict[str, str] = {}

    @classmethod
    def check(cls, args: dict[str, Any]) -> list[tuple[str, str]]:
        try:
            declared(args["tables"])
        except ValueError as error:
            return [("tables", str(error))]
        return []

    def begin(self) -> None:
        super().begin()
        if self._store is not None and self.inbox is not None:
            self.spawn(self._load)
        elif self._store is not None:
            self._load()

    def keep_rows(self, table: str, rows: set[Row]) -> None:
        if self._store is not None:
            self.blocking(self._store.replace, table, rows)
            self._misfits.pop(table, None)

    def keep_change(self, table: str, added: set[Row], removed: set[Row]) -> None:
        if self._store is not None:
            if table in self._misfits:
                raise exceptions.InvalidRows(f"{self._misfits[table]}; write the table whole first")
            self.blocking(self._store.change, table, added, removed)

    def cleanup(self) -> None:
        """Let go of the file; the engine calls it when the service ends."""
        if self._store is not None:
            self._store.close()

    def _before(self, table: str) -> set[Row]:
        if self._store is not None and not self._store.opened:
            self._read_kept(self._store)
        return super()._before(table)

    def _load(self) -> None:
        """Bring back what was kept; a file that cannot be read makes the source stale."""
        assert self._store is not None
        with self._writing:
            try:
                if not self._store.opened:
                    self._read_kept(self._store)
            except exceptions.SourceError as error:
                LOG.error("%s: %s", self.name, self.describe(error))
                self._fail_in_turn(error)
        self._publish_in_turn()

    def _fail_in_turn(self, error: exceptions.SourceError) -> None:
        def fail() -> None:
            self.last_error = error
            self.mark_stale(ALL, error)
            self.publish_stale()

        self._soon(fail)

    def _read_kept(self, store: RowStore) -> None:
        kept = self.blocking(store.open)
        for table, rows in kept.items():
            columns = self.tables.get(table)
            if columns is None:
                LOG.warning("%s: kept rows of %s, which is not declared", self.name, table)
            elif any(len(row) != len(columns) for row in rows):
                self._misfits[table] = (
                    f"{self.name}:{table}: the kept rows do not have its {len(columns)} columns"
                )
            else:
                self._took(table, rows, set())
        self._soon(self._say_what_fits)

    def _say_what_fits(self) -> None:
        self.mark_fresh(ALL)
        for table, cause in self._misfits.items():
            self.mark_stale(table, cause)
        self.publish_stale()

    def _soon(self, call: Any) -> None:
        if self.inbox is None or self.own_turn():
            call()
        else:
            self.do(call)


def declared(text: str) -> dict[str, tuple[str, ...]]:
    """Columns by table of a text such as ``alarms(id,severity); hosts(name)``.

    Raises ValueError for what is no such text.
    """
    tables: dict[str, tuple[str, ...]] = {}
    for part in filter(str.strip, text.split(";")):
        match = _TABLE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part.strip()!r} is not of the form TABLE(COLUMN,COLUMN)")
        table, columns = match[1], tuple(map(str.strip, match[2].split(",")))
        for column in columns:
            if not _COLUMN.fullmatch(column):
                raise ValueError(f"{table}: {column!r} is no name of a column")
        if len(set(columns)) < len(columns):
            raise ValueError(f"{table}: a column is named twice")
        if table in tables:
            raise ValueError(f"{table}: declared twice")
        tables[table] = columns
    if not tables:
        raise ValueError("no table is declared")
    return tables


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> PushDriver:
    """Make the service, as a cage asks for it."""
    return PushDriver(name, keys, inbox, datapath, args)
