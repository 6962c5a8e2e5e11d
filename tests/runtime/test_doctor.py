"""The command doctor: what stands between an installation and one without eventlet."""

import json
import os
import subprocess
import sys

import pytest

from congress_dse import diagnosis
from congress_dse.runtime import choice
from tests.support import modes

CONF = """
[api]
enabled = false
[datasource:mine]
driver = {path}
"""
DRIVER = """
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
{head}

class Mine(PollingDataSourceDriver):
    {kind}def update_from_datasource(self):
        self.state["t"] = {{(1,)}}

def d6service(name, keys, inbox, datapath, args):
    return Mine(name, keys, inbox, datapath, args)
"""


@pytest.fixture
def doctor(tmp_path):
    (tmp_path / "nap.py").write_text("import eventlet\nnap = eventlet.sleep\n")

    def run(head="", kind="", runtime="green"):
        (tmp_path / "mine_driver.py").write_text(DRIVER.format(head=head, kind=kind))
        conf = tmp_path / "c.conf"
        conf.write_text(CONF.format(path=tmp_path / "mine_driver.py"))
        command = [sys.executable, "-m", "congress_dse", "doctor", "--json"]
        done = subprocess.run(
            [*command, "--config-file", str(conf)],
            env={**os.environ, choice.VARIABLE: runtime, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def texts(found, group):
    return [f"{one['subject']}: {one['text']}" for one in found[group]]


def test_a_driver_that_imports_eventlet_stands_in_the_way(doctor):
    code, found = doctor(head="from eventlet import sleep")
    assert code == 1
    assert any("mine: imports eventlet at line 3" in text for text in texts(found, "drivers"))
    assert found["verdict"][0]["text"] == "before runtime = asyncio: mine"


@pytest.mark.parametrize("runtime", [choice.GREEN, choice.ASYNCIO])
def test_one_that_needs_eventlet_by_another_module_does_so_too(doctor, runtime):
    code, found = doctor(head="import nap", runtime=runtime)
    assert code == 1
    (text,) = [text for text in texts(found, "drivers") if "eventlet would block" in text]
    assert text.startswith("mine: cannot be ")
    assert found["verdict"][0]["text"] == "before runtime = asyncio: mine"


def test_a_driver_that_cannot_be_loaded_for_another_reason_is_told(doctor):
    code, found = doctor(head="import no_such_library")
    assert code == 0
    assert any("'no_such_library'" in text for text in texts(found, "drivers"))


def test_a_library_that_is_too_old_is_told(monkeypatch):
    monkeypatch.setattr(diagnosis, "_needed", lambda: {"oslo.config": "9999.1", "msgpack": "0.1"})
    found = {one.subject: one for one in diagnosis.versions()}
    assert found["oslo.config"].blocks
    assert "9999.1 is needed at least" in found["oslo.config"].text
    assert "msgpack" not in found
    assert not found["greenlet"].blocks


@pytest.mark.parametrize("runtime", modes.each())
def test_one_that_does_not_is_told_how_it_will_be_polled(doctor, runtime):
    code, found = doctor(kind="async ", runtime=runtime)
    assert code == 0
    assert any("is awaited in every runtime" in text for text in texts(found, "drivers"))
    patched = texts(found, "patches")[0]
    assert ("patched: " in patched) == (runtime == "green")
    assert found["runtime"][0]["text"] == runtime
    assert any(text.startswith("Python: 3.") for text in texts(found, "libraries"))


def test_a_plain_poll_is_said_to_run_in_a_thread(doctor):
    _, found = doctor()
    assert any("in a native thread" in text for text in texts(found, "drivers"))
