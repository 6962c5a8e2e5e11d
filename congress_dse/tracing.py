"""Tracing: the W3C trace context of what runs here and now, and who makes spans of it.

A message takes the context of the turn that it is sent in, and its own handling continues it; a
link carries it. Nobody needs to make spans for that: a context that came in is then handed on as it
is. Until the first one comes, or somebody makes spans, all of it costs a look at `used`.

The form is that of https://www.w3.org/TR/trace-context/ (Recommendation of 23 November 2021).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[^\s]*)?")
STATE_MAX = 512  # characters of a tracestate that everybody has to hand on


class Trace(NamedTuple):
    """The two headers of a trace context: ``traceparent`` and ``tracestate``."""

    parent: str
    state: str = ""


class Spans(Protocol):
    """Who makes spans. Each method's context is the span's; what is raised in it is its error."""

    def asking(self, service: str, msg: Any) -> AbstractContextManager[Any]:
        """`service`, or nobody, sends the request `msg` and waits for the answer."""

    def handling(self, service: str, msg: Any) -> AbstractContextManager[Any]:
        """`service` handles `msg`; its trace, if it has one, is the parent."""

    def serving(self, name: str, trace: Trace | None) -> AbstractContextManager[Any]:
        """A request from outside is answered."""

    def within(self, trace: Trace) -> AbstractContextManager[Any]:
        """`trace` goes on, without a span of its own."""

    def current(self) -> Trace | None:
        """The span that is open here and now."""


class Here:
    """The tracing of this process: one for all its cages."""

    __slots__ = ("_spans", "_trace", "used")

    def __init__(self) -> None:
        self.used = False
        self._spans: Spans | None = None
        self._trace: ContextVar[Trace | None] = ContextVar("congress_dse_trace", default=None)

    def make(self, spans: Spans | None) -> None:
        """Have `spans` made from now on; None makes none."""
        self._spans = spans
        self.used = self.used or spans is not None

    def current(self) -> Trace | None:
        """The context of what runs here and now, None outside of any trace."""
        return self._trace.get() if self._spans is None else self._spans.current()

    def mark(self, msg: Any) -> None:
        """Have `msg` continue the trace of its sender's turn, if it has none of its own."""
        if msg.trace is None:
            trace = self.current()
            if trace is not None:
                msg.trace = trace

    def asking(self, service: str, msg: Any) -> AbstractContextManager[Any]:
        """The context in which `msg` is sent and its answer waited for."""
        return nullcontext() if self._spans is None else self._spans.asking(service, msg)

    def handling(self, service: str, msg: Any) -> AbstractContextManager[Any]:
        """The context in which `service` handles `msg`."""
        if self._spans is not None:
            return self._spans.handling(service, msg)
        return nullcontext() if msg.trace is None else self._continued(msg.trace)

    def serving(self, name: str, trace: Trace | None) -> AbstractContextManager[Any]:
        """The context in which a request from outside is answered; `trace` is what it brought."""
        self.used = self.used or trace is not None
        if self._spans is not None:
            return self._spans.serving(name, trace)
        return nullcontext() if trace is None else self._continued(trace)

    def carried(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, to be made elsewhere, as a part of the trace that runs here and now."""
        trace = self.current()
        return call if trace is None else lambda *args: self._within(trace, call, args)

    def continued(self, trace: Trace) -> AbstractContextManager[Any]:
        """The context in which `trace`, which a link brought, goes on; makes no span."""
        self.used = True
        return self._continued(trace) if self._spans is None else self._spans.within(trace)

    def _within(self, trace: Trace, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        with self.continued(trace):
            return call(*args)

    @contextmanager
    def _continued(self, trace: Trace) -> Iterator[None]:
        token = self._trace.set(trace)
        try:
            yield
        finally:
            self._trace.reset(token)


here = Here()


def read(parent: str | None, state: str | None = "") -> Trace | None:
    """The context that two headers hold; None, as the contract has it, for what is none."""
    if parent is None:
        return None
    match = PARENT.fullmatch(parent.strip())
    if match is None:
        return None
    version, trace, span, _, more = match.groups()
    wrong = version == "ff" or (version == "00" and more) or not trace.strip("0")
    if wrong or not span.strip("0"):
        return None
    state = (state or "").strip()
    return Trace(parent.strip(), state if len(state) <= STATE_MAX and state.isprintable() else "")
