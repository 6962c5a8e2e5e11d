"""A Redis of a test's own: it can be killed, stopped and started again, empty."""

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager

import pytest

from tests.support.engine import wait_for
from tests.support.ports import free_ports


class RedisServer:
    """One server, at one port for all of its lives."""

    def __init__(self, folder):
        self.port = free_ports(1)[0]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        self._process = None

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        with (self._folder / "redis.log").open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        wait_for(self._answers)

    def kill(self):
        """End it; it forgets everything."""
        self._process.kill()
        self._process.wait()

    def freeze(self):
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
                sock.sendall(b"PING\r\n")
                return sock.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def redis_server(folder):
    """A Redis that runs; where there is none to be had the test skips, and fails under CI."""
    if shutil.which("redis-server") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no redis-server")
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
