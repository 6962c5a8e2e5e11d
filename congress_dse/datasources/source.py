"""DataSourceDriver: the base of every driver: its tables, their translators, state and status.

A driver is written in the tradition of OpenStack Congress: constructor ``(name, keys, inbox,
datapath, args)``, a module function ``d6service`` of the same arguments, `state` (table to a set of
rows), `TRANSLATORS` that turn a source's objects into rows.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

from congress_dse import deepsix, exceptions
from congress_dse.d6message import d6msg
from congress_dse.dataobj import dataObject
from congress_dse.datasources import desk, options, translators
from congress_dse.datasources.translators import Translators
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)
STALE = "_stale"  # a table of every source: (table, cause, since) of those that are not up to date
RETRY_S = 5.0  # in which a source that says nothing better is looked at again
ALL = "*"  # stands in it for every table of the source

Row = tuple[Any, ...]


class Stale(NamedTuple):
    """Why a table is not up to date, and since when (wall clock, UTC)."""

    cause: str
    since: dt.datetime


class DataSourceDriver(deepsix.deepSix):
    """One source. `args` lack nothing: an option that was not given has its default."""

    OPTIONS: ClassVar[list[Any]] = []
    TRANSLATORS: ClassVar[list[dict[str, Any]]] = []
    SCHEMA: ClassVar[dict[str, tuple[Any, ...]]] = {}
    DESCRIPTION: ClassVar[str] = ""

    lease: Callable[[], bool] = staticmethod(lambda: True)  # whether this node may run it, still

    def __init__(
        self,
        name: str,
        keys: Iterable[str] = (),
        inbox: Any = None,
        datapath: Any = None,
        args: Mapping[str, Any] | None = None,
    ) -> None:
        self.state: dict[str, set[Row]] = {}
        self.prior_state: dict[str, set[Row]] = {}
        self.stale: dict[str, Stale] = {}
        self.initialized = False
        self.last_updated_time: dt.datetime | None = None
        self.last_error: BaseException | None = None
        self.number_of_updates = 0
        self.translators = Translators(self.TRANSLATORS)
        self._raw: dict[str, Any] = {}
        self._kept: set[str] = set()
        self._outcomes: list[BaseException | None] = []
        self._in_thread_since: float | None = None
        self._desk = desk.Desk(self)
        whole = options.with_defaults(self.options(), args)
        self._secrets = options.secrets(self.options(), whole)
        super().__init__(name, keys, inbox, datapath, whole)

    def receive(self, msg: d6msg) -> None:
        """Take a message; one that comes when another node may have the source does nothing.

        A process that was frozen finds its timers due, and much in its mailboxes, before it learns
        that its lease has ended.
        """
        if self.lease() or msg.type in _ENDINGS:
            super().receive(msg)
        else:
            self._refuse(msg, exceptions.SourceError("this node has no lease of it any more"))

    # What a driver is.

    @classmethod
    def options(cls) -> list[Any]:
        """Every option of this driver, as oslo.config declares them."""
        return [*cls.OPTIONS, *options.COMMON]

    @classmethod
    def check(cls, args: dict[str, Any]) -> list[tuple[str, str]]:
        """(option, what is wrong with it) of what can be seen to be wrong before the start."""
        return []

    @classmethod
    def get_schema(cls) -> dict[str, tuple[Any, ...]]:
        """The columns of each table that is known before the first read."""
        return {**cls.SCHEMA, **translators.schema(cls.TRANSLATORS)}

    @classmethod
    def get_datasource_info(cls) -> dict[str, Any]:
        """What a driver is, for people and for the API: id, description, config and secrets."""
        every = cls.options()
        return {
            "id": cls.__module__.rpartition(".")[2].removesuffix("_driver"),
            "description": cls.DESCRIPTION,
            "config": {o.dest: "required" if o.required else "(optional)" for o in every},
            "secret": [o.dest for o in every if o.secret],
        }

    def schema(self) -> dict[str, tuple[Any, ...]]:
        """The columns of each table that this source has, as far as they are known by now."""
        return {**self.get_schema(), **self.translators.schema()}

    def get_column_map(self, tablename: str) -> dict[str, int]:
        """The place of each column of a table."""
        columns = self.schema()[tablename]
        names = [col if isinstance(col, str) else col["name"] for col in columns]
        return {name: at for at, name in enumerate(names)}

    def get_status(self) -> dict[str, Any]:
        """The status in Congress's form: text, and lists of subscriptions and subscribers."""
        error = self.last_error
        return {
            "last_updated": str(self.last_updated_time),
            "last_error": "None" if error is None else self.describe(error),
            "number_of_updates": str(self.number_of_updates),
            "initialized": str(self.initialized),
            "subscriptions": self.subscription_list(),
            "subscribers": self.subscriber_list(),
            "stale": {table: (s.cause, s.since.isoformat()) for table, s in self.stale.items()},
        }

    def staleness(self, table: str) -> dict[str, Any]:
        """Why `table` is not up to date, and for how long; empty where it is."""
        stale = self.stale.get(table) or self.stale.get(ALL)
        if stale is None:
            return {}
        age_s = (dt.datetime.now(dt.UTC) - stale.since).total_seconds()
        since = stale.since.isoformat("T", "seconds")
        return {"cause": stale.cause, "since": since, "age_s": age_s, "retry_s": self.retry_s()}

    def counters(self) -> dict[str, float]:
        return {**super().counters(), "source_updates": self.number_of_updates}

    def retry_s(self) -> float:
        """In how many seconds the source may be up to date again."""
        return RETRY_S

    def beginning(self) -> bool:
        """Whether it has only just been made, and what it reads first is yet to come."""
        return False

    def lazy(self, table: str) -> bool:
        """Whether `table` is read only while somebody follows it, and nobody does."""
        return False

    def inreq(self, msg: d6msg) -> None:
        """Requests of the engine's own go to the desk, all others to the driver."""
        if msg.dataindex == desk.REQUEST:
            self._desk.take(msg)
        else:
            super().inreq(msg)

    # Translating.

    def register_translator(self, translator: dict[str, Any]) -> None:
        """Check one translator and add it; raises InvalidTranslator with every fault's path."""
        self.translators.register(translator)

    def get_translators(self) -> list[dict[str, Any]]:
        """The translators of this driver, oldest first."""
        return [dict(translator) for translator in self.translators]

    @classmethod
    def convert_objs(cls, objects: Any, translator: dict[str, Any]) -> list[tuple[str, Row]]:
        """(table, row) of everything that `translator` finds in `objects`."""
        return translators.convert(objects, translator)

    def update_state(self, root: str, objects: Any) -> None:
        """Translate a root table's objects into `state`; the same as last time cost nothing."""
        mark = translators.fingerprint(objects)
        if self._raw.get(root) == mark and root in self.state:
            self.keep(*self.translators.tables(root))
            return
        rows = self.translators.convert(objects, root)
        self.state.update(self.translators.state(root, rows))
        self._raw[root] = mark

    def keep(self, *tables: str) -> None:
        """Say that these tables of `state` were looked at and have not changed since last time."""
        self._kept.update(tables)

    # Reading.

    def request_refresh(self) -> None:
        """Read the source as soon as possible, where that is this driver's to do."""

    def followed(self, *tables: str) -> bool:
        """Whether anybody follows one of these tables."""
        return any(t in self.pubdata and self.pubdata[t].subscribers for t in tables)

    @contextmanager
    def reading(self, *tables: str) -> Iterator[None]:
        """Read these tables inside this: its failure makes them stale, and no other.

        Only the end of the poll's time ends the poll.
        """
        try:
            yield
        except exceptions.PollTimeout as error:
            for table in tables:
                self.mark_stale(table, error)
            raise  # it comes once: what is read after it would have no deadline
        except BaseException as error:
            failure = runtime.failure(error)
            self._outcomes.append(failure)
            for table in tables:
                self.mark_stale(table, failure)
        else:
            self._outcomes.append(None)
            for table in tables:
                self.mark_fresh(table)

    def blocking(self, call: Any, *args: Any) -> Any:
        """Call `call(*args)` in a native thread; raises SourceError while an earlier one runs.

        In a coroutine, ``await self.waiting(self.blocking, call)``; in such a thread it is made
        there. So one source has one blocking call at a time.
        A thread cannot be ended: a call that hangs costs this source one thread, and never two.
        """
        if runtime.foreign():
            return call(*args)
        since = self._in_thread_since
        if since is not None:
            age_s = runtime.now() - since
            raise exceptions.SourceError(f"{self.name}: a read has been hanging for {age_s:.0f} s")
        self._in_thread_since = runtime.now()

        def run() -> Any:
            try:
                return call(*args)
            finally:
                self._in_thread_since = None

        return runtime.in_thread(run)

    def mark_stale(self, table: str, cause: BaseException | str) -> None:
        """Say that `table` is not up to date any more; its last good rows stay."""
        text = self.describe(cause)
        before = self.stale.get(table)
        if before is None or before.cause != text:
            since = before.since if before is not None else dt.datetime.now(dt.UTC)
            self.stale[table] = Stale(text, since)
            LOG.warning("%s: table %s is stale: %s", self.name, table, text)
            self._notice("source-stale", f"table {table}: {text}", "warning")

    def mark_fresh(self, table: str) -> None:
        """Say that `table` is up to date."""
        stale = self.stale.pop(table, None)
        if stale is not None:
            age_s = (dt.datetime.now(dt.UTC) - stale.since).total_seconds()
            LOG.info("%s: table %s is up to date again after %.1f s", self.name, table, age_s)
            self._notice("source-fresh", f"table {table}: up to date again after {age_s:.1f} s")

    def _notice(self, kind: str, text: str, level: str = "info") -> None:
        """Tell the bus, if there is one, what happened."""
        notice = getattr(self.dataPath, "notice", None)
        if notice is not None:
            notice(kind, self.name, text, level)

    def describe(self, cause: BaseException | str) -> str:
        """A cause in one line, without this source's secrets."""
        return options.describe(cause, self._secrets)

    # Publishing.

    def publish_state(self) -> None:
        """Publish every table of `state`, those that are gone as empty, and what is stale."""
        for table in self.prior_state.keys() - self.state.keys():
            self.publish(table, set())
        for table, rows in self.state.items():
            if table not in self._kept or table not in self.pubdata:
                self.publish(table, rows)
        self._kept.clear()
        self.publish_stale()

    def publish_stale(self) -> None:
        """Publish which tables are not up to date."""
        self.publish(
            STALE, {(t, s.cause, s.since.isoformat("T", "seconds")) for t, s in self.stale.items()}
        )

    def answer(self, msg: d6msg, result: Any) -> None:
        """Answer one request with `result`, or with an error of ours, to be raised at the asker."""
        table = self.pubdata.get(msg.dataindex)
        if table is not None and table.requested(msg.correlationId):
            table.answered(msg.correlationId, msg.replyTo)
            self._tidy(msg.dataindex)
        failed = isinstance(result, exceptions.EngineError)
        body = result if failed and msg.deadline is not None else dataObject(result)
        self.send(d6msg(replyTo=self.name, type="rep", body=body, srcmsg=msg))


_ENDINGS = frozenset({"shut", "stop"})
