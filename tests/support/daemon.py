"""A server of a test's own: it can be killed, stopped, and started again at the same place."""

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager

import pytest

from tests.support.engine import wait_for
from tests.support.ports import free_ports

STARTS_S = 60  # generous: one needs a Java


class Daemon:
    """One server, at one port for all of its lives; a subclass says what it is."""

    program = ""
    always = False  # whether each machine that runs the gate has it
    asked, answered = b"", b""  # over a connection, once it serves

    def __init__(self, folder):
        self.folder = folder
        self.port = free_ports(1)[0]
        self._process = None

    def command(self):
        raise NotImplementedError

    def start(self):
        with (self.folder / f"{self.program}.log").open("a") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.folder, env=self.environment()
            )
        wait_for(self._answers, within_s=STARTS_S)

    def environment(self):
        return dict(os.environ)

    def kill(self):
        """End it as a crash does."""
        self._process.kill()
        self._process.wait()

    def freeze(self):
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def _answers(self):
        assert self._process.poll() is None, f"{self.program} ended: see {self.folder}"
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
                sock.sendall(self.asked)
                return sock.recv(16).startswith(self.answered)
        except OSError:
            return False


@contextmanager
def running(daemon):
    """It runs; where it is not installed the test skips, or fails where it ought to be."""
    if shutil.which(daemon.program) is None:
        fails = daemon.always and os.environ.get("CI")
        (pytest.fail if fails else pytest.skip)(f"no {daemon.program}")
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.kill()
