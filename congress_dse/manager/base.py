"""A service under cotyledon's name: what runs in each worker."""

from typing import Any, ClassVar, Literal

from congress_dse.manager.place import Place


class Service:
    """One worker's work. It is built in the worker's process, never in the master's.

    `run` is called once, beside the worker's loop (a thread under the ``plain`` runtime, a
    greenthread under ``green`` and ``mixed``, a greenlet of the loop under ``asyncio``), and may
    return: the worker stays until it is stopped. What any hook raises is logged, and ends the
    worker.
    """

    name: ClassVar[str | None] = None
    graceful_shutdown_timeout: ClassVar[float | None] = None
    runtime: ClassVar[Literal["plain", "green", "mixed", "asyncio", "uvloop"]] = "plain"
    announces_ready: ClassVar[bool] = False
    place: Place

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A name that was given is inherited; one that only repeats a base's class is not.
        if cls.name in {None, *(base.__name__ for base in cls.__mro__[1:])}:
            cls.name = cls.__name__

    def __init__(self, worker_id: int) -> None:
        super().__init__()
        self.worker_id = worker_id

    def run(self) -> Any:
        """Do the work."""

    def terminate(self) -> Any:
        """Take nothing new, finish what is in hand, and return; the process then ends."""

    def reload(self) -> Any:
        """Take the new configuration in place.

        A service that does not override this is replaced by a fresh one at each reload.
        """

    def inquire(self, what: str, args: dict[str, Any]) -> dict[str, Any]:
        """Tell what an operator asks, as plain data.

        Called from a native thread, also while the loop is blocked: it may read, and not wait.
        """
        return {}

    def replay(self, payload: Any) -> Any:
        """Take a parked piece of work again, once."""
