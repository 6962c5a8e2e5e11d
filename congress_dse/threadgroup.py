"""The threads and timers of one service: greenthreads where the process is patched, else native."""

import logging
import threading
from collections.abc import Callable
from typing import Any

LOG = logging.getLogger(__name__)


class ThreadGroup:
    """Owns what it starts: stopping ends the timers, waiting joins everything."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def add_thread(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> threading.Thread:
        """Run `call` in a thread."""
        thread = threading.Thread(target=call, args=args, kwargs=kwargs, daemon=True)
        self._threads = [t for t in self._threads if t.is_alive()] + [thread]
        thread.start()
        return thread

    def add_timer(
        self,
        interval: float,
        call: Callable[..., Any],
        initial_delay: float | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> threading.Thread:
        """Call `call` every `interval` seconds until the group stops."""
        return self.add_thread(self._repeat, interval, initial_delay or 0.0, call, args, kwargs)

    def stop(self, graceful: bool = False) -> None:
        """Stop the timers; `graceful` waits for the threads as well."""
        self._over.set()
        if graceful:
            self.wait()

    def wait(self) -> None:
        """Wait for the threads, but for the one that asks."""
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _repeat(
        self, interval_s: float, delay_s: float, call: Callable[..., Any], args: Any, kwargs: Any
    ) -> None:
        wait_s = delay_s
        while not self._over.wait(wait_s):
            try:
                call(*args, **kwargs)
            except Exception:
                LOG.exception("timer %r raised", call)
            wait_s = interval_s
