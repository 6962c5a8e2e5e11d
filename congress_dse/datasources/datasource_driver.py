"""The drivers' base: tables, their state and status, and polls that run beside the actor.

A driver is written in the tradition of OpenStack Congress: constructor ``(name, keys, inbox,
datapath, args)``, ``update_from_datasource`` that fills ``state`` (table to a set of rows),
``poll_time``. The poll has a greenthread of its own and a deadline, never overlaps itself, and its
failure leaves the last good rows in place and marks them stale, with cause and age, without ending
anything.
"""

import datetime as dt
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

from oslo_config import cfg

from congress_dse import deepsix, exceptions, runtime
from congress_dse.d6message import d6msg
from congress_dse.datasources.polling import Polling

LOG = logging.getLogger(__name__)
STALE = "_stale"  # a table of every source: (table, cause, since) of those that are not up to date
DEADLINE_S = 30.0

COMMON_OPTIONS = [
    cfg.StrOpt("description", default="", help="What this source is, for people."),
]
POLLING_OPTIONS = [
    cfg.FloatOpt(
        "poll_time",
        default=10,
        min=0,
        help="Seconds from one poll to the next; 0 polls only when a refresh is requested.",
    ),
    cfg.FloatOpt(
        "poll_deadline",
        default=DEADLINE_S,
        min=0.1,
        help="Seconds after which a poll that has not ended is given up.",
    ),
    cfg.FloatOpt(
        "retry_max",
        min=0.1,
        help="Longest wait in seconds before a source that failed is tried again; "
        "by default the poll_time.",
    ),
    cfg.ListOpt(
        "lazy_tables",
        default=[],
        help="Tables that are read only while somebody follows them.",
    ),
]


class Stale(NamedTuple):
    """Why a table is not up to date, and since when (wall clock, UTC)."""

    cause: str
    since: dt.datetime


class DataSourceDriver(deepsix.deepSix):
    """One source: its tables in `state`, what is stale among them, and its status."""

    OPTIONS: ClassVar[list[Any]] = []
    SCHEMA: ClassVar[dict[str, tuple[str, ...]]] = {}
    DESCRIPTION: ClassVar[str] = ""

    def __init__(
        self,
        name: str,
        keys: Iterable[str] = (),
        inbox: Any = None,
        datapath: Any = None,
        args: Any = None,
    ) -> None:
        self.state: dict[str, set[tuple[Any, ...]]] = {}
        self.prior_state: dict[str, set[tuple[Any, ...]]] = {}
        self.stale: dict[str, Stale] = {}
        self.initialized = False
        self.last_updated_time: dt.datetime | None = None
        self.last_error: BaseException | None = None
        self.number_of_updates = 0
        super().__init__(name, keys, inbox, datapath, with_defaults(type(self), args))

    @classmethod
    def options(cls) -> list[Any]:
        """Every option of this driver, as oslo.config declares them."""
        return [*cls.OPTIONS, *COMMON_OPTIONS]

    @classmethod
    def check(cls, args: dict[str, Any]) -> list[tuple[str, str]]:
        """(option, what is wrong with it) of what can be seen to be wrong before the start."""
        return []

    @classmethod
    def get_schema(cls) -> dict[str, tuple[str, ...]]:
        """The columns of each table that is known before the first read."""
        return dict(cls.SCHEMA)

    @classmethod
    def get_datasource_info(cls) -> dict[str, Any]:
        """What a driver is, for people and for the API: id, description, config and secrets."""
        options = cls.options()
        return {
            "id": cls.__module__.rpartition(".")[2].removesuffix("_driver"),
            "description": cls.DESCRIPTION,
            "config": {o.dest: "required" if o.required else "(optional)" for o in options},
            "secret": [o.dest for o in options if o.secret],
        }

    def get_status(self) -> dict[str, Any]:
        """The status in Congress's form: text, and lists of subscriptions and subscribers."""
        return {
            "last_updated": str(self.last_updated_time),
            "last_error": str(self.last_error),
            "number_of_updates": str(self.number_of_updates),
            "initialized": str(self.initialized),
            "subscriptions": self.subscription_list(),
            "subscribers": self.subscriber_list(),
            "stale": {table: (s.cause, s.since.isoformat()) for table, s in self.stale.items()},
        }

    def request_refresh(self) -> None:
        """Read the source as soon as possible, where that is this driver's to do."""

    def followed(self, table: str) -> bool:
        """Whether anybody follows `table`."""
        return table in self.pubdata and bool(self.pubdata[table].subscribers)

    def mark_stale(self, table: str, cause: BaseException | str) -> None:
        """Say that `table` is not up to date any more; its last good rows stay."""
        text = describe(cause)
        if table not in self.stale or self.stale[table].cause != text:
            since = self.stale[table].since if table in self.stale else _now()
            self.stale[table] = Stale(text, since)
            LOG.warning("%s: table %s is stale: %s", self.name, table, text)

    def mark_fresh(self, table: str) -> None:
        """Say that `table` is up to date."""
        stale = self.stale.pop(table, None)
        if stale is not None:
            age_s = (_now() - stale.since).total_seconds()
            LOG.info("%s: table %s is up to date again after %.1f s", self.name, table, age_s)

    @contextmanager
    def reading(self, table: str) -> Iterator[None]:
        """Read one table inside this: its failure makes it stale, and no other."""
        try:
            yield
        except exceptions.PollTimeout:
            raise  # the time of the whole poll is over
        except runtime.Failure as error:
            self.mark_stale(table, error)
        else:
            self.mark_fresh(table)

    def publish_state(self) -> None:
        """Publish every table of `state`, those that are gone as empty, and what is stale."""
        for table in self.prior_state.keys() - self.state.keys():
            self.publish(table, set())
        for table, rows in self.state.items():
            self.publish(table, rows)
        self.publish(STALE, {(t, s.cause, s.since.isoformat()) for t, s in self.stale.items()})


class PollingDataSourceDriver(DataSourceDriver):
    """A source that is read every `poll_time` seconds, and on request."""

    def __init__(
        self,
        name: str,
        keys: Iterable[str] = (),
        inbox: Any = None,
        datapath: Any = None,
        args: Any = None,
    ) -> None:
        super().__init__(name, keys, inbox, datapath, args)
        # Without an inbox a driver stands alone, as in a test: it is read only when it is told to.
        self.poll_time = float(self.args["poll_time"]) if inbox is not None else 0.0
        self.poll_deadline = float(self.args["poll_deadline"])
        self.lazy_tables = set(self.args["lazy_tables"])
        self.polling = Polling(self.poll_time, self.args["retry_max"])
        self.worker_greenthread: Any = None
        self._next_poll: Any = None
        self._polls = 0

    @classmethod
    def options(cls) -> list[Any]:
        return [*super().options(), *POLLING_OPTIONS]

    def begin(self) -> None:
        super().begin()
        if self.inbox is not None:
            self.do(self._schedule_poll)

    def update_from_datasource(self) -> None:
        """Read the source and set ``state``; runs beside the actor, and may wait."""
        raise NotImplementedError

    def wanted(self, table: str) -> bool:
        """Whether `table` is to be read: a lazy one is when somebody follows it."""
        return table not in self.lazy_tables or self.followed(table)

    def subhandler(self, msg: d6msg) -> None:
        """Read a lazy table as soon as it has its first follower."""
        if msg.dataindex in self.lazy_tables and not self.followed(msg.dataindex):
            self.request_refresh()

    def request_refresh(self) -> None:
        """Poll now, or right after the running poll."""
        self.do(self._refresh)

    def poll(self) -> None:
        """Poll once and publish, in the caller's own time: for a driver that stands alone."""
        self.polling.started(runtime.now())
        self._finish_poll(self._polled())

    def cleanup(self) -> None:
        """End the running poll; the engine calls it when the service ends."""
        if self.worker_greenthread is not None:
            self.worker_greenthread.kill()

    def _refresh(self) -> None:
        self.polling.request()
        self._schedule_poll()

    def _schedule_poll(self) -> None:
        """Have the timer set to the next poll, if one is due and the service lives."""
        if self._next_poll is not None:
            self._next_poll.cancel()
            self._next_poll = None
        due = self.polling.due()
        if due is not None and self.running:
            wait_s = max(0.0, due - runtime.now())
            self._next_poll = self.after(wait_s, self._start_poll)

    def _start_poll(self) -> None:
        if self.polling.due() is not None:
            self.polling.started(runtime.now())
            self.worker_greenthread = self.spawn(self._poll_beside)

    def _poll_beside(self) -> None:
        """Runs in the poll's own greenthread; what it brings is taken in the actor's own turn."""
        cause = self._polled()
        self.do(lambda: self._finish_poll(cause))

    def _polled(self) -> BaseException | None:
        """Read the source within the deadline; return what went wrong. The rows of a failure go."""
        self.prior_state = dict(self.state)
        late = exceptions.PollTimeout(
            f"{self.name}: poll has not ended in {self.poll_deadline:g} s (poll_deadline)"
        )
        try:
            with runtime.deadline(self.poll_deadline, late):
                self.update_from_datasource()
        except runtime.Failure as error:
            self.state = self.prior_state
            return error
        return None

    def _finish_poll(self, cause: BaseException | None) -> None:
        now = runtime.now()
        self.worker_greenthread = None
        self.number_of_updates += 1
        self.last_error = cause
        self.last_updated_time = dt.datetime.now()  # noqa: DTZ005 - Congress's, for people
        if cause is None:
            self.polling.succeeded(now)
            for table in [t for t in self.stale if t == "*"]:
                self.mark_fresh(table)
        else:
            self.polling.failed(now, cause)
            self.mark_stale("*", cause)
        self.initialized = True
        self.publish_state()
        if self.inbox is not None:
            self._schedule_poll()


class PushedDataSourceDriver(DataSourceDriver):
    """A source that is written from outside."""

    def update_entire_data(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Make `rows` all that `table` holds."""
        self.prior_state = dict(self.state)
        self.state[table] = set(rows)
        self.number_of_updates += 1
        self.last_updated_time = dt.datetime.now()  # noqa: DTZ005 - Congress's, for people
        self.publish(table, self.state[table])


def with_defaults(driver: type[DataSourceDriver], args: Any) -> dict[str, Any]:
    """`args` with the driver's defaults for what they lack; neither is changed."""
    return {**{o.dest: o.default for o in driver.options()}, **(args or {})}


def describe(cause: BaseException | str) -> str:
    """A cause in one line."""
    if isinstance(cause, str):
        return cause
    text = " ".join(str(cause).split())
    if isinstance(cause, exceptions.EngineError):
        return text
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
