"""Two nodes at each of the coordination services: never two owners, and always one again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from congress_dse import exceptions, locks
from congress_dse.keeper import EXIT_STUCK
from congress_dse.leases import Leases, times
from congress_dse.locks import coordinator
from tests.coordination.keeper import NAMES
from tests.support.coordinators import etcd, zookeeper
from tests.support.databases import own
from tests.support.engine import wait_for
from tests.support.redis import redis_server

SCRIPT = Path(__file__).with_name("keeper.py")
LEASE_S = 3
DAEMONS = {"redis": redis_server, "etcd": etcd, "zookeeper": zookeeper}
LONG = [*DAEMONS, "file", "mysql"] if os.environ.get("CONGRESS_DSE_FULL") == "1" else []


class Node:
    """A keeper in a process of its own."""

    def __init__(self, url, name, folder):
        self.name, self.said = name, folder / f"{name}.said"
        command = [sys.executable, "-m", "tests.coordination.keeper", url, name, str(LEASE_S)]
        with self.said.open("w") as out, (folder / f"{name}.log").open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=log, cwd=SCRIPT.parents[2], env=environment()
            )

    def told(self):
        """(time, {source: until}, losses) of all that it was told."""
        lines = self.said.read_text().split("\n")[:-1]
        return [tuple(json.loads(line)) for line in lines]

    def has(self):
        told = self.told()
        return set(told[-1][1]) if told else set()

    def spans(self):
        """(from, to, source) of what it could run: until it is told otherwise, or the end."""
        found, open_ = [], {}
        for at, granted, _ in self.told():
            for source in open_.keys() - granted.keys():
                begun, until = open_.pop(source)
                found.append((begun, min(until, at), source))
            for source, until in granted.items():
                begun, before = open_.get(source, (at, until))
                if at > before:
                    found.append((begun, before, source))
                    begun = at
                open_[source] = (begun, until)
        return found + [(begun, until, source) for source, (begun, until) in open_.items()]

    def end(self, number=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(30)


def environment():
    return {**os.environ, "PYTHONWARNINGS": "ignore"}


def overlaps(nodes):
    """Sources that two nodes could run at one time."""
    by_source = defaultdict(list)
    for node in nodes:
        for begun, until, source in node.spans():
            by_source[source].append((begun, until, node.name))
    found = []
    for source, spans in by_source.items():
        spans.sort()
        found += [
            (source, one, next_)
            for one, next_ in pairwise(spans)
            if next_[0] < one[1] and one[2] != next_[2]
        ]
    return found


@pytest.fixture
def service(request, tmp_path):
    """The URL of a service, where nobody else has locks of these names."""
    kind = request.param
    if kind in DAEMONS:
        with DAEMONS[kind](tmp_path) as server:
            yield server.url
    elif kind == "file":
        yield f"file://{tmp_path}/coordination"
    elif kind == "postgresql":
        # Its locks are those of a database.
        with own(
            "postgresql+psycopg://postgres@127.0.0.1:5432/postgres", drop="WITH (FORCE)"
        ) as it:
            yield f"postgresql://postgres@127.0.0.1:5432/{it.name}"
    else:
        with own("mysql+pymysql://root@127.0.0.1:3306/test") as it:
            yield f"mysql://root@127.0.0.1:3306/{it.name}"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("service", ["postgresql", *LONG], indirect=True)
def test_a_node_that_is_killed_is_replaced_and_no_source_ever_has_two(service, tmp_path):
    nodes = [Node(service, name, tmp_path) for name in ("one", "other")]
    try:
        wait_for(lambda: sorted([*nodes[0].has(), *nodes[1].has()]) == NAMES, within_s=60)
        victim, heir = nodes if nodes[0].has() else nodes[::-1]
        victim.end()
        wait_for(lambda: heir.has() == set(NAMES), within_s=60)
        heir.end(signal.SIGTERM)
        assert not overlaps(nodes)
    finally:
        for node in nodes:
            node.end()


@pytest.mark.skipif(not LONG, reason="long: CONGRESS_DSE_FULL=1")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", DAEMONS)
def test_a_node_and_a_service_that_freeze_and_a_service_that_is_killed(kind, tmp_path):
    with DAEMONS[kind](tmp_path) as server:
        nodes = [Node(server.url, name, tmp_path) for name in ("one", "other")]

        def each_has_its_own():
            one, other = (node.has() for node in nodes)
            return one and other and sorted([*one, *other]) == NAMES

        def nothing_runs():
            now = time.monotonic()
            return all(until < now for node in nodes for until in node.told()[-1][1].values())

        try:
            wait_for(each_has_its_own, within_s=90)
            heir, frozen = nodes
            frozen.process.send_signal(signal.SIGSTOP)
            wait_for(lambda: heir.has() == set(NAMES), within_s=60)
            frozen.process.send_signal(signal.SIGCONT)
            wait_for(each_has_its_own, within_s=90)
            for away, back in ((server.freeze, server.thaw), (server.kill, server.start)):
                away()
                wait_for(nothing_runs, within_s=60)
                back()
                wait_for(each_has_its_own, within_s=90)
            for node in nodes:
                node.end(signal.SIGTERM)
            assert not overlaps(nodes)
        finally:
            for node in nodes:
                node.end()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
def test_a_database_that_cuts_every_session_and_is_away_for_a_while(service, tmp_path):
    import sqlalchemy as sa

    name = service.rpartition("/")[2]
    url = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    def allow(yes):
        with engine.connect() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {yes}")
            if not yes:  # the locks are free at this moment, and nobody has been told
                cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                connection.exec_driver_sql(cut, (name,))

    nodes = [Node(service, each, tmp_path) for each in ("one", "other")]
    try:
        for away in (True, False):
            wait_for(lambda: sorted([*nodes[0].has(), *nodes[1].has()]) == NAMES, within_s=60)
            allow(False)
            if not away:
                allow(True)
            wait_for(lambda: not nodes[0].has() | nodes[1].has(), within_s=60)
            allow(True)
        wait_for(lambda: sorted([*nodes[0].has(), *nodes[1].has()]) == NAMES, within_s=60)
        for node in nodes:
            node.end(signal.SIGTERM)
        assert not overlaps(nodes)
        assert sum(node.told()[-1][2] for node in nodes) >= 2 * len(NAMES)
    finally:
        allow(True)
        for node in nodes:
            node.end()


def bound(url, lease_s=LEASE_S):
    """A coordinator that has begun."""
    made = coordinator(url, Leases("a", times(lease_s)))
    made.start()
    return made


def test_a_lock_of_etcd_that_could_not_be_given_back_is_kept_alive_no_longer(tmp_path):
    with etcd(tmp_path) as server:
        one, other = bound(server.url), bound(server.url)
        lock = one.get_lock(b"lock")
        assert lock.acquire(blocking=False)
        assert locks.proof(lock)
        server.kill()
        locks.leave(lock)
        server.start()

        def free():
            locks.tried(one.heartbeat)  # it may be too late, on a busy machine
            with suppress(Exception):
                return locks.got(other.get_lock(b"lock"))

        wait_for(free)
        assert not locks.proof(lock)


def test_a_lock_at_zookeeper_outlives_neither_its_session_nor_a_bid_that_was_left(tmp_path):
    with zookeeper(tmp_path) as server:
        # The machine may be busy for longer than a short session lasts.
        one, other = bound(server.url, lease_s=20), bound(server.url, lease_s=20)
        lock, same = one.get_lock(b"lock"), other.get_lock(b"lock")
        assert locks.got(lock)
        assert not locks.got(same)
        assert locks.proof(lock)
        locks.leave(lock)
        before = one.get_lock(b"lock")._lock
        before.client.create(before.create_path, before.data, ephemeral=True, sequence=True)
        assert not locks.got(same)
        locks.got(lock)  # in vain, behind the bid that was left
        assert locks.got(same)
        other.stop()
        assert locks.got(lock)
        one.stop()


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("nonsense://host", "no service 'nonsense'"),
        ("etcd3+http://host", r"tooz\[etcd3gw\]"),
        ("kubernetes://host", "not with 'kubernetes': its locks have no end"),
        ("ipc://", "not with 'ipc'"),
    ],
)
def test_a_service_that_cannot_be_had_is_a_fault_of_the_configuration(url, wrong, monkeypatch):
    monkeypatch.delitem(sys.modules, "tooz.drivers.etcd3gw", raising=False)
    monkeypatch.setitem(sys.modules, "etcd3gw", None)  # as if it were not installed
    with pytest.raises(exceptions.ConfigError, match=wrong):
        coordinator(url, Leases("a", times(10)))


STUCK = """
import time
from congress_dse.keeper import Keeper

class Stuck(Keeper):
    def _beat(self):
        time.sleep(3600)

Stuck("redis://nowhere", "a", 0.3, print).start()
time.sleep(3600)
"""


def test_a_keeper_whose_service_never_answers_ends_to_be_replaced():
    command = [sys.executable, "-c", STUCK]
    done = subprocess.run(command, capture_output=True, env=environment(), timeout=50, check=False)
    assert done.returncode == EXIT_STUCK
    assert b"no answer for" in done.stderr
