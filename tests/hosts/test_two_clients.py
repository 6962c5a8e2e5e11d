"""A driver with a synchronous client, and one with httpx, on every runtime. Scenario 18."""

import httpx
import pytest
import requests

from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.runtime import chosen as runtime
from tests.support.http_server import HttpServer


class Synchronous(PollingDataSourceDriver):
    def update_from_datasource(self):
        answer = requests.get(self.args["url"], timeout=10)
        self.state["t"] = {tuple(row) for row in answer.json()}


class WithHttpx(PollingDataSourceDriver):
    async def update_from_datasource(self):
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.get(self.args["url"])
        self.state["t"] = {tuple(row) for row in answer.json()}


@pytest.fixture
def server(tmp_path):
    made = HttpServer(tmp_path / "served")
    yield made
    made.down()


@pytest.mark.parametrize("driver", [Synchronous, WithHttpx])
def test_a_client_is_polled_and_holds_up_nobody(host, server, wait_for, driver):
    server.says("/rows", [["a", 1]])
    gaps = []

    def beat():
        while True:
            begun = runtime.now()
            runtime.sleep(0.005)
            gaps.append(runtime.now() - begun)

    beating = runtime.spawn(beat)
    args = {"url": f"{server.url}rows", "poll_time": 0.05}
    source = host.createservice("source", factory=driver, args=args)
    wait_for(lambda: source.state.get("t") == {("a", 1)})
    server.says("/rows", [["b", 2]])
    wait_for(lambda: "t" in source.pubdata and source.pubdata["t"].get().data == {("b", 2)})
    beating.kill()
    assert source.last_error is None
    assert gaps  # others had their turns meanwhile
    host.deleteservice("source")
    wait_for(lambda: not runtime.coroutines.draining)
    assert not runtime.coroutines.stragglers
