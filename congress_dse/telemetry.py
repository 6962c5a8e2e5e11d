"""Telemetry: OpenTelemetry for one worker, where its configuration wants it."""

from importlib import import_module
from typing import Any

from congress_dse import config, exceptions
from congress_dse.tracing import here

SPANS = "congress_dse.spans"


class Telemetry:
    """The spans of this process, from its construction until `end`; none without the option."""

    def __init__(self, conf: Any, node: str) -> None:
        self._provider: Any = None
        if conf[config.TRACING].opentelemetry:
            made = _spans()
            self._provider = made.provider(node)
            here.make(made.Spans(self._provider))

    def end(self) -> None:
        """Send what was not sent yet."""
        if self._provider is not None:
            here.make(None)
            self._provider.shutdown()


def check(conf: Any) -> None:
    """See that what the configuration asks for is there; raises ConfigError."""
    if conf[config.TRACING].opentelemetry:
        _spans().exporters()


def _spans() -> Any:
    try:
        return import_module(SPANS)
    except ImportError as error:
        raise exceptions.ConfigError(
            f"[{config.TRACING}] opentelemetry: {error}; pip install congress-dse[opentelemetry]"
        ) from error
