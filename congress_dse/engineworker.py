"""EngineWorker: the service that a master runs in each engine worker: a cage with its sources.

The master imports this module to name the class, and a master has no runtime: what needs one is
imported in the worker, when it builds its engine.
"""

from importlib import import_module
from typing import Any, ClassVar

from congress_dse.manager import Service

ENGINE = "congress_dse.engine"


class EngineWorker(Service):
    """One engine, in a process of its own or, in debug mode, in the only one."""

    name = "engine"
    runtime = "green"
    announces_ready: ClassVar[bool] = True

    def __init__(self, worker_id: int, files: list[str], watch: dict[str, Any]) -> None:
        super().__init__(worker_id)
        self._engine = import_module(ENGINE).Engine(files, watch, self.place.stop)

    def run(self) -> None:
        """Create this worker's share of the sources, and tell that it serves."""
        self.resized()
        self.place.ready()

    def resized(self) -> None:
        """Take the sources that are this worker's now, and let the others go."""
        self._engine.share(self.worker_id, self.place.slots)

    def reload(self) -> None:
        """Read the configuration again: create what is new, end what is gone."""
        self._engine.reload()

    def terminate(self) -> None:
        """End every service of the engine."""
        self._engine.stop()
