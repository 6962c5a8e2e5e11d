"""What a worker needs of the runtime that the process has chosen."""

from collections.abc import Callable
from importlib import import_module
from socket import socket
from typing import Protocol

from congress_dse.runtime import choice

RUNTIMES = {
    "plain": "congress_dse.manager.plain",
    "green": "congress_dse.runtime.green_worker",
    "mixed": "congress_dse.runtime.mixed_worker",
    "asyncio": "congress_dse.runtime.aio_worker",
    "uvloop": "congress_dse.runtime.aio_worker",
}

Done = Callable[[BaseException | None], object]


class Loop(Protocol):
    """The hub of a worker. It alone calls `turn`; if it is blocked, nothing beats."""

    def beside(self, call: Callable[[], object], done: Done) -> None:
        """Run `call` beside the loop, in a greenthread, a task or a thread; then `done`.

        `done` gets what `call` raised, or None.
        """

    def run(self, wake: socket, turn: Callable[[], float | None]) -> None:
        """Call `turn` at once, when `wake` can be read, and after the seconds it answered.

        Returns when it answers None.
        """

    def stacks(self) -> str:
        """The stacks of everything that waits; called from a native thread."""
        ...


def choose(runtime: str) -> Loop:
    """Make `runtime` the one of this process."""
    if runtime in choice.RUNTIMES:
        choice.choose(runtime, "the service of this worker")
    loop: Loop = import_module(RUNTIMES[runtime]).WorkerLoop()
    return loop
