"""The hub of a worker in mixed: eventlet on asyncio, and nothing patched."""

from collections.abc import Callable

from congress_dse.runtime import green_worker
from congress_dse.runtime.green import coroutines, spawn


class WorkerLoop(green_worker.WorkerLoop):
    """As in green; what a hook answers is awaited if it can be."""

    def _patch(self) -> None:
        """Nothing: the import of the runtime has set the hub up."""

    def beside(
        self, call: Callable[[], object], done: Callable[[BaseException | None], object]
    ) -> None:
        """Run `call` in a greenthread."""
        spawn(green_worker.attempt, lambda: coroutines.finish(call()), done)
