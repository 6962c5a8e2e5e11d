"""PushedDataSourceDriver: a source that is written from outside, whole or as deltas.

A write is checked, then kept where the driver keeps rows, then published, and only then
acknowledged; one that is refused changes nothing. Writes of one source happen one after another,
in the order of their coming.
"""

import datetime as dt
from collections import deque
from collections.abc import Iterable, Set as AbstractSet
from typing import Any

from congress_dse import exceptions
from congress_dse.datasources import values
from congress_dse.datasources.execution_driver import ExecutionDriver
from congress_dse.datasources.source import DataSourceDriver
from congress_dse.rows import Delta, Number, difference, numbers_of
from congress_dse.runtime import chosen as runtime

APPLY_S = 30.0  # in which a written table is published; longer, and the service is stuck

Row = tuple[Any, ...]

_SCALARS = (str, int, float, bool, type(None))
_KINDS = frozenset(_SCALARS)
_NONE: AbstractSet[Number] = frozenset()


class PushedDataSourceDriver(ExecutionDriver, DataSourceDriver):
    """A source whose tables are written, by calls or by requests of the same names.

    `tables` are the columns of each table; a subclass may set them as it likes.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tables: dict[str, tuple[str, ...]] = {}
        self.max_rows: int | None = None
        self.initialized = True
        self._writing = runtime.Lock()
        self._written: dict[str, set[Row]] = {}
        self._numbers: dict[str, AbstractSet[Number]] = {}  # where those have had any
        self._to_publish: deque[tuple[str, Delta]] = deque()
        table = {"name": "table", "description": "name of the table"}
        self.add_executable_method(
            "update_entire_data",
            [table, {"name": "objs", "description": "every row: a list, or an object by column"}],
            "Replace a table.",
        )
        self.add_executable_method(
            "update_delta",
            [
                table,
                {"name": "added", "description": "rows to add"},
                {"name": "removed", "description": "rows to take away"},
            ],
            "Change some rows of a table.",
        )

    def schema(self) -> dict[str, tuple[Any, ...]]:
        return {**super().schema(), **self.tables}

    def update_entire_data(self, table: str, objs: Iterable[Any]) -> dict[str, Any]:
        """Make `objs` the whole table; return how many rows it has, and how many are new or gone.

        Each is a list of values in the order of the columns, or a dict by their names. Raises
        InvalidRows, with nothing changed, and SourceError where the rows cannot be kept. Not to be
        called from a native thread; neither is `update_delta`.
        """
        rows = self.checked(table, objs)
        with self._writing:
            before = self._before(table)
            added, removed = difference(before, rows, self._numbers.get(table, _NONE))
            self._check_room(table, len(rows))
            self.keep_rows(table, rows)
            report = self._took(table, added, removed)
        self._publish_in_turn()
        return report

    def update_delta(
        self, table: str, added: Iterable[Any] = (), removed: Iterable[Any] = ()
    ) -> dict[str, Any]:
        """Add rows to a table and take others away; what is in both is added. As above."""
        plus, minus = self.checked(table, added, "added"), self.checked(table, removed, "removed")
        with self._writing:
            before = self._before(table)
            fresh, gone = plus - before, (minus - plus) & before
            self._check_room(table, len(before) + len(fresh) - len(gone))
            self.keep_change(table, fresh, gone)
            report = self._took(table, fresh, gone)
        self._publish_in_turn()
        return report

    def process_webhook_notification(self, payload: Any) -> None:
        """Take what a webhook brought; called beside the actor."""
        self._webhook_handler(payload)

    def _webhook_handler(self, payload: Any) -> None:
        """What a subclass does with it. A KeyError says that it lacks something."""
        raise NotImplementedError

    def keep_rows(self, table: str, rows: set[Row]) -> None:
        """Keep a whole table where it outlives the process, before it is published."""

    def keep_change(self, table: str, added: set[Row], removed: set[Row]) -> None:
        """Keep a change of a table where it outlives the process, before it is published."""

    def checked(self, table: str, objs: Any, what: str = "") -> set[Row]:
        """`objs` as rows of `table`; raises InvalidRows for the first that is none."""
        if table not in self.tables:
            known = ", ".join(sorted(self.tables)) or "none"
            raise exceptions.InvalidRows(f"{self.name} has no table {table!r}; it has {known}")
        if not isinstance(objs, list | tuple | set | frozenset):
            kind = type(objs).__name__
            raise exceptions.InvalidRows(f"{self.name}:{table}: not a list of rows but {kind}")
        columns = self.tables[table]
        ordinary = values.ordinary(objs, len(columns))
        if ordinary is not None:
            return ordinary
        rows: set[Row] = set()
        for number, obj in enumerate(objs, 1):
            try:
                rows.add(_row(columns, obj))
            except ValueError as error:
                where = f"{self.name}:{table}: {f'{what} ' if what else ''}row {number}"
                raise exceptions.InvalidRows(f"{where}: {error}") from None
        return rows

    def _before(self, table: str) -> set[Row]:
        """What the table holds now; nothing is written before what was kept is known."""
        return self._written.get(table, set())

    def _check_room(self, table: str, rows: int) -> None:
        if self.max_rows is not None and rows > self.max_rows:
            raise exceptions.InvalidRows(
                f"{self.name}:{table}: would have {rows} rows; allowed: {self.max_rows} (max_rows)"
            )

    def _took(self, table: str, added: set[Row], removed: set[Row]) -> dict[str, Any]:
        rows = self._written.setdefault(table, set())
        rows -= removed
        rows |= added
        self._numbers[table] = self._numbers.get(table, _NONE) | numbers_of(added)
        self._to_publish.append((table, Delta(added, removed)))
        return {
            "table": table,
            "rows": len(rows),
            "added": len(added),
            "removed": len(removed),
        }

    def _publish_in_turn(self) -> None:
        """Publish what was written, in this service's own turn, and wait until it is."""
        if self.inbox is None or self.own_turn():
            self._publish_written()
            return
        done = runtime.Waiter()

        def publish() -> None:
            self._publish_written()
            done.send()

        self.do(publish)
        if not done.wait(APPLY_S):
            raise exceptions.SourceError(
                f"{self.name}: the rows were taken, and are not published after {APPLY_S:g} s"
            )

    def _publish_written(self) -> None:
        while self._to_publish:
            table, delta = self._to_publish.popleft()
            rows = self.state.setdefault(table, set())
            rows.difference_update(delta.removed)
            rows.update(delta.added)
            if table not in self.pubdata or not self.pubdata[table].published:
                self.publish(table, set())  # an empty table has data, too, once it was written
            self.publish(table, delta)
            self.number_of_updates += 1
            self.last_updated_time = dt.datetime.now()  # noqa: DTZ005 - in Congress's form
            self.last_error = None
            if table in self.stale:
                self.mark_fresh(table)
                self.publish_stale()


def _row(columns: tuple[str, ...], obj: Any) -> Row:
    """`obj` as a row; raises ValueError with what is wrong with it."""
    if isinstance(obj, dict):
        unknown = [str(name) for name in obj if name not in columns]
        missing = [name for name in columns if name not in obj]
        if unknown or missing:
            wrong = [f"has no column {', '.join(unknown)}"] if unknown else []
            wrong += [f"lacks {', '.join(missing)}"] if missing else []
            raise ValueError(f"{' and '.join(wrong)}; the columns are {', '.join(columns)}")
        obj = [obj[name] for name in columns]
    if not isinstance(obj, list | tuple):
        raise ValueError(f"is no list of values and no object, but {type(obj).__name__}")
    if len(obj) != len(columns):
        raise ValueError(
            f"has {len(obj)} values; the columns are {len(columns)}: {', '.join(columns)}"
        )
    if not _KINDS.issuperset(map(type, obj)):
        for column, value in zip(columns, obj, strict=True):
            if not isinstance(value, _SCALARS):  # of a subclass it may be
                kind = type(value).__name__
                raise ValueError(f"{column} is a {kind}; allowed: text, number, true, false, null")
    return values.row(obj)
