"""RabbitMQ for tests: the one that runs on this machine, and private ones that may be killed."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

LOCAL = ("127.0.0.1", 5672)
BIN = Path("/usr/lib/rabbitmq/bin")
LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
UP_S = 60.0


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


class Broker:
    """A broker of its own, with its own epmd; three ports in a row on loopback."""

    def __init__(self, folder):
        server = BIN / "rabbitmq-server"
        if not server.exists() or shutil.which("epmd") is None:
            without("RabbitMQ is not installed")
        self.folder = Path(folder)
        self.port = three_ports()
        self._server = self._epmd = None

    @property
    def url(self):
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/"

    def start(self):
        """Start it and wait until it speaks."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "enabled_plugins").write_text("[].")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console = false\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        if self._epmd is None:
            port = str(self.port + 2)
            command = ["epmd", "-address", "127.0.0.1", "-port", port]
            self._epmd = subprocess.Popen(command, start_new_session=True)
        with (self.folder / "output").open("ab") as output:
            self._server = subprocess.Popen(
                [BIN / "rabbitmq-server"],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        end = time.monotonic() + UP_S
        while not speaks("127.0.0.1", self.port):
            if self._server.poll() is not None or time.monotonic() > end:
                without(f"RabbitMQ does not start: {(self.folder / 'output').read_text()[-1000:]}")
            time.sleep(0.1)

    def kill(self):
        """End it at once, as a crash does; what is durable stays."""
        server, self._server = self._server, None
        if server is not None:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def stop(self):
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()

    def _environment(self):
        ports = {"RABBITMQ_DIST_PORT": self.port + 1, "ERL_EPMD_PORT": self.port + 2}
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
            "RABBITMQ_NODENAME": f"drivers{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LOOPBACK,
            **{name: str(port) for name, port in ports.items()},
            **{name: str(self.folder / place) for name, place in places.items()},
        }


def three_ports():
    """The first of three free ports in a row."""
    for port in range(25700 + os.getpid() % 1000 * 3, 60000, 3):
        with suppress(OSError):
            for each in range(port, port + 3):
                with socket.socket() as found:
                    found.bind(("127.0.0.1", each))
            return port
    raise OSError("no three free ports in a row")
