"""What an application wants to be called for, in the master and in its workers."""

import logging
from collections.abc import Callable
from typing import Any

LOG = logging.getLogger(__name__)


class Hooks:
    """Five lists of callables, called in the order in which they came."""

    def __init__(self) -> None:
        self.on_terminate: list[Callable[[], Any]] = []
        self.on_reload: list[Callable[[], Any]] = []
        self.on_new_worker: list[Callable[[str, int, Any], Any]] = []
        self.on_dead_worker: list[Callable[[str, int, int | None], Any]] = []
        self.on_event: list[Callable[[dict[str, str]], Any]] = []

    def add(self, **hooks: Callable[..., Any] | None) -> None:
        """Take hooks by the names of the lists."""
        for name, hook in hooks.items():
            if hook is None:
                continue
            if not callable(hook):
                raise TypeError(f"{name} must be callable, not {hook!r}")
            getattr(self, name).append(hook)

    def reload(self) -> None:
        """Read and check the new configuration; what a hook raises refuses the reload."""
        for hook in self.on_reload:
            hook()

    def terminate(self) -> None:
        """Tell that the master stops."""
        for hook in self.on_terminate:
            _call("on_terminate", hook)

    def event(self, event: dict[str, str]) -> None:
        """Tell what happened: its kind, subject, text, level and worker."""
        for hook in self.on_event:
            _call("on_event", hook, event)

    def dead_worker(self, service: str, slot: int, exit_code: int | None) -> None:
        """Tell that a worker is gone."""
        for hook in self.on_dead_worker:
            _call("on_dead_worker", hook, service, slot, exit_code)


def _call(name: str, hook: Callable[..., Any], *args: Any) -> None:
    try:
        hook(*args)
    except Exception:
        LOG.exception("%s: hook %r raised", name, hook)
