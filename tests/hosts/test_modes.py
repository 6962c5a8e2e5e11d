"""One suite, unchanged, on the runtimes that the rest of the tests does not run on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from congress_dse.runtime import choice
from tests.support import modes

ROOT = Path(__file__).parents[2]
SUITE = [
    "hosts/test_coroutines.py",
    "hosts/test_interop.py",
    "hosts/test_lives.py",
    "hosts/test_waits.py",
    "hosts/test_watchdog.py",
    "hosts/test_two_clients.py",
    "datasources/test_oslo_endpoints.py",
    "api/test_events.py",
    "links/test_conversations.py::test_a_follower_at_the_far_side_gets_the_table_and_every_change[unix]",
]
FULL = [*SUITE, "hosts/test_scenarios.py", "legacy", "api/test_v1.py"]
SERVER = ["api/test_server.py"]
LINKS = [
    "links/test_broker.py::test_a_port_that_speaks_something_else_is_named_and_tried_again",
    "links/test_rabbit_bus.py::test_connections_that_an_operator_closes",
    "links/test_rabbit_bus.py::test_a_large_table_crosses_in_parts",
    "links/test_rabbit_bus.py::test_a_request_that_waited_too_long_at_the_broker_is_not_carried_out",
]
FULL_LINKS = ["links/test_broker.py", "links/test_conversations.py", "links/test_rabbit_bus.py"]
LONG = bool(os.environ.get("CONGRESS_DSE_FULL"))

DRIVERS = """
import asyncio, time
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.pytest_plugin import DriverConformance
from congress_dse.runtime import chosen

class Plain(PollingDataSourceDriver):
    "A client that blocks, as most do."
    def update_from_datasource(self):
        time.sleep(0.02)
        self.state["t"] = {(1, "a")}

class Coroutine(PollingDataSourceDriver):
    async def update_from_datasource(self):
        await asyncio.sleep(0.02)
        self.state["t"] = {(1, "a")}

class TestPlain(DriverConformance):
    driver, args = Plain, {"poll_time": 0.1}

class TestCoroutine(DriverConformance):
    driver, args = Coroutine, {"poll_time": 0.1}

def test_runtime(pytestconfig):
    assert chosen.NAME == pytestconfig.getoption("dse_runtime")
"""

VIRTUAL = """
import asyncio, subprocess, sys, time
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver

class Hourly(PollingDataSourceDriver):
    polls = 0
    async def update_from_datasource(self):
        await asyncio.sleep(60)
        self.polls += 1

class InThread(PollingDataSourceDriver):
    polls = 0
    def update_from_datasource(self):
        self.blocking(time.strftime, "%H")
        self.polls += 1

SERVER = '''
import socketserver, time
class Slow(socketserver.StreamRequestHandler):
    def handle(self):
        time.sleep(0.05)  # in which a day would be over
        self.wfile.write(b"said")
with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Slow) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
'''

class Far(PollingDataSourceDriver):
    async def update_from_datasource(self):
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.state["far"] = {(await reader.read(),)}
            writer.close()

def test_time_does_not_leap_over_who_waits_for_another_process(dse_bus, dse_sleep):
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        Far.port = int(server.stdout.readline())
        far = dse_bus.createservice("far", factory=Far, args={"poll_time": 3600})
        dse_sleep(5 * 3600)
        server.kill()
    assert far.number_of_updates >= 5
    assert far.state and not far.stale

def test_a_day_passes_while_nobody_works(dse_bus, dse_sleep):
    begun = time.monotonic()
    args = {"poll_time": 3600, "poll_deadline": 120}
    one = dse_bus.createservice("one", factory=Hourly, args=args)
    two = dse_bus.createservice("two", factory=InThread, args=args)
    dse_sleep(24 * 3600 + 600)
    assert 22 <= one.polls <= 27
    assert 22 <= two.polls <= 27
    assert time.monotonic() - begun < 3600
"""


def start(args, cwd=ROOT, **env):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    kept = {k: v for k, v in os.environ.items() if k != choice.VARIABLE}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=cwd, env={**kept, **env}, **output)


def passed(process):
    with process:
        try:
            output, _ = process.communicate(timeout=550)
        finally:
            process.kill()
    assert process.returncode == 0, output[-8000:]
    return output


def run(args, cwd=ROOT, **env):
    return passed(start(args, cwd, **env))


@pytest.fixture(scope="module", autouse=True)
def suites(request):
    """The suite at work in each runtime that is asked for, beside all tests: it waits, mostly."""
    name = test_the_suite_passes_unchanged.__name__
    asked = [one for one in request.session.items if getattr(one, "originalname", "") == name]
    suite = [f"tests/{name}" for name in (FULL if LONG else SUITE)]
    started = {}
    for runtime in (one.callspec.params["runtime"] for one in asked):
        started[runtime] = start(suite, **{choice.VARIABLE: runtime})
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("runtime", modes.others() if LONG else [choice.ASYNCIO])
def test_the_server_keeps_its_limits_and_its_end(runtime):
    """In mixed and uvloop the server is the same."""
    unchanged(SERVER, runtime)


@pytest.mark.rabbit
@pytest.mark.timeout(600)
@pytest.mark.parametrize("runtime", modes.others() if LONG else [choice.ASYNCIO])
def test_links_hold_what_they_promise(runtime):
    """Never with the tests of minutes: those are of brokers and networks, not of a runtime."""
    unchanged(FULL_LINKS if LONG else LINKS, runtime, CONGRESS_DSE_FULL="")


def unchanged(suite, runtime, **env):
    """Have tests pass in another runtime; ``-rP`` shows how many did, and how long they took."""
    env[choice.VARIABLE] = runtime
    told(runtime, run([f"tests/{name}" for name in suite], **env))


def told(runtime, output):
    summary = output.splitlines()[-1]
    assert "passed" in summary
    print(f"{runtime}: {summary}")


def plugin(path, code, *args):
    (path / "test_it.py").write_text(code)
    (path / "pytest.ini").write_text("[pytest]\n")
    return run(
        ["-p", "congress_dse.pytest_plugin", *args, "test_it.py"],
        cwd=path,
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("runtime", modes.each())
def test_drivers_of_others_pass_the_plugin_s_suite(tmp_path, runtime):
    assert "11 passed" in plugin(tmp_path, DRIVERS, f"--dse-runtime={runtime}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("runtime", [choice.GREEN, choice.MIXED, choice.ASYNCIO])
def test_under_virtual_time_a_day_is_short(tmp_path, runtime):
    args = (f"--dse-runtime={runtime}", "--dse-virtual-time")
    assert "2 passed" in plugin(tmp_path, VIRTUAL, *args)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("runtime", modes.others())
def test_the_suite_passes_unchanged(suites, runtime):
    """Scenario 18. In asyncio and uvloop eventlet is not there, and cannot be: see the conftest."""
    told(runtime, passed(suites[runtime]))
