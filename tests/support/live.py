"""A running engine of several processes, one of which blocks its hub when it is told to."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from congress_dse.manager.control import ask
from tests.support.asking import asked

ROOT = Path(__file__).parents[2]
WITHIN_S = 80.0

BLOCKER = '''
    import ctypes
    import os

    from congress_dse.datasources.datasource_driver import PollingDataSourceDriver


    class Blocker(PollingDataSourceDriver):
        """Blocks the hub natively once its file is there."""

        def update_from_datasource(self):
            if not self.state:
                self.dataPath.tell("nobody", "something", {"of": "interest"})
            self.state = {"t": {(1, "one"), (2, "two")}}
            if os.path.exists(os.environ["BLOCK_WHEN"]):
                self.do(block_natively)


    def block_natively():
        ctypes.CDLL(None).sleep(120)


    def d6service(name, keys, inbox, datapath, args):
        return Blocker(name, keys, inbox, datapath, args)
'''
CONF = """
[processes]
workers = 2
control_socket = {tmp}/control
liveness = 90
graceful_shutdown_timeout = 1
[api]
bind_port = 0
[links]
node = testhost
[database]
connection = sqlite:///{tmp}/db.sqlite
[datasource:free]
driver = push
tables = alarms(id,severity)
worker = 1
[datasource:blocker]
driver = {tmp}/blocker.py
poll_time = 0.2
worker = 0
"""


def until(condition, what):
    """Wait until `condition()` is true, and answer it."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        threading.Event().wait(0.05)
    raise AssertionError(f"not within {WITHIN_S} s: {what}")


class Engine:
    """The command serve with two engine workers and an API worker."""

    def __init__(self, tmp, *args):
        self.args = args
        self.tmp = tmp
        (tmp / "blocker.py").write_text(textwrap.dedent(BLOCKER))
        self.conf = tmp / "c.conf"
        self.conf.write_text(CONF.format(tmp=tmp))
        self.control = str(tmp / "control")

    def start(self):
        environment = {**os.environ, "BLOCK_WHEN": str(self.tmp / "block")}
        command = [sys.executable, "-m", "congress_dse", "serve", "--config-file", str(self.conf)]
        command += self.args
        self.log = open(self.tmp / "log", "wb")  # noqa: SIM115
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=self.log, env=environment)
        self.root = f"http://127.0.0.1:{until(self._port, 'the port of the API')}"
        until(self._whole, "both sources answer")

    def _port(self):
        text = (self.tmp / "log").read_text()
        found = re.search(r"the API is at http://127.0.0.1:(\d+)", text)
        return int(found[1]) if found else 0

    def _whole(self):
        try:
            names = {s["source"] for s in self.get("sources")["results"]}
        except (OSError, AssertionError):
            return False
        return names == {"free", "blocker"}

    def get(self, path):
        status, found = asked(f"{self.root}/v1/engine/{path}")
        assert status == 200, found
        return found

    def health(self):
        """The status of ``/readyz``, and what it says."""
        return asked(f"{self.root}/readyz")

    def gauge(self, name, **labels):
        """The value of one gauge of ``/metrics``."""
        with urllib.request.urlopen(f"{self.root}/metrics", timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            samples = [s for family in families for s in family.samples if s.name == name]
        (found,) = [s.value for s in samples if s.labels == labels]
        return found

    def counters(self):
        """Every counter of ``/metrics``, by name and labels."""
        with urllib.request.urlopen(f"{self.root}/metrics", timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            return {
                (s.name, *sorted(s.labels.items())): s.value
                for family in families
                for s in family.samples
                if family.type in {"counter", "histogram"}
            }

    def ask(self, command, **request):
        return ask(self.control, {"command": command, **request}, 20)

    def block(self):
        """Have worker engine.0 block its hub, and wait until it does."""
        (self.tmp / "block").touch()
        until(lambda: self.asked("engine.0")["blocked_s"] > 0, "engine.0 is blocked")

    def asked(self, worker):
        """What is said of the asking of this worker."""
        (found,) = [a for a in self.get("services")["asked"] if a["worker"] == worker]
        return found

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            finally:
                self.process.kill()
        self.log.close()
