"""ApiWorker: the service that a master runs in each API worker.

The master imports this module to name the class, and a master has no runtime: what needs one is
imported in the worker. At a reload each worker is replaced by a fresh one, which serves before the
old one ends.
"""

from importlib import import_module
from typing import Any, ClassVar

from congress_dse.manager import Service

NODE = "congress_dse.apinode"
HEAP = "congress_dse.runtime.heap"
LISTENER = "api"


class ApiWorker(Service):
    """The API in a process of its own."""

    name = "api"
    runtime = "green"
    announces_ready: ClassVar[bool] = True

    def __init__(self, worker_id: int, files: list[str], way: Any) -> None:
        super().__init__(worker_id)
        listener = self.place.listeners[LISTENER]
        name = f"{self.name}.{worker_id}"
        self._node = import_module(NODE).ApiNode(files, way, name, listener, self.place.served)

    def run(self) -> None:
        """Serve, and tell so."""
        self._node.start()
        import_module(HEAP).settle()
        self.place.ready()

    def inquire(self, what: str, args: dict[str, Any]) -> dict[str, Any]:
        """Tell what is known of this worker's cage."""
        answer: dict[str, Any] = self._node.inquest.answer(what, args)
        return answer

    def terminate(self) -> None:
        """Answer what was asked, and end."""
        self._node.stop()
