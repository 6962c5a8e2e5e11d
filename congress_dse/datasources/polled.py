"""PollingDataSourceDriver: a source that is read again and again, beside the actor.

The poll has a greenthread of its own and a deadline, and never overlaps itself. Its failure leaves
the last good rows in place and marks them stale, with cause and age, without ending anything; the
source is tried again, sooner than its period at first.
"""

import datetime as dt
import logging
from inspect import iscoroutinefunction
from typing import Any

from congress_dse import exceptions
from congress_dse.d6message import d6msg
from congress_dse.datasources import options
from congress_dse.datasources.polling import Polling
from congress_dse.datasources.source import ALL, DataSourceDriver
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)
FIRST_S = 5.0  # after which whoever asks waits no longer for the first poll


class PollingDataSourceDriver(DataSourceDriver):
    """A source that is read every `poll_time` seconds, and on request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Without an inbox a driver stands alone, as in a test: it is read only when it is told to.
        self.poll_time = float(self.args["poll_time"]) if self.inbox is not None else 0.0
        self.poll_deadline = float(self.args["poll_deadline"])
        self.lazy_tables = set(self.args["lazy_tables"])
        self.polling = Polling(self.poll_time, self.args["retry_max"])
        self.worker_greenthread: Any = None
        self._next_poll: Any = None
        self._born = runtime.now()

    @classmethod
    def options(cls) -> list[Any]:
        return [*super().options(), *options.POLLING]

    def begin(self) -> None:
        super().begin()
        if self.inbox is not None:
            self.do(self._schedule_poll)

    def update_from_datasource(self) -> None:
        """Read the source and set ``state``; runs beside the actor, and may wait.

        A coroutine function is awaited. A plain one runs in a greenthread where the standard
        library is patched, and else in a native thread, one at a time.
        """
        raise NotImplementedError

    def wanted(self, root: str) -> bool:
        """Whether `root` is to be read: a lazy one is while somebody follows one of its tables."""
        if root not in self.lazy_tables:
            return True
        known = self.translators.get(root)
        return self.followed(*(known.tables if known else (root,)))

    def subhandler(self, msg: d6msg) -> None:
        """Read a lazy table as soon as it has its first follower."""
        if self.lazy_tables and not self.followed(msg.dataindex):
            root = self._root(msg.dataindex)
            if root in self.lazy_tables:
                self.request_refresh()

    def request_refresh(self) -> None:
        """Poll now, or right after the running poll."""
        self.do(self._refresh)

    def get_status(self) -> dict[str, Any]:
        """As every source's, and how its polls fare."""
        polling = self.polling
        return {
            **super().get_status(),
            "failures_in_a_row": polling.failures,
            "circuit": "open" if polling.open else "closed",
        }

    def counters(self) -> dict[str, float]:
        polling = self.polling
        return {
            **super().counters(),
            "source_polls": polling.count,
            "source_poll_failures": polling.failed_count,
            "source_poll_s": polling.total_s,
        }

    def retry_s(self) -> float:
        """Until the next poll, or the end of the one that runs."""
        since = self.polling.running_since
        if since is not None:
            return max(1.0, since + self.poll_deadline - runtime.now())
        due = self.polling.due()
        return super().retry_s() if due is None else max(1.0, due - runtime.now())

    def beginning(self) -> bool:
        fresh = runtime.now() - self._born < FIRST_S
        return fresh and not self.initialized and self.poll_time > 0

    def lazy(self, table: str) -> bool:
        root = self._root(table)
        return root in self.lazy_tables and not self.wanted(root)

    def poll(self) -> None:
        """Poll once and publish, in the caller's own time: for a driver that stands alone."""
        self.polling.started(runtime.now())
        self._finish_poll(self._polled())

    def cleanup(self) -> None:
        """End the running poll; the engine calls it when the service ends."""
        if self.worker_greenthread is not None:
            self.worker_greenthread.kill()

    def _root(self, table: str) -> str:
        """The root table whose objects fill `table`."""
        for translator in self.translators:
            root = str(translator["table-name"])
            if table in self.translators.tables(root):
                return root
        return table

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
            self._next_poll = self.after(max(0.0, due - runtime.now()), self._start_poll)

    def _start_poll(self) -> None:
        if self.polling.due() is not None:
            self.polling.started(runtime.now())
            self.worker_greenthread = self.spawn(self._poll_beside)

    def _poll_beside(self) -> None:
        """Runs in the poll's own greenthread; what it brings is taken in the actor's own turn."""
        cause = self._polled()
        self.do(lambda: self._finish_poll(cause))

    def _polled(self) -> BaseException | None:
        """Read the source within the deadline; return what went wrong, and undo what it left."""
        self.prior_state, prior_raw = dict(self.state), dict(self._raw)
        self._outcomes.clear()
        self._kept.clear()
        late = exceptions.PollTimeout(
            f"{self.name}: poll has not ended in {self.poll_deadline:g} s (poll_deadline)"
        )
        try:
            with runtime.deadline(self.poll_deadline, late):
                self._look()
        except BaseException as error:
            failure = runtime.failure(error)
            # The marks of what was read go back with it, or the same data would count as known.
            self.state, self._raw = self.prior_state, prior_raw
            return failure
        if self._outcomes and None not in self._outcomes:
            return self._outcomes[-1]  # every table failed: so did the poll
        return None

    def _look(self) -> None:
        update = self.update_from_datasource
        if runtime.PATCHED or iscoroutinefunction(update):
            runtime.finish(update())
        else:
            runtime.finish(self.blocking(update))

    def _finish_poll(self, cause: BaseException | None) -> None:
        self.worker_greenthread = None
        self.number_of_updates += 1
        self.last_error = cause
        self.last_updated_time = dt.datetime.now()  # noqa: DTZ005 - in Congress's form, for people
        if cause is None:
            self.polling.succeeded(runtime.now())
            self.mark_fresh(ALL)
        else:
            self.polling.failed(runtime.now(), cause)
            if cause not in self._outcomes:
                self.mark_stale(ALL, cause)
            else:
                self.stale.pop(ALL, None)  # each table has a cause of its own by now
        self.initialized = True
        self.publish_state()
        if self.inbox is not None:
            self._schedule_poll()
