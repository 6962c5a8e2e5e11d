"""A whole engine on plain asyncio, in processes that cannot import eventlet."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from congress_dse.runtime import choice
from tests.support import modes
from tests.support.asking import asked
from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
WITHIN_S = 60

CONF = """
[DEFAULT]
runtime = {runtime}
[api]
bind_port = {port}
[database]
connection = sqlite:///{home}/db
[processes]
workers = 2
[datasource:one]
driver = file
path = {home}/tables
poll_time = 0.2
worker = 0
[datasource:two]
driver = {home}/client_driver.py
url = http://127.0.0.1:{port}/v1/data-sources/one/tables/hosts/rows
poll_time = 0.3
worker = 1
"""

# A client that knows nothing of any loop, as most are.
DRIVER = """
import json, urllib.request
from oslo_config import cfg
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver

class Client(PollingDataSourceDriver):
    OPTIONS = [cfg.StrOpt("url", required=True, help="What is read.")]
    def update_from_datasource(self):
        with urllib.request.urlopen(self.args["url"], timeout=10) as answer:
            rows = json.load(answer)["results"]
        self.state["seen"] = {tuple(row["data"]) for row in rows}

def d6service(name, keys, inbox, datapath, args):
    return Client(name, keys, inbox, datapath, args)
"""


@pytest.fixture
def engine(tmp_path):
    """Start an engine on a runtime; its processes find no eventlet where that needs none."""
    blocked = tmp_path / "blocked" / "eventlet"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('eventlet is blocked here')\n")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "hosts.csv").write_text("name,cpus\nhv1,64\nhv2,32\n")
    (tmp_path / "client_driver.py").write_text(DRIVER)
    begun = []

    def start(runtime):
        port = free_ports(1)[0]
        conf = tmp_path / "c.conf"
        conf.write_text(CONF.format(runtime=runtime, port=port, home=tmp_path))
        env = {k: v for k, v in os.environ.items() if k != choice.VARIABLE}
        if runtime != "mixed":
            env["PYTHONPATH"] = os.pathsep.join([str(blocked.parent), str(ROOT)])
        command = [sys.executable, "-m", "congress_dse", "serve", "--config-file", str(conf)]
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=log)
        begun.append(process)
        return process, port, tmp_path / "log"

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.wait()


def rows(port, source, table, wanted, log):
    """Read a table over the API until it has `wanted`."""
    url = f"http://127.0.0.1:{port}/v1/data-sources/{source}/tables/{table}/rows"
    end, found = time.monotonic() + WITHIN_S, None
    while found != wanted:
        assert time.monotonic() < end, f"{source}: {found}\n{log.read_text()}"
        try:
            status, found = asked(url, 10)
        except OSError as error:
            status, found = 0, error
        if status == 200:
            found = {tuple(row["data"]) for row in found["results"]}
        else:
            time.sleep(0.1)


@pytest.mark.parametrize("runtime", modes.each(["mixed", "asyncio", "uvloop"]))
def test_workers_links_api_and_a_synchronous_client(engine, runtime):
    """Two workers, the API in a third; the client of one source reads the other's by HTTP."""
    process, port, log = engine(runtime)
    first = {("hv1", "64"), ("hv2", "32")}
    rows(port, "one", "hosts", first, log)
    rows(port, "two", "seen", first, log)
    (log.parent / "tables" / "hosts.csv").write_text("name,cpus\nhv3,16\n")
    rows(port, "two", "seen", {("hv3", "16")}, log)
    process.terminate()
    assert process.wait(60) == 0, log.read_text()
    text = log.read_text()
    assert "Traceback" not in text
    assert "killed: none" in text
