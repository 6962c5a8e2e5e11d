"""What a running engine of several processes tells of itself, also while a hub is blocked."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from congress_dse.exceptions import ControlError
from congress_dse.manager.control import ask

ROOT = Path(__file__).parents[2]
WITHIN_S = 80.0

WELL = {"ready": True, "reasons": [], "warnings": []}
BLOCKER = '''
    import ctypes
    import os

    from congress_dse.datasources.datasource_driver import PollingDataSourceDriver


    class Blocker(PollingDataSourceDriver):
        """Blocks the hub natively once its file is there."""

        def update_from_datasource(self):
            self.state = {"t": {(1, "one"), (2, "two")}}
            if os.path.exists(os.environ["BLOCK_WHEN"]):
                block_natively()


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


def never_less(seen, now):
    """No counter is below what it was; note what they are."""
    fallen = {k: (v, now.get(k)) for k, v in seen.items() if now.get(k, -1) < v}
    assert not fallen
    seen.update(now)


class Engine:
    """The command serve with two engine workers and an API worker."""

    def __init__(self, tmp):
        self.tmp = tmp
        (tmp / "blocker.py").write_text(textwrap.dedent(BLOCKER))
        self.conf = tmp / "c.conf"
        self.conf.write_text(CONF.format(tmp=tmp))
        self.control = str(tmp / "control")

    def start(self):
        environment = {**os.environ, "BLOCK_WHEN": str(self.tmp / "block")}
        command = [sys.executable, "-m", "congress_dse", "serve", "--config-file", str(self.conf)]
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
        except (OSError, urllib.error.URLError):
            return False
        return names == {"free", "blocker"}

    def get(self, path):
        with urllib.request.urlopen(f"{self.root}/v1/engine/{path}", timeout=30) as answer:
            return json.load(answer)

    def health(self):
        """The status of ``/readyz``, and what it says."""
        try:
            with urllib.request.urlopen(f"{self.root}/readyz", timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

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


@pytest.fixture
def engine(tmp_path):
    one = Engine(tmp_path)
    try:
        one.start()
        yield one
    finally:
        one.stop()


@pytest.mark.timeout(180)
def test_every_node_of_the_bus_answers_and_a_blocked_one_is_shown_as_such(engine):
    workers = {"engine.0", "engine.1", "api.0"}
    assert {s["worker"] for s in engine.get("services")["results"]} == workers
    assert {a["worker"] for a in engine.get("tree")["asked"] if a["answered"]} == workers
    assert {w["name"] for w in engine.get("workers")["results"]} == workers
    assert {link["worker"] for link in engine.get("links")["results"]} == workers
    assert "greenthread" in engine.get("stacks/engine.1")["results"][0]["stack"]

    until(lambda: engine.health() == (200, {**WELL}), "the engine is ready")

    engine.block()

    status, told = engine.health()
    assert status == 503
    assert [(r["kind"], r["subject"]) for r in told["reasons"]] == [("blocked", "engine.0")]
    asked = engine.asked("engine.0")
    assert (asked["answered"], asked["via"]) == (True, "master")
    assert "block_natively" in asked["stack"]
    assert engine.asked("engine.1")["blocked_s"] == 0
    names = {s["source"] for s in engine.get("sources")["results"]}
    assert names == {"free", "blocker"}, "what a blocked worker has is shown all the same"
    assert {t["service"] for t in engine.get("tables")["results"]} >= {"blocker"}
    assert sorted(engine.get("tables/blocker/t/rows")["rows"]) == [[1, "one"], [2, "two"]]
    assert "block_natively" in engine.get("stacks/engine.0")["results"][0]["stack"]
    assert engine.get("waits")["circles"] == []
    (said,) = [r for r in engine.ask("inquire", what="node") if r["worker"] == "engine.0"]
    assert said["blocked_s"] > 0
    assert said["answer"]["results"][0]["worker"] == "engine.0"


@pytest.mark.timeout(180)
def test_what_happened_is_kept_over_a_restart_and_a_worker_tells_who_was_there_before(engine):
    first = {w["name"]: w["pid"] for w in engine.get("workers")["results"]}
    seen = engine.counters()
    os.kill(first["engine.1"], signal.SIGKILL)

    def replaced():
        never_less(seen, engine.counters())
        (worker,) = [w for w in engine.get("workers")["results"] if w["name"] == "engine.1"]
        return worker if worker["pid"] != first["engine.1"] and worker["ends"] else None

    (end,) = until(replaced, "engine.1 is replaced")["ends"]
    assert (end["pid"], end["asked"]) == (first["engine.1"], False)
    assert "signal 9" in end["why"]
    last = engine.counters()
    never_less(seen, last)
    name, pool = "congress_dse_worker_ends_total", ("pool", "engine")
    assert last[name, ("asked", "no"), pool] == 1
    assert last["congress_dse_source_polls_total", ("source", "blocker")] > 0
    until(lambda: engine.get("timeline?kind=worker-died")["results"], "its death is kept")
    with pytest.raises(ControlError):
        engine.ask("inquire", what="no such thing", pids=[0], within_s="x")

    engine.stop()
    engine.start()

    (died,) = engine.get("timeline?kind=worker-died")["results"]
    assert (died["subject"], died["node"], died["level"]) == ("engine.1", "testhost", "error")
    kinds = [e["kind"] for e in engine.get("timeline")["results"]]
    assert kinds.count("engine-started") == 2
    assert kinds.count("engine-stopped") == 1
    newest = engine.get("timeline?limit=2")["results"]
    older = engine.get(f"timeline?limit=2&before={newest[-1]['id']}")["results"]
    assert [e["id"] for e in newest + older] == sorted([e["id"] for e in newest + older])[::-1]
