"""Two nodes at each of the coordination services: never two owners, and always one again."""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from congress_dse import exceptions
from congress_dse.keeper import EXIT_STUCK
from congress_dse.leases import Leases, times
from congress_dse.locks import coordinator
from tests.coordination.keeper import NAMES
from tests.support.databases import own
from tests.support.engine import wait_for
from tests.support.redis import redis_server

SCRIPT = Path(__file__).with_name("keeper.py")
LEASE_S = 3
LONG = ["redis", "file", "mysql"] if os.environ.get("CONGRESS_DSE_FULL") == "1" else []


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
    if kind == "redis":
        with redis_server(tmp_path) as server:
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


def test_a_service_that_is_none_is_a_fault_of_the_configuration():
    with pytest.raises(exceptions.ConfigError, match="coordination"):
        coordinator("nonsense://host", Leases("a", times(10)))


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
