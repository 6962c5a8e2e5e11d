"""Workers that live but do not turn: scenario 3 of the acceptance list."""

import os
import signal
import time

import pytest

from .harness import FULL, both_doors, within

LIVENESS_S = 5.0 if FULL else 2.0


@both_doors
def test_a_worker_with_a_blocked_hub_is_replaced_and_its_stacks_are_in_the_log(start, tmp_path):
    trigger = tmp_path / "block"
    app = start("lump.py", "runtime", "green", "liveness", LIVENESS_S, "trigger", trigger)
    victim = app.ready(1)[0]["pid"]
    app.line("lump 0 waits")
    trigger.touch()
    app.line(f"lump 0 blocks as {victim}")
    begin = time.monotonic()
    app.replaced(victim, count=1)
    assert time.monotonic() - begin < within(LIVENESS_S + 1.0)
    log = "\n".join(app.lines)
    assert f"pid {victim}: silent, its stacks" in log
    assert "in block_the_hub" in log, "the greenthread that blocks"
    assert "in idle_greenthread" in log, "a greenthread that waits"
    assert f"pid {victim}: stacks of its threads" in log, "by the native watchdog"
    assert "no heartbeat for" in log


@pytest.mark.parametrize("runtime", ["plain", "green", "asyncio"])
def test_a_stopped_worker_is_replaced(start, tmp_path, runtime):
    args = ("runtime", runtime, "liveness", LIVENESS_S, "trigger", tmp_path / "never")
    app = start("lump.py" if runtime != "asyncio" else "aio.py", *args)
    victim = app.ready(1)[0]["pid"]
    begin = time.monotonic()
    os.kill(victim, signal.SIGSTOP)
    app.replaced(victim, count=1)
    assert time.monotonic() - begin < within(LIVENESS_S + 1.0)


def test_a_worker_whose_import_burns_the_processor_is_not_killed(start, tmp_path):
    burn_s = 20.0 if FULL else 4.0
    liveness_s = 5.0 if FULL else 1.0
    args = ("runtime", "plain", "liveness", liveness_s, "trigger", tmp_path / "never")
    app = start("lump.py", *args, "import", burn_s)
    app.ready(1, timeout_s=90)
    assert not any("killed" in line for line in app.lines)
    assert sum("ready after" in line for line in app.lines) == 1
