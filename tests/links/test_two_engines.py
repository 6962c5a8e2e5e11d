"""Two engines of one host, each a ``serve`` of its own, joined by a RabbitMQ."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.process.harness import wait_for
from tests.support.asking import asked

ROOT = Path(__file__).parents[2]
FULL = bool(os.environ.get("CONGRESS_DSE_FULL"))
RESTARTS = 20 if FULL else 3

pytestmark = [pytest.mark.rabbit, pytest.mark.timeout(3600 if FULL else 300)]

CONF = """
[DEFAULT]
runtime = {runtime}
[links]
node = {name}
transport_url = {url}
[processes]
workers = 1
control_socket = {home}/control
[api]
bind_port = 0
api_workers = 0
[database]
connection = sqlite:///{home}/db
[datasource:{name}]
driver = file
path = {home}/tables
poll_time = 0.1
"""


class Engine:
    """An engine with one source of its own name, that prints a table of another one's."""

    def __init__(self, home, name, url, watch, runtime):
        self.home, self.name = home / name, name
        (self.home / "tables").mkdir(parents=True)
        self.write([("first", 0)])
        conf = self.home / "engine.conf"
        conf.write_text(CONF.format(name=name, url=url, home=self.home, runtime=runtime))
        self.log = (self.home / "log").open("w")
        command = [sys.executable, "-W", "ignore", "-m", "congress_dse", "serve"]
        command += ["--config-file", str(conf), "--watch", f"{watch}:hosts", "--json"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=self.log
        )
        self.rows, self.versions = set(), 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            told = json.loads(line)
            if "added" in told:
                kept = set() if told["kind"] == "snapshot" else self.rows
                removed = {tuple(row) for row in told["removed"]}
                self.rows = (kept - removed) | {tuple(row) for row in told["added"]}
                self.versions += 1

    def write(self, rows):
        """Have these rows in the table of this engine."""
        text = "name,cpus\n" + "".join(f"{name},{cpus}\n" for name, cpus in rows)
        part = self.home / "part"
        part.write_text(text)
        os.replace(part, self.home / "tables" / "hosts.csv")
        self.written = {(name, str(cpus)) for name, cpus in rows}

    def text(self):
        return (self.home / "log").read_text()

    def api(self, path):
        port = wait_for(lambda: re.search(r"API is at http://127\.0\.0\.1:(\d+)", self.text()))[1]
        return asked(f"http://127.0.0.1:{port}{path}", 20)[1]

    def command(self, name):
        command = [sys.executable, "-W", "ignore", "-m", "congress_dse", name]
        command += ["--control", str(self.home / "control")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(10)
        self.process.stdout.close()
        self.log.close()
        return self.process.returncode


@pytest.fixture
def engines(rabbit_node, tmp_path):
    """Two engines; each prints the table of the other."""
    made = [
        Engine(tmp_path, name, rabbit_node.url, watch, runtime)
        for name, watch, runtime in (("east", "west", "green"), ("west", "east", "asyncio"))
    ]
    yield made
    for engine in made:
        engine.close()


def shows(one, other):
    """Wait until `one` has what `other` wrote; the seconds."""
    begun = time.monotonic()
    wait_for(
        lambda: one.rows == other.written,
        what=lambda: (
            f"{one.name} has {one.rows}, {other.written} are written; {one.text()[-3000:]}"
        ),
    )
    return time.monotonic() - begun


def test_two_engines_show_each_others_tables_through_restarts_of_the_broker(engines, rabbit_node):
    east, west = engines
    shows(east, west)
    shows(west, east)
    # Each tells of both, and an operator sees the link of each.
    found = wait_for(lambda: both(east.api("/v1/engine/tables")["results"]))
    assert found
    links = {
        link["node"].partition("@")[2]: link for link in east.api("/v1/engine/links")["results"]
    }
    assert {name: link["state"] for name, link in links.items()} == {"east": "up", "west": "up"}
    assert links["east"]["ready"]
    assert "guest:***@" in links["east"]["url"]
    told = east.command("routes")
    assert re.search(r"engine\.0 +link\.rabbit +up +1 nodes", told)
    assert re.search(r"engine\.0 +rabbit +up", east.command("links"))
    assert re.search(r"^west +west +engine\.0\.\d+@west$", told, re.MULTILINE)

    chance = random.Random(20)
    took = []
    for number in range(1, RESTARTS + 1):
        (rabbit_node.stop if FULL and number % 2 else rabbit_node.stop_app)()
        if number == 1:
            wait_for(lambda: "link" in unready(east))
        outage_s = chance.uniform(0, 60 if FULL else 2)
        threading.Event().wait(outage_s / 2)
        for engine in engines:
            engine.write([(engine.name, number), *((f"row{n}", n) for n in range(number))])
        threading.Event().wait(outage_s / 2)
        (rabbit_node.start if FULL and number % 2 else rabbit_node.start_app)()
        took.append(max(shows(east, west), shows(west, east)))
    print(f"{RESTARTS} restarts; equal after {min(took):.1f} to {max(took):.1f} s")

    # A worker that is killed comes back as another node, and its table with it.
    before = set(workers(east))
    os.kill(workers(east)[0], signal.SIGKILL)
    east.write([("after", "death")])
    shows(west, east)
    wait_for(lambda: workers(east) and not before & set(workers(east)))
    west.write([("seen", "anew")])
    shows(east, west)
    wait_for(lambda: not unready(east))
    (frozen,) = workers(west)
    os.kill(frozen, signal.SIGSTOP)
    try:
        assert not unready(east), "an engine is ready while another one of its bus is frozen"
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert [engine.close() for engine in engines] == [0, 0]
    assert "Traceback" not in east.text() + west.text()
    assert "guest:guest" not in east.text() + west.text()


def unready(engine):
    """The kinds of the reasons for which an engine is not ready."""
    return [reason["kind"] for reason in engine.api("/readyz")["reasons"]]


def both(tables):
    known = {(t["service"], t["table"]) for t in tables}
    return known >= {("east", "hosts"), ("west", "hosts")}


def workers(engine):
    """The processes that an engine's master has."""
    found = psutil.Process(engine.process.pid).children()
    return [p.pid for p in found if "resource_tracker" not in " ".join(p.cmdline())]
