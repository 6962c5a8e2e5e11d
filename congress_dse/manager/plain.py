"""A worker without greenthreads: the loop in the main thread, the service's work in native ones."""

import threading
from collections.abc import Callable
from select import select
from socket import socket

from congress_dse.manager.port import Done
from congress_dse.stacks import thread_stacks


class WorkerLoop:
    """The hub is a ``select``; nothing is patched and nothing is imported."""

    def beside(self, call: Callable[[], object], done: Done) -> None:
        """Run `call` in a thread that does not hold up the end of the process."""
        threading.Thread(target=_attempt, args=(call, done), daemon=True).start()

    def run(self, wake: socket, turn: Callable[[], float | None]) -> None:
        """Turn until there is nothing more to do."""
        while (wait_s := turn()) is not None:
            select([wake], [], [], wait_s)

    def stacks(self) -> str:
        """The stack of every thread."""
        return thread_stacks()


def _attempt(call: Callable[[], object], done: Done) -> None:
    try:
        call()
    except BaseException as error:  # noqa: BLE001 (the service's own code; `done` reports it)
        done(error)
    else:
        done(None)
