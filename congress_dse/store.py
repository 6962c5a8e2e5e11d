"""Store: the sources that were created over the API, in a database.

The database is the truth that all workers share: each change raises its `revision`. Calls wait in
a native thread, so that no greenthread is held up; SQLAlchemy's own locks are those of
greenthreads, and so one call is in the database at a time. Who wants to read while another reads
has the next reading together with all who came meanwhile, and an SQLite file that nobody has
touched since it was read is not read again.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc, pool

from congress_dse import exceptions, timeline
from congress_dse.datasources import options
from congress_dse.runtime import chosen as runtime

BUSY_S = 15  # for another process to finish its change of an SQLite file
# Two changes within one tick of the system are told apart by nothing, and some file systems know
# whole seconds alone.
SETTLED_NS, OF_SECONDS_NS = 100_000_000, 2_000_000_000

Reading = tuple[int, list["Entry"]]
Stamp = tuple[int, int, int, int]

_NOTHING: Reading = (0, [])  # of a database that was never written

_METADATA = sa.MetaData()
_SOURCES = sa.Table(
    "datasources",
    _METADATA,
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("driver", sa.String(255), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
)
_REVISION = sa.Table(
    "revision",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, nullable=False),
)

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Entry:
    """A source as it is described; `given` says whether a configuration file has it."""

    id: str
    name: str
    driver: str
    description: str = ""
    config: dict[str, Any] = field(default_factory=dict, hash=False)
    enabled: bool = True
    given: bool = False


class Store:
    """One database, by its SQLAlchemy URL; made when it is first written to."""

    def __init__(self, url: str) -> None:
        try:
            self._url = sa.engine.make_url(url)
            self._file = _file(self._url)
            self._engine = self._opened()
        except (exc.ArgumentError, exc.NoSuchModuleError, ValueError) as error:
            text = options.describe(error)
            raise exceptions.ConfigError(f"[database] connection: {text}") from error
        except ImportError as error:
            text = f"{self._url.drivername} needs a library: {options.describe(error)}"
            raise exceptions.ConfigError(f"[database] connection: {text}") from error
        self._made = False
        self._one_at_a_time = runtime.Lock()
        # Readings by their number; the last that is over, what it brought, and of what file.
        self._begun = self._over = 0
        self._last: Reading | exceptions.StoreError = (0, [])
        self._stamp: Stamp | None = None
        self._path = str(self._file)
        self._beside = False  # whether changes go into another file first

    def entries(self) -> list[Entry]:
        """Every source, oldest name first; raises StoreError."""
        return self.read()[1]

    def read(self) -> Reading:
        """The revision, and every source of it, by name; the same list while nothing changes.

        What was kept before this was called is in it. Raises StoreError.
        """
        stamp, came = self._stamped(), self._begun
        if stamp is None and self._file is not None and not self._file.exists():
            return _NOTHING
        if stamp is None or stamp != self._stamp:
            with self._one_at_a_time:
                if self._over <= came:  # else another began to read after we had come
                    self._read_again()
        if isinstance(self._last, exceptions.StoreError):
            raise exceptions.StoreError(str(self._last)) from self._last
        return self._last

    def _read_again(self) -> None:
        """Read; the caller has the lock."""
        self._begun = number = self._begun + 1
        at, stamp = time.time_ns(), self._stamped()
        self._stamp = None
        found: Reading | exceptions.StoreError
        try:
            found = self._waited(self._read)
        except exceptions.StoreError as error:
            found = error
        self._over = number
        if found != self._last:
            self._last = found
        if isinstance(found, exceptions.StoreError):
            return
        if stamp is not None and not self._beside and _settled(stamp[3], at):
            self._stamp = stamp

    def _stamped(self) -> Stamp | None:
        """What is another after every change of the file; None where nothing is."""
        if self._file is None or os.name != "posix":
            return None
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns

    def events(self, limit: int, before: int = 0, kind: str = "") -> list[timeline.Event]:
        """The newest of what happened; see `timeline.read`. Raises StoreError."""
        if self._file is not None and not self._file.exists():
            return []
        return self._call(lambda link: timeline.read(link, limit, before, kind))

    def add(self, entry: Entry) -> int:
        """Keep a new source; the new revision. Raises NameTaken, StoreError."""
        return self._call(lambda link: self._add(link, entry))

    def remove(self, entry: Entry) -> int:
        """Forget a source; the new revision, 0 where it was gone already. Raises StoreError."""
        return self._call(lambda link: self._remove(link, entry))

    def _read(self, link: sa.Connection) -> Reading:
        if self._file is not None:
            self._beside = link.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        number = link.execute(sa.select(_REVISION.c.number)).scalar() or 0
        found = link.execute(sa.select(_SOURCES).order_by(_SOURCES.c.name)).mappings()
        return number, [Entry(**{**row, "config": json.loads(row["config"])}) for row in found]

    def _add(self, link: sa.Connection, entry: Entry) -> int:
        number = _raised(link)
        values = {c.name: getattr(entry, c.name) for c in _SOURCES.columns}
        try:
            link.execute(_SOURCES.insert().values({**values, "config": json.dumps(entry.config)}))
        except exc.IntegrityError as error:
            raise exceptions.NameTaken(f"a source named {entry.name!r} exists already") from error
        return number

    def _remove(self, link: sa.Connection, entry: Entry) -> int:
        number = _raised(link)
        gone = link.execute(_SOURCES.delete().where(_SOURCES.c.id == entry.id))
        return number if gone.rowcount else 0

    def _call(self, call: Callable[[sa.Connection], Answer]) -> Answer:
        """Make `call` in one transaction, in a native thread."""
        with self._one_at_a_time:
            return self._waited(call)

    def _waited(self, call: Callable[[sa.Connection], Answer]) -> Answer:
        """The same; the caller has the lock."""
        try:
            answer: Answer = runtime.in_thread(self._transaction, call)
        except exc.SQLAlchemyError as error:
            text = options.describe(getattr(error, "orig", None) or error)
            raise exceptions.StoreError(f"the database of the sources: {text}") from error
        except OSError as error:
            raise exceptions.StoreError(f"the database of the sources: {error}") from error
        return answer

    def _transaction(self, call: Callable[[sa.Connection], Answer]) -> Answer:
        if not self._made:
            self._make()
        with self._engine.begin() as link:
            return call(link)

    def _make(self) -> None:
        """Make the tables. Another process may be at it as well: then they are there."""
        if self._file is not None:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
        for metadata in (_METADATA, timeline.METADATA):
            try:
                metadata.create_all(self._engine)
            except exc.DBAPIError:
                metadata.create_all(self._engine)
        self._made = True
        try:
            with self._engine.begin() as link:
                if link.execute(sa.select(_REVISION.c.id)).first() is None:
                    link.execute(_REVISION.insert().values(id=1, number=0))
        except exc.IntegrityError:
            return

    def _opened(self) -> sa.Engine:
        if self._url.get_backend_name() != "sqlite":
            return sa.create_engine(self._url, poolclass=pool.NullPool)
        if self._file is None:
            raise exceptions.ConfigError(
                "[database] connection: an SQLite database of several processes needs a file"
            )
        return sa.create_engine(
            self._url, poolclass=pool.NullPool, connect_args={"timeout": BUSY_S}
        )


def _raised(link: sa.Connection) -> int:
    """Raise the revision; whoever changes something waits here for whoever does so already."""
    link.execute(_REVISION.update().values(number=_REVISION.c.number + 1))
    return int(link.execute(sa.select(_REVISION.c.number)).scalar() or 0)


def _file(url: sa.engine.URL) -> Path | None:
    """The file of an SQLite database; None for every other."""
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database))


def _settled(changed_ns: int, now_ns: int) -> bool:
    """Whether a change of a file from now on will give it another time."""
    return changed_ns < now_ns - (SETTLED_NS if changed_ns % 1_000_000_000 else OF_SECONDS_NS)
