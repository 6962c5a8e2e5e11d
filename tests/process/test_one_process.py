"""The debug mode, ``workers = 0``: one process, its control socket, and a hub that is blocked."""

import os
import signal

import pytest

from congress_dse.exceptions import ControlError
from congress_dse.manager import commands
from tests.support import modes

from .harness import posix_only, wait_for


def test_the_one_process_answers_what_means_something_to_it(start, capsys):
    app = start("debug.py")
    app.line("two runs in")
    assert {w["pid"] for w in app.ready(2)} == {app.pid}
    assert commands.status(app.control) == 0
    text = capsys.readouterr().out
    assert f"one process {app.pid} running" in text
    assert "One: 1 of 1 ready" in text
    assert commands.reload(app.control, wait=True) == 0
    app.line("one reloads")
    app.line("two reloads")
    assert app.ask("status")["reload"] == {"state": "done", "cause": "", "count": 1}
    assert "_live" in app.ask("stacks", name="One.0")
    assert commands.level(app.control, "debug") == 0
    assert commands.stop(app.control) == 0
    assert app.wait() == 0
    app.line("stop, by request")
    app.line("two ends")
    assert not os.path.exists(app.control)


@pytest.mark.parametrize(
    ("command", "request_"),
    [
        ("resize", {"service": "One", "workers": 2}),
        ("restart", {"name": "One"}),
        ("drain", {"name": "One.0"}),
        ("replay", {"service": "One", "key": "k"}),
    ],
)
def test_what_is_about_workers_is_refused_clearly(start, command, request_):
    app = start("debug.py")
    app.ready(2)
    with pytest.raises(ControlError, match=f"{command}: there are no workers, everything runs in"):
        app.ask(command, **request_)
    with pytest.raises(ControlError, match=r"Three does not run here, there are: One.0, Two.0"):
        app.ask("stacks", name="Three")
    with pytest.raises(ControlError, match="dance is no command"):
        app.ask("dance")


def test_a_refused_reload_tells_who_waits_and_is_one_line(start):
    app = start("debug.py", "green", "refuse")
    app.ready(2)
    assert app.ask("reload", wait=True)["cause"] == "ValueError: this configuration is bad"
    assert app.ask("status")["reload"]["state"] == "failed"
    app.line("reload failed, what served before serves on: ValueError: this configuration is bad")
    assert not any("Traceback" in line for line in app.lines)


@posix_only("it has the signals")
@pytest.mark.parametrize("runtime", modes.each())
def test_a_signal_ends_it_on_every_runtime(start, runtime):
    app = start("debug.py", runtime)
    app.line("two runs in")
    os.kill(app.pid, signal.SIGTERM)
    assert app.wait() == 0
    app.line("stop, by SIGTERM")


def test_it_answers_while_its_hub_is_blocked_and_ends_without_it(start, tmp_path):
    trigger = tmp_path / "block"
    args = ("runtime", "green", "liveness", 60, "trigger", trigger, "workers", 0)
    app = start("lump.py", *args)
    app.line("lump 0 waits")
    trigger.touch()
    app.line("lump 0 blocks")
    assert app.ask("status")["state"] == "running"
    wait_for(lambda: "in block_the_hub" in app.ask("stacks", name="Lump.0"))
    assert app.ask("level", level="debug") == {"level": "DEBUG"}
    assert app.ask("stop") == {"state": "stopping"}
    assert app.process.poll() is None, "a graceful stop waits for the hub"
    assert app.ask("stop-now") == {"state": "stopping"}
    assert app.wait() == 1
