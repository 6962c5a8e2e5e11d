"""The metrics in Prometheus's form: summed over all workers, those that ended among them.

The master keeps what its workers have counted, so a counter never falls while the engine lives,
whichever API worker is asked, and no worker leaves a file behind. Names and units follow
Prometheus's conventions: seconds and bytes, and ``_total`` for what only rises.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from congress_dse.api.app import Context, Route
from congress_dse.api.http import Request, Response
from congress_dse.api.traffic import BOUNDS_S
from congress_dse.counters import Series
from congress_dse.inquiries import Inquiries

PREFIX = "congress_dse_"
HISTOGRAM = "http_request_seconds"


class About(NamedTuple):
    """What a metric is called, what it counts, and by which labels."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


SERVICE, SOURCE = ("service",), ("source",)
COUNTERS = {
    "received": About("messages_received", "Messages that came to a service.", SERVICE),
    "handled": About("messages_handled", "Messages that a service has handled.", SERVICE),
    "failed": About("messages_failed", "Messages whose handling raised.", SERVICE),
    "dropped": About("messages_dropped", "Messages that a full mailbox lost.", SERVICE),
    "coalesced": About("updates_coalesced", "Updates that a full mailbox left out.", SERVICE),
    "mailbox_s": About("message_wait_seconds", "Time that messages waited.", SERVICE),
    "handler_s": About("message_handling_seconds", "Time that handling took.", SERVICE),
    "restarts": About("service_restarts", "Restarts of a service.", SERVICE),
    "source_updates": About("source_updates", "Reads of, or writes to, a source.", SOURCE),
    "source_polls": About("source_polls", "Polls of a source.", SOURCE),
    "source_poll_failures": About("source_poll_failures", "Polls that failed.", SOURCE),
    "source_poll_s": About("source_poll_seconds", "Time that polls took.", SOURCE),
    "link_sent_b": About("link_sent_bytes", "Bytes sent over links.", SERVICE),
    "link_received_b": About("link_received_bytes", "Bytes received over links.", SERVICE),
    "link_late_answers": About("link_late_answers", "Answers that came too late.", SERVICE),
    "link_dropped_updates": About("link_dropped_updates", "Updates to be resent.", SERVICE),
    "dead_letters": About("dead_letters", "Messages that nobody handled.", ("reason",)),
    "ask_timeouts": About("ask_timeouts", "Asks that were not answered in time."),
    "hub_blocks": About("hub_blocks", "Handlers that let nobody else have his turn.", SERVICE),
    "cpu_seconds": About("cpu_seconds", "Processor time of all workers."),
    "lease_grants": About("lease_grants", "Leases of a source that this engine got.", SOURCE),
    "lease_losses": About("lease_losses", "Leases that ended unasked.", SOURCE),
    "lease_renewal_failures": About("lease_renewal_failures", "Renewals that failed."),
    "worker_ends": About("worker_ends", "Workers that ended.", ("pool", "asked")),
    "reloads": About("reloads", "Reloads of the configuration.", ("taken",)),
    "http_requests": About("http_requests", "Requests.", ("method", "route", "status")),
}
GAUGES = {
    "mailbox_messages": About("mailbox_messages", "Messages that wait.", SERVICE),
    "mailbox_oldest_seconds": About("mailbox_oldest_seconds", "Age of the oldest.", SERVICE),
    "service_up": About("service_up", "Whether a service runs.", SERVICE),
    "table_rows": About("table_rows", "Rows of a table.", ("service", "table")),
    "source_up": About("source_up", "Whether all tables of a source are fresh.", SOURCE),
    "source_stale_seconds": About("source_stale_seconds", "Age of its oldest fault.", SOURCE),
    "links": About("links", "Ends of links.", ("kind", "state")),
    "open_asks": About("open_asks", "Asks that wait for an answer."),
    "dead_letters_kept": About("dead_letters_kept", "Dead letters that can be replayed."),
    "leases_wanted": About("leases_wanted", "Sources that are configured, of several engines."),
    "leases_held": About("leases_held", "Sources whose lease this engine has."),
    "lease_left_seconds": About("lease_left_seconds", "Until its end, unless renewed.", SOURCE),
    "lease_renewal_age_seconds": About("lease_renewal_age_seconds", "Since the last renewal."),
    "coordination_up": About("coordination_up", "Whether the coordination service answers."),
    "resident_memory_bytes": About("resident_memory_bytes", "Memory of a worker.", ("worker",)),
    "worker_up": About("worker_up", "Whether a worker answers.", ("worker",)),
    "worker_blocked_seconds": About("worker_blocked_seconds", "Of its hub.", ("worker",)),
    "workers": About("workers", "Workers that serve.", ("pool",)),
    "workers_wanted": About("workers_wanted", "Workers that are to serve.", ("pool",)),
}
LARGEST = {"mailbox_oldest_seconds", "source_stale_seconds"}  # of several, and no sum


class Said(Collector):
    """The metrics of one moment."""

    def __init__(self, counters: list[Series], gauges: list[Series]) -> None:
        self._counters, self._gauges = counters, gauges

    def collect(self) -> Iterator[Metric]:
        """Every metric, with the series that it has."""
        for what, about in COUNTERS.items():
            counter = CounterMetricFamily(PREFIX + about.name, about.text, labels=about.labels)
            _fill(counter, about, what, self._counters)
            yield counter
        for what, about in GAUGES.items():
            gauge = GaugeMetricFamily(PREFIX + about.name, about.text, labels=about.labels)
            _fill(gauge, about, what, self._gauges)
            yield gauge
        yield self._histogram()

    def _histogram(self) -> Metric:
        text = "Time until a request was answered, or its stream began."
        found = HistogramMetricFamily(
            PREFIX + "http_request_duration_seconds", text, labels=("route",)
        )
        counts: dict[str, dict[str, float]] = {}
        sums: dict[str, float] = {}
        for name, labels, value in self._counters:
            if name == HISTOGRAM:
                counts.setdefault(labels["route"], {})[labels["le"]] = value
            elif name == f"{HISTOGRAM}_sum":
                sums[labels["route"]] = value
        for route, by_bound in counts.items():
            buckets, total = [], 0.0
            for bound in (*map(str, BOUNDS_S), "+Inf"):
                total += by_bound.get(bound, 0.0)
                buckets.append((bound, total))
            found.add_metric((route,), buckets, sums.get(route, 0.0))
        return found


def exposition(counters: list[Series], gauges: list[Series]) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Said(counters, gauges))
    return generate_latest(registry)


def metrics(context: Context, _request: Request) -> Response:
    """The metrics of the engine."""
    inquiries: Inquiries = context.parts["inquiries"]
    counters, gauges = inquiries.metrics()
    headers = {"content-type": CONTENT_TYPE_PLAIN_0_0_4, "cache-control": "no-store"}
    return Response(200, exposition(counters, gauges), headers)


def _fill(family: Any, about: About, what: str, series: Iterable[Series]) -> None:
    """Add the series of one metric; those of equal labels are one."""
    found: dict[tuple[str, ...], float] = {}
    for name, labels, value in series:
        if name == what:
            key = tuple(str(labels.get(label, "")) for label in about.labels)
            before = found.get(key, 0.0)
            found[key] = max(before, value) if what in LARGEST else before + value
    for key, value in found.items():
        family.add_metric(key, value)


ROUTES = [
    Route(
        "GET",
        "/metrics",
        metrics,
        "The metrics of the engine, for Prometheus.",
        about={"type": "text/plain", "answer": {"type": "string"}},
    )
]
