"""EngineWorker: the service that a master runs in each engine worker: a cage with its sources.

The master imports this module to name the class, and a master has no runtime: what needs one is
imported in the worker, when it builds its engine.
"""

from importlib import import_module
from typing import Any, ClassVar

from congress_dse.apiworker import HEAP, LISTENER
from congress_dse.manager import Service

ENGINE = "congress_dse.engine"
API = "congress_dse.api.server"


class EngineWorker(Service):
    """One engine, in a process of its own or, in debug mode, in the only one."""

    name = "engine"
    runtime = "green"
    announces_ready: ClassVar[bool] = True

    def __init__(
        self, worker_id: int, files: list[str], watch: dict[str, Any], way: Any = None
    ) -> None:
        super().__init__(worker_id)
        self._engine = import_module(ENGINE).Engine(files, watch, self.place.stop)
        self._engine.cage.notice = self.place.happened
        if way is not None:
            self._engine.join(way, f"{self.name}.{worker_id}")
        self._api: Any = None

    def run(self) -> None:
        """Create this worker's share of the sources, and tell that it serves."""
        self.resized()
        listener = self.place.listeners.get(LISTENER)
        if listener is not None:
            engine = self._engine
            self._api = import_module(API).Api(
                engine.conf,
                engine.catalogue,
                engine.cage,
                listener,
                self.place.served,
                inquest=engine.inquest,
                control=engine.control,
            )
            self._api.start()
        import_module(HEAP).settle()
        self.place.ready()

    def resized(self) -> None:
        """Take the sources that are this worker's now, and let the others go."""
        self._engine.share(self.worker_id, self.place.slots)

    def inquire(self, what: str, args: dict[str, Any]) -> dict[str, Any]:
        """Tell what is known of this worker's cage."""
        answer: dict[str, Any] = self._engine.inquest.answer(what, args)
        return answer

    def reload(self) -> None:
        """Read the configuration again: create what is new, end what is gone."""
        self._engine.reload()

    def terminate(self) -> None:
        """Answer what was asked, and end every service of the engine."""
        if self._api is not None:
            self._api.stop()
        self._engine.stop()
