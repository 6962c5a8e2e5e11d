"""Several engines with the same sources, each a ``serve`` of its own: each source runs on one."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.asking import asked
from tests.support.coordinators import etcd, zookeeper
from tests.support.engine import wait_for
from tests.support.redis import redis_server

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("owner_driver.py")
LEASE_S = 5
WITHIN_S = 90  # generous: the machine may be busy
FULL = os.environ.get("CONGRESS_DSE_FULL") == "1"

CONF = """
[links]
node = {who}
coordination = {url}
coordination_lease = {lease_s}
[processes]
workers = {workers}
control_socket = {folder}/{who}.control
[api]
bind_port = 0
api_workers = 0
drain_timeout = 1
[database]
connection = sqlite:///{folder}/{who}.db
"""
SOURCE = """
[datasource:{name}]
driver = {driver}
book = {folder}/book
who = {who}
poll_time = 0.1
"""


class Engines:
    """Engines that have the same sources, and the book in which these write who runs them."""

    def __init__(self, folder, url, names, workers=1):
        self.folder, self.url, self.names, self.workers = folder, url, names, workers
        self.book = folder / "book"
        self.masters = {}

    def start(self, who, more=""):
        about = {"who": who, "folder": self.folder, "driver": DRIVER}
        text = CONF.format(url=self.url, lease_s=LEASE_S, workers=self.workers, **about)
        text += "".join(SOURCE.format(name=name, **about) for name in self.names) + more
        conf = self.folder / f"{who}.conf"
        conf.write_text(text)
        with (self.folder / f"{who}.log").open("a") as log:
            command = [sys.executable, "-m", "congress_dse", "serve", "--config-file", str(conf)]
            self.masters[who] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def tree(self, who):
        """Every process of an engine, the master first."""
        master = psutil.Process(self.masters[who].pid)
        return [master, *master.children(recursive=True)]

    def kill(self, who):
        """End all of an engine at one moment, as a machine that loses its power does."""
        processes = self.tree(who)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in processes:
                process.send_signal(number)
        self.masters[who].wait()

    def stop(self, who):
        self.masters[who].send_signal(signal.SIGTERM)
        assert self.masters[who].wait(WITHIN_S) == 0

    def end(self):
        for who, master in self.masters.items():
            if master.poll() is None:
                self.kill(who)

    def call(self, who, path, method="GET", body=None):
        """(status, JSON) of what the API of an engine answers; None where it does not."""
        found = re.findall(r"API is at (http://\S+)", self.log(who))
        if not found:
            return None
        request = urllib.request.Request(found[-1] + path, method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        try:
            return asked(request)
        except OSError:
            return None

    def metrics(self, who):
        """Each metric that an engine tells of its leases: its value, or its sum over sources."""
        url = re.findall(r"API is at (http://\S+)", self.log(who))[-1] + "/metrics"

        def told():
            with urllib.request.urlopen(url, timeout=30) as answer:
                families = text_string_to_metric_families(answer.read().decode())
            found = defaultdict(float)
            for sample in (s for family in families for s in family.samples):
                name = sample.name.removeprefix("congress_dse_")
                if name.startswith(("lease", "coordination")):
                    found[name] += sample.value
            # On a busy machine a worker may be too late to be in the answer.
            return "coordination_up" in found and found

        return wait_for(told, within_s=WITHIN_S)

    def command(self, who, *words):
        """What a command says of an engine."""
        command = [sys.executable, "-W", "ignore", "-m", "congress_dse", *words]
        command += ["--control", str(self.folder / f"{who}.control")]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout

    def log(self, who):
        return (self.folder / f"{who}.log").read_text()

    def wait_ready(self, who):
        wait_for(lambda: (self.call(who, "/readyz") or [0])[0] == 200, within_s=WITHIN_S)

    def leased(self, who):
        """The sources that an engine says it may run, and does."""
        _, told = self.call(who, "/v1/engine/leases")
        return {one["source"] for one in told["results"] if one["leased"] and one["runs"]}

    def lives(self):
        """Of each source ``[from, to, who, life]``, in the order of their begin."""
        found = defaultdict(dict)
        lines = self.book.read_text().splitlines() if self.book.exists() else []
        for line in lines:
            at, name, life = line.split()
            span = found[name].setdefault(life, [float(at), float(at), life.split("/")[0], life])
            span[1] = float(at)
        return {name: sorted(spans.values()) for name, spans in found.items()}

    def wait_served(self, *by):
        """Wait until every source was polled after now, and last by one of these."""
        since = time.monotonic()

        def served():
            last = {n: max(spans, key=lambda s: s[1]) for n, spans in self.lives().items()}
            return all(n in last and last[n][1] > since and last[n][2] in by for n in self.names)

        wait_for(served, within_s=WITHIN_S)

    def overlaps(self):
        """Pairs of lives of one source at one time."""
        return [
            (name, one, next_)
            for name, spans in self.lives().items()
            for one, next_ in pairwise(spans)
            if next_[0] <= one[1]
        ]


@pytest.fixture
def engines(tmp_path):
    made = []

    def make(url, names, **more):
        made.append(Engines(tmp_path, url, names, **more))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture
def redis(tmp_path):
    with redis_server(tmp_path) as server:
        yield server


NAMES = ["alpha", "beta", "gamma", "delta"]


@pytest.mark.timeout(600)
def test_sources_outlive_their_engine_and_their_coordination_and_never_run_twice(engines, redis):
    both = engines(redis.url, NAMES)
    both.start("a")
    both.start("b")
    both.wait_served("a", "b")
    # Each of them has some: the names are such that both are bidden for highest.
    wait_for(lambda: {who for s in both.lives().values() for *_, who, _ in s} == {"a", "b"}, 90)
    both.kill("a")
    both.wait_served("b")
    both.wait_ready("b")
    assert both.leased("b") == set(NAMES)
    shown = both.command("b", "leases")
    assert all(re.search(rf"^{name} +any +yes .*engine.0", shown, re.MULTILINE) for name in NAMES)
    before = both.metrics("b")
    assert before["leases_wanted"] == before["leases_held"] == len(NAMES)
    assert before["lease_grants_total"] >= len(NAMES)
    assert 0 < before["lease_left_seconds"] < len(NAMES) * LEASE_S
    assert before["lease_renewal_age_seconds"] < LEASE_S
    assert before["coordination_up"] == 1
    redis.kill()
    wait_for(lambda: quiet(both), within_s=WITHIN_S)
    wait_for(lambda: both.call("b", "/readyz")[0] == 503, within_s=WITHIN_S)
    wait_for(lambda: not both.metrics("b")["leases_held"], within_s=WITHIN_S)
    after = both.metrics("b")
    assert after["lease_losses_total"] >= before["lease_losses_total"] + len(NAMES)
    assert after["lease_renewal_failures_total"] > before["lease_renewal_failures_total"]
    assert after["lease_left_seconds"] == after["coordination_up"] == 0
    assert after["lease_renewal_age_seconds"] > LEASE_S / 3
    told = both.call("b", "/readyz")[1]
    assert [reason["kind"] for reason in told["reasons"]] == ["coordination"]
    redis.start()
    both.wait_served("b")
    both.wait_ready("b")
    assert both.metrics("b")["coordination_up"] == 1
    both.stop("b")
    assert not both.overlaps()


def quiet(engines):
    """Whether nobody has polled for longer than a fence."""
    last = max(end for spans in engines.lives().values() for _, end, *_ in spans)
    return time.monotonic() - last > LEASE_S / 3


@pytest.mark.skipif(not FULL, reason="long: CONGRESS_DSE_FULL=1")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "url", ["file://{folder}/files", "postgresql://postgres@127.0.0.1:5432/test", etcd, zookeeper]
)
def test_takeover_with_other_services(engines, tmp_path, url):
    with nullcontext() if isinstance(url, str) else url(tmp_path) as server:
        take_over(engines, (server.url if server else url).format(folder=tmp_path))


def take_over(engines, url):
    both = engines(url, [f"{n}{os.getpid()}" for n in NAMES], workers=2)
    both.start("a")
    both.wait_served("a")
    both.start("b")
    both.wait_served("a", "b")
    both.kill("a")
    both.wait_served("b")
    both.start("a")
    both.wait_served("a", "b")
    both.stop("b")
    both.wait_served("a")
    assert not both.overlaps()


@pytest.mark.skipif(not FULL, reason="long: CONGRESS_DSE_FULL=1")
@pytest.mark.timeout(600)
def test_a_frozen_engine_and_a_frozen_service_never_make_two_owners(engines, redis):
    both = engines(redis.url, NAMES)
    both.start("a")
    both.start("b")
    both.wait_served("a", "b")
    for who, other in (("a", "b"), ("b", "a")):
        frozen = both.tree(who)
        for process in frozen:
            process.send_signal(signal.SIGSTOP)
        both.wait_served(other)
        for process in reversed(frozen):
            process.send_signal(signal.SIGCONT)
        both.wait_served("a", "b")
    redis.freeze()
    wait_for(lambda: quiet(both), within_s=WITHIN_S)
    redis.thaw()
    both.wait_served("a", "b")
    assert not both.overlaps()


@pytest.mark.skipif(not FULL, reason="long: CONGRESS_DSE_FULL=1")
@pytest.mark.timeout(600)
def test_a_source_goes_to_the_node_it_names_and_dead_workers_cost_no_lease(engines, redis):
    both = engines(redis.url, NAMES, workers=2)
    pins = "".join(f"[datasource:{name}]\nnode = b\n" for name in NAMES)
    both.start("a", more=pins)
    both.wait_served("a")
    both.start("b", more=pins)
    both.wait_served("b")
    assert "is given back" not in both.log("b")
    for process in both.tree("b"):
        if "engine" in process.name() + " ".join(process.cmdline()[:1]):
            process.kill()
    both.wait_served("b")
    assert "is given back" not in both.log("b")  # the node has its leases still
    assert not both.overlaps()
