"""A follower on a third host, and a source that goes from engine to engine: it ends equal."""

import os
import uuid

import pytest

from congress_dse.d6cage import d6Cage
from congress_dse.links.rabbit import Rabbit
from tests.coordination.test_serve import FULL, WITHIN_S, Engines
from tests.support.engine import Follower, wait_for
from tests.support.rabbit import local_url
from tests.support.redis import redis_server

pytestmark = [
    pytest.mark.rabbit,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not FULL, reason="long: CONGRESS_DSE_FULL=1"),
]

BUS = """
[links]
transport_url = {url}
exchange = {exchange}
[datasource:files]
driver = file
path = {folder}/tables
poll_time = 0.1
node = a
[datasource:pushed]
driver = push
tables = alarms(id)
persist_path = {folder}/pushed.db
node = a
"""


class Hosts(Engines):
    """Engines that share files, pushed rows, and a bus."""

    def __init__(self, folder, url, bus):
        super().__init__(folder, url, ["owned"])
        self.bus = bus
        (folder / "tables").mkdir()
        self.write("first")

    def start(self, who):
        super().start(who, more=BUS.format(who=who, folder=self.folder, **self.bus))

    def write(self, text):
        """Have this one row in the table of files."""
        part = self.folder / "part"
        part.write_text(f"what\n{text}\n")
        os.replace(part, self.folder / "tables" / "words.csv")

    def asked(self, who, path, *more):
        """What the API of an engine answers once it answers well."""

        def well():
            answer = self.call(who, f"/v1/data-sources/{path}", *more)
            return answer is not None and answer[0] == 200 and answer

        return wait_for(well, WITHIN_S)[1]


@pytest.fixture
def hosts(tmp_path):
    bus = {"url": local_url(), "exchange": f"test_{uuid.uuid4().hex[:8]}"}
    with redis_server(tmp_path) as redis:
        made = Hosts(tmp_path, redis.url, bus)
        yield made
        made.end()


@pytest.fixture
def follower(hosts):
    cage = d6Cage(name=f"third-{uuid.uuid4().hex[:6]}")
    cage.bus.node = f"third.{os.getpid()}"
    link = Rabbit(cage, hosts.bus["url"], hosts.bus["exchange"])
    made = cage.createservice("follower", factory=Follower)
    made.do(lambda: made.follow("files", "words"))
    made.do(lambda: made.subscribe("pushed", "alarms", callback=made.take))
    yield made
    link.close()
    cage.d6stop()


def test_a_follower_on_a_third_host_ends_equal_after_each_takeover(hosts, follower):
    def shown(text):
        return follower.seen.get("words") == {(text,)}

    rows = [{"id": "fire"}, {"id": "flood"}]
    hosts.start("a")
    hosts.start("b")
    wait_for(lambda: shown("first"), WITHIN_S)
    hosts.asked("b", "pushed/tables/alarms/rows", "PUT", rows)
    wait_for(lambda: follower.seen.get("alarms") == {("fire",), ("flood",)}, WITHIN_S)
    hosts.kill("a")
    hosts.write("second")
    wait_for(lambda: shown("second"), WITHIN_S)
    kept = hosts.asked("b", "pushed/tables/alarms/rows")["results"]
    assert sorted(row["data"][0] for row in kept) == ["fire", "flood"]
    hosts.start("a")
    hosts.write("third")
    wait_for(lambda: shown("third"), WITHIN_S)
    wait_for(lambda: "a" in directory(follower, "files"), WITHIN_S)  # it belongs there
    hosts.write("fourth")
    wait_for(lambda: shown("fourth"), WITHIN_S)
    wait_for(lambda: follower.seen.get("alarms") == {("fire",), ("flood",)}, WITHIN_S)
    assert not hosts.overlaps()


def directory(follower, name):
    """The host that has a service of this name."""
    return follower.dataPath.bus.directory.where(name).rpartition("@")[2]
