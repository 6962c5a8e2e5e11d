"""Reload, resize and recycling under load: scenarios 4, 5 and 6 of the acceptance list."""

import json
import signal
import time

import pytest

from congress_dse.manager import commands

from .harness import FULL, both_doors, wait_for, within
from .load import Load, Watch


@pytest.fixture
def web(start, tmp_path):
    """A web application and its port; ``web.conf(...)`` writes its file."""
    path = tmp_path / "web.json"

    def begin(*args, **conf):
        def write(**changes):
            path.write_text(json.dumps({"greeting": "hello", "workers": 2, **conf, **changes}))

        write()
        app = start("web.py", "conf", path, *args)
        app.conf, app.path = write, path
        app.port = int(app.line(r"listens on \('127.0.0.1', (\d+)\)")[1])
        app.ready(conf.get("workers", 2))
        return app

    return begin


@both_doors
@pytest.mark.timeout(400)
def test_reloads_under_load_drop_nothing(web):
    app = web(workers=2)
    reloads = 10 if FULL else 3
    with Load(app.port) as load, Watch(app) as watch:
        for n in range(reloads):
            app.conf(greeting=f"hello-{n}")
            done = sum("reload done" in line for line in app.lines)
            app.send(signal.SIGHUP)
            if n == 1:
                app.send(signal.SIGHUP)  # within 10 ms of the other
            app.line("reload done", count=done + 1)
        wait_for(lambda: load.total >= (5000 if FULL else 1500), 120)
        fresh = f"hello-{reloads - 1}"
        wait_for(lambda: any(body.startswith(fresh) for body in load.bodies))
    print(f"{load.total} requests, {len(load.failures)} failed, ready never under {watch.least}")
    assert load.failures == []
    assert watch.least >= 1
    assert app.process.poll() is None
    assert app.stop()[0] == 0
    app.line("master has eventlet: False")


@pytest.mark.parametrize("fault", ["file", "boot", "mute"])
def test_a_bad_reload_leaves_the_old_generation_and_says_why(web, capsys, fault):
    app = web(workers=2)
    old = {w["pid"] for w in app.ready(2)}
    if fault == "file":
        app.path.write_text("{no json")
    else:
        app.conf(fail=fault)
    begin = time.monotonic()
    code = commands.reload(app.control, wait=True)
    assert time.monotonic() - begin < within(10)
    assert code != 0
    cause = {"file": "JSONDecodeError", "boot": "cannot be built", "mute": "not ready after"}[fault]
    assert cause in capsys.readouterr().err
    assert cause in app.ask("status")["reload"]["cause"]
    assert {w["pid"] for w in app.ready(2)} == old
    tried = any("successor not taken" in line for line in app.lines)
    assert tried == (fault != "file"), "a bad file is refused before anything starts"
    if fault == "file":
        assert not any("Traceback" in line for line in app.lines), "one clear line is enough"
    with Load(app.port, clients=2) as load:
        wait_for(lambda: load.total > 20)
    assert load.failures == []
    app.conf(greeting="mended")
    assert commands.reload(app.control, wait=True) == 0
    assert not old & {w["pid"] for w in app.ready(2)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pause_s", [0.004, 0.0] if FULL else [0.004])
def test_recycling_is_staggered_and_drops_nothing(web, pause_s):
    """With a pause the machine has time to spare; without, clients and workers want all of it."""
    seconds = 20 if FULL else 4
    rates = {}
    for limit in (0, 200):
        app = web("max_requests", limit, workers=4)
        pids = {w["pid"] for w in app.ready(4)}
        with Load(app.port, pause_s=pause_s) as load, Watch(app) as watch:
            load.over.wait(seconds)
        rates[limit] = load.total / load.seconds
        assert load.failures == []
        assert watch.least >= 3, "never more than one out"
        changed = len({w["pid"] for w in app.ready(4)} - pids)
        assert bool(changed) == bool(limit)
        assert app.stop()[0] == 0
    share = rates[200] / rates[0]
    print(f"requests/s {rates[0]:.0f} without, {rates[200]:.0f} with recycling: {share:.0%}")
    assert not FULL or share >= 0.9  # a figure of speed is no matter of the gate


def test_resizing_by_reload_and_by_command(web, capsys):
    app = web(workers=1)
    app.conf(workers=3)
    app.send(signal.SIGHUP)
    app.ready(3)
    assert commands.workers(app.control, resize=("Web", 1)) == 0
    app.ready(1)
    assert commands.workers(app.control, resize=("Nobody", 1)) != 0
    assert "no service 'Nobody'" in capsys.readouterr().err
