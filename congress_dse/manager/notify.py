"""What systemd is told: sd_notify(3), over its datagram socket."""

import logging
import os
import time

from congress_dse.manager import posix

LOG = logging.getLogger(__name__)


class Notify:
    """The way to systemd, if there is one; workers do not inherit it."""

    def __init__(self) -> None:
        self._path = os.environ.pop("NOTIFY_SOCKET", "") if posix.UNIX else ""
        watchdog_us = os.environ.pop("WATCHDOG_USEC", "")
        watchdog_pid = os.environ.pop("WATCHDOG_PID", "")
        mine = watchdog_pid in {"", str(os.getpid())}
        on = bool(self._path) and mine and watchdog_us.isdigit()
        self.watchdog_s = int(watchdog_us) / 2e6 if on else 0.0

    def ready(self, text: str) -> None:
        """The service is up, or has finished reloading."""
        self._send(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={text}")

    def reloading(self) -> None:
        """A reload began; systemd wants the moment on its own clock."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 if self._path else 0
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}\nSTATUS=reloading")

    def stopping(self) -> None:
        """The service is on its way down."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def watchdog(self) -> None:
        """The master's loop turns."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._path:
            return
        try:
            posix.send_datagram(self._path, text.encode())
        except OSError as error:
            LOG.warning("systemd cannot be told (%s): %s", text.partition("\n")[0], error)
