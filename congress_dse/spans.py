"""Spans: what this process does, told to OpenTelemetry.

A span is made for each ask, for each request to the REST API, and for each message that a service
handles: a request or command always, an update or another message where it continues a trace. Its
parent is the span in which the message was sent, in whatever process that was. A handler that makes
spans of its own finds its message's as the current one.

Names of attributes are those of OpenTelemetry's conventions for messaging, as far as it has any.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from typing import Any

from opentelemetry import context, trace
from opentelemetry.environment_variables import OTEL_TRACES_EXPORTER
from opentelemetry.sdk.environment_variables import OTEL_SERVICE_NAME
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from congress_dse.exceptions import ConfigError
from congress_dse.tracing import Trace

EXPORTERS = "opentelemetry_traces_exporter"  # the group of entry points that OpenTelemetry has
KINDS = {
    "req": SpanKind.SERVER,
    "cmd": SpanKind.CONSUMER,
    "pub": SpanKind.CONSUMER,
    "rep": SpanKind.CONSUMER,
    "sub": SpanKind.SERVER,
    "pull": SpanKind.SERVER,
}
FIRST = frozenset({"req", "cmd"})  # where a trace may begin

_HEADERS = TraceContextTextMapPropagator()


class Spans:
    """The maker of spans; `provider` is the process's global one, unless another is given."""

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        version = metadata.version("congress-dse")
        self._tracer = trace.get_tracer("congress_dse", version, tracer_provider=provider)

    def asking(self, service: str, msg: Any) -> AbstractContextManager[Any]:
        """`service` sends the request `msg` and waits for the answer."""
        return self._span(
            f"ask {msg.key} {msg.dataindex}",
            None,
            kind=SpanKind.CLIENT,
            attributes=_about(service, msg),
        )

    @contextmanager
    def handling(self, service: str, msg: Any) -> Iterator[None]:
        """`service` handles `msg`; its trace, if it has one, is the parent."""
        kind = KINDS.get(msg.type)
        if msg.trace is None and msg.type not in FIRST:
            yield
        elif kind is None:
            with self.within(msg.trace):
                yield
        else:
            name = f"{service} {msg.type} {msg.dataindex}"
            parent = _context(msg.trace)
            with self._span(name, parent, kind=kind, attributes=_about(service, msg)):
                yield

    def serving(self, name: str, trace: Trace | None) -> AbstractContextManager[Any]:
        """A request from outside is answered."""
        return self._span(name, _context(trace), kind=SpanKind.SERVER)

    @contextmanager
    def within(self, trace: Trace) -> Iterator[None]:
        """`trace` goes on, without a span of its own."""
        token = context.attach(_context(trace))
        try:
            yield
        finally:
            context.detach(token)

    def current(self) -> Trace | None:
        """The span that is open here and now."""
        carrier: dict[str, str] = {}
        _HEADERS.inject(carrier)
        parent = carrier.get("traceparent")
        return None if parent is None else Trace(parent, carrier.get("tracestate", ""))

    @contextmanager
    def _span(self, name: str, parent: context.Context | None, **about: Any) -> Iterator[None]:
        """A span that is current; what a client did wrong is no error of ours."""
        with self._tracer.start_as_current_span(
            name, parent, record_exception=False, set_status_on_exception=False, **about
        ) as span:
            try:
                yield
            except Exception as error:
                if getattr(error, "status", 500) >= 500:
                    span.record_exception(error)
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
                raise


def provider(node: str) -> TracerProvider:
    """A provider as the OTEL_* environment has it, for a process whose name is `node`.

    The process's global one, if somebody has set it. Raises ConfigError for an exporter that is not
    installed.
    """
    known = trace.get_tracer_provider()
    if isinstance(known, TracerProvider):
        return known
    about = {"service.instance.id": node}
    if OTEL_SERVICE_NAME not in os.environ:
        about["service.name"] = "congress-dse"
    made = TracerProvider(resource=Resource.create(about))
    for exporter in exporters():
        made.add_span_processor(BatchSpanProcessor(exporter()))
    trace.set_tracer_provider(made)
    return made


def exporters() -> list[Any]:
    """The exporters that OTEL_TRACES_EXPORTER names; raises ConfigError for one that is none."""
    wanted = os.environ.get(OTEL_TRACES_EXPORTER, "otlp").split(",")
    found = []
    for name in {name.strip() for name in wanted} - {"none", ""}:
        points = list(metadata.entry_points(group=EXPORTERS, name=name))
        if not points:
            raise ConfigError(
                f"{OTEL_TRACES_EXPORTER}: no exporter {name!r} is installed; "
                "opentelemetry-exporter-otlp brings 'otlp'"
            )
        found.append(points[0].load())
    return found


def _context(parent: Trace | None) -> context.Context:
    """The context in which `parent` is the current span; an empty one for None."""
    empty = context.Context()
    if parent is None:
        return empty
    carrier = {"traceparent": parent.parent, "tracestate": parent.state}
    return _HEADERS.extract(carrier, empty)


def _about(service: str, msg: Any) -> dict[str, str]:
    return {
        "messaging.system": "congress_dse",
        "messaging.operation.name": msg.type,
        "messaging.destination.name": msg.key,
        "messaging.message.conversation_id": msg.correlationId,
        "congress_dse.service": service,
        "congress_dse.sender": msg.header.get("asker", msg.replyTo),
        "congress_dse.dataindex": msg.dataindex,
    }
