"""RabbitMQ for tests: the one that runs on this machine, and private ones that may be killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.ports import free_ports

LOCAL = ("127.0.0.1", 5672)
BIN = Path("/usr/lib/rabbitmq/bin")
LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
UP_S = 60.0
# Runs a command until that ends, or until whoever started this does: then it ends its own group.
KEEPER = """
import os, signal, subprocess, sys, threading
def end():
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=end, daemon=True).start()
os._exit(subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL).returncode & 255)
"""


def without(reason):
    """Skip a test at home, fail it under CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def local_url():
    """The URL of the RabbitMQ of this machine."""
    if not speaks(*LOCAL):
        without(f"no RabbitMQ at {LOCAL[0]}:{LOCAL[1]}")
    return "rabbit://guest:guest@{}:{}/".format(*LOCAL)


def speaks(host, port):
    """Whether an AMQP broker answers there: it hangs up on another protocol, and names its own."""
    with suppress(OSError), socket.create_connection((host, port), 2) as broker:
        broker.settimeout(2)
        broker.sendall(b"AMQP\x00\x00\x00\x00")
        return broker.recv(4) == b"AMQP"
    return False


class RabbitNode:
    """A broker of one's own, with its own epmd, on free ports of loopback.

    `start` after `kill` or `stop` finds what is durable. It ends with the process that made it,
    however that ends. Use it with ``with``, or the fixture `rabbit_node`, which shares one.
    """

    def __init__(self, folder, settings=""):
        if not (BIN / "rabbitmq-server").exists() or shutil.which("epmd") is None:
            without("RabbitMQ is not installed")
        self.folder = Path(folder)
        self.port, self._dist, self._epmd = free_ports(3)
        self._settings = settings  # lines of rabbitmq.conf
        self._kept = {}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_exc):
        self.close()

    @property
    def url(self):
        """Where it is, as oslo.messaging writes it."""
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/"

    @property
    def running(self):
        """Whether its process is there, whatever it answers."""
        return "server" in self._kept and self._kept["server"].poll() is None

    def start(self):
        """Start it and wait until it speaks."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "enabled_plugins").write_text("[].")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console = false\n"
            "disk_free_limit.absolute = 50MB\n" + self._settings
        )
        if "epmd" not in self._kept:
            self._keep("epmd", "epmd", "-address", "127.0.0.1", "-port", str(self._epmd))
        self._keep("server", str(BIN / "rabbitmq-server"))
        self._await_speech()

    def kill(self):
        """End it at once, as a crash does; what is durable stays."""
        self._end("server")

    def freeze(self):
        """Have it do nothing, as a machine that hangs: its connections stay, and are silent."""
        for process in psutil.Process(self._kept["server"].pid).children(recursive=True):
            process.suspend()

    def thaw(self):
        """Undo `freeze`."""
        for process in psutil.Process(self._kept["server"].pid).children(recursive=True):
            process.resume()

    def stop(self):
        """End it in order; what is durable stays."""
        if self.running:
            self.ctl("shutdown")
        self._end("server")

    def close(self):
        """End all of it at once."""
        if self.running:
            self.thaw()  # what is suspended does not see its server end, and stays
        self._end("server")
        self._end("epmd")

    def stop_app(self):
        """Have the node refuse connections; its process runs on."""
        self.ctl("stop_app")

    def start_app(self):
        """Undo `stop_app`, and wait until it speaks."""
        self.ctl("start_app")
        self._await_speech()

    def close_all_connections(self, reason="closed by a test"):
        """Have the broker close every connection, as an operator may."""
        self.ctl("close_all_connections", reason)

    def alarm(self, on):
        """Have it run short of memory, or be fine again."""
        mark = ("absolute", "1MB") if on else ("0.4",)
        self.ctl("set_vm_memory_high_watermark", *mark)

    def ctl(self, *words):
        """What ``rabbitmqctl`` says to this order; raises CalledProcessError when it fails."""
        command = [str(BIN / "rabbitmqctl"), "--quiet", *words]
        done = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, check=True
        )
        return done.stdout

    def _await_speech(self):
        end = time.monotonic() + UP_S
        while not speaks("127.0.0.1", self.port):
            if not self.running or time.monotonic() > end:
                without(f"RabbitMQ does not start: {(self.folder / 'output').read_text()[-1000:]}")
            time.sleep(0.1)

    def _keep(self, what, *command):
        with (self.folder / "output").open("ab") as output:
            self._kept[what] = subprocess.Popen(
                [sys.executable, "-c", KEEPER, *command],
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _end(self, what):
        keeper = self._kept.pop(what, None)
        if keeper is not None:
            with suppress(ProcessLookupError):
                os.killpg(keeper.pid, signal.SIGKILL)
            keeper.wait()
            keeper.stdin.close()

    def _environment(self):
        ports = {"RABBITMQ_DIST_PORT": self._dist, "ERL_EPMD_PORT": self._epmd}
        places = {
            "RABBITMQ_MNESIA_BASE": "mnesia",
            "RABBITMQ_LOG_BASE": "log",
            "RABBITMQ_PID_FILE": "pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "enabled_plugins",
            "RABBITMQ_CONFIG_FILE": "rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "none",
        }
        return {
            **os.environ,
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LOOPBACK,
            **{name: str(port) for name, port in ports.items()},
            **{name: str(self.folder / place) for name, place in places.items()},
        }
