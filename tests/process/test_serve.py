"""The engine as a whole: a master, its engine workers, and their sources."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from .harness import PATIENCE_S, ROOT, both_doors, posix_only, wait_for

ENGINE = "engine"  # its workers; the API has one of its own, which may be ready earlier or later
MAIN = ROOT / "congress_dse" / "__main__.py"


@pytest.fixture
def serve(start, tmp_path):
    """Start an engine that serves the folders `sources`, and watches their table ``t``."""

    def begin(*sources, workers=2, options=""):
        conf = tmp_path / "engine.conf"
        text = [f"[processes]\nworkers = {workers}\ncontrol_socket = {tmp_path / 'control'}\n"]
        text.append(f"[api]\nbind_port = 0\n[database]\nconnection = sqlite:///{tmp_path}/db\n")
        text.append(options)
        for name in sources:
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "t.csv").write_text("a\n1\n")
            text.append(f"[datasource:{name}]\ndriver = file\npath = {tmp_path / name}\n")
            text.append("poll_time = 0.1\n")
        conf.write_text("".join(text))
        watch = [part for name in sources for part in ("--watch", f"{name}:t")]
        app = start(MAIN, "serve", "--config-file", conf, "--json", *watch)
        app.conf, app.folder = conf, tmp_path
        return app

    return begin


def updates(app, source, kind="delta"):
    """What was printed of one source's table."""
    lines = [json.loads(line) for line in app.lines if line.startswith("{")]
    return [u for u in lines if u["source"] == source and u["table"] == "t"]


def owners(app):
    """The sources that each worker serves, by its pid, as the log has it last."""
    found = {}
    for line in app.lines:
        if "congress_dse.engine: serving" in line:
            names = line.partition("serving ")[2]
            found[int(line.split()[3])] = set() if names == "no source" else set(names.split(", "))
    return found


@both_doors
def test_every_source_is_served_by_one_worker_and_ctrl_c_ends_all_with_0(serve):
    app = serve("alpha", "beta", "gamma", "delta")
    pids = {w["pid"] for w in app.ready(2, ENGINE)}
    wait_for(lambda: all(updates(app, s) for s in ("alpha", "beta", "gamma", "delta")))
    shares = [share for pid, share in owners(app).items() if pid in pids]
    assert sorted(name for share in shares for name in share) == ["alpha", "beta", "delta", "gamma"]
    code, _ = app.stop(signal.SIGTERM if app.portable else signal.SIGINT)
    assert code == 0, app.lines[-10:]
    app.gone()


def test_the_sources_of_a_killed_worker_come_back_with_its_replacement(serve):
    app = serve("alpha", "beta")
    app.ready(2, ENGINE)
    wait_for(lambda: updates(app, "alpha"))
    (victim,) = [pid for pid, share in owners(app).items() if "alpha" in share]
    os.kill(victim, signal.SIGKILL)
    app.replaced(victim, ENGINE, count=2)
    lives = wait_for(lambda: len({u["epoch"] for u in updates(app, "alpha")}) == 2)
    assert lives
    (app.folder / "alpha" / "t.csv").write_text("a\n1\n2\n")
    wait_for(lambda: updates(app, "alpha")[-1]["added"] == [["2"]])


def test_resizing_moves_sources_and_each_still_has_one_owner(serve):
    names = [f"s{n}" for n in range(8)]
    app = serve(*names)
    app.ready(2, ENGINE)
    wait_for(lambda: all(updates(app, s) for s in names))
    app.ask("resize", service="engine", workers=3)
    pids = {w["pid"] for w in app.ready(3, ENGINE)}

    def spread():
        shares = [share for pid, share in owners(app).items() if pid in pids]
        return len(shares) == 3 and sorted(n for s in shares for n in s) == names

    wait_for(spread, what=lambda: owners(app))
    app.ask("drain", name="engine.2")
    pids = {w["pid"] for w in app.ready(2, ENGINE)}
    wait_for(lambda: sorted(n for p, s in owners(app).items() if p in pids for n in s) == names)


def test_a_reload_creates_what_is_new_and_ends_what_is_gone(serve):
    app = serve("alpha", "beta")
    app.ready(2, ENGINE)
    wait_for(lambda: updates(app, "alpha") and updates(app, "beta"))
    text = app.conf.read_text().replace("[datasource:beta]", "[datasource:other]")
    app.conf.write_text(text)
    assert app.ask("reload", wait=True)["cause"] == ""
    wait_for(lambda: sorted(n for s in owners(app).values() for n in s) == ["alpha", "other"])


def test_a_bad_reload_is_refused_with_its_cause_and_the_old_one_serves_on(serve):
    app = serve("alpha")
    app.ready(2, ENGINE)
    good = app.conf.read_text()
    app.conf.write_text(good.replace("poll_time", "pol_time"))
    answer = app.ask("reload", wait=True)
    assert "[datasource:alpha] pol_time: no such option" in answer["cause"]
    assert app.ask("status")["reload"]["cause"]
    (app.folder / "alpha" / "t.csv").write_text("a\n1\n7\n")
    wait_for(lambda: updates(app, "alpha")[-1]["added"] == [["7"]])


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 0)])
def test_a_reload_between_workers_and_debug_mode_is_refused(serve, before, after):
    app = serve("alpha", workers=before)
    app.ready(before or 1, ENGINE)
    text = app.conf.read_text()
    app.conf.write_text(text.replace(f"workers = {before}", f"workers = {after}"))
    cause = f"[processes] workers: from {before} to {after} only by a new start"
    assert cause in app.ask("reload", wait=True)["cause"]
    app.line(re.escape(f"reload failed, what served before serves on: ConfigError: {cause}"))
    assert not any("Traceback" in line for line in app.lines)
    assert app.ask("status")["services"][ENGINE]["wanted"] == (before or 1)
    (app.folder / "alpha" / "t.csv").write_text("a\n1\n7\n")
    wait_for(lambda: updates(app, "alpha") and updates(app, "alpha")[-1]["added"] == [["7"]])
    # Put right, the next reload is taken.
    app.conf.write_text(text)
    assert app.ask("reload", wait=True)["cause"] == ""


def test_a_source_may_name_its_worker(serve):
    app = serve("alpha")
    app.conf.write_text(app.conf.read_text() + "worker = 1\n")
    assert app.ask("reload", wait=True)["cause"] == "" if app.ready(2, ENGINE) else False
    (second,) = [w["pid"] for w in app.workers() if w["name"] == "engine.1"]
    wait_for(lambda: owners(app).get(second) == {"alpha"})


def test_without_workers_the_same_engine_runs_in_one_process(serve):
    app = serve("alpha", workers=0)
    wait_for(lambda: updates(app, "alpha"))
    assert app.children() == []
    code, _ = app.stop(signal.SIGTERM)
    assert code == 0, app.lines[-10:]


def test_the_engine_stops_with_0_when_nobody_reads_its_output_any_more(tmp_path):
    (tmp_path / "t.csv").write_text("a\n1\n")
    conf = tmp_path / "engine.conf"
    conf.write_text(
        f"[processes]\ncontrol_socket = {tmp_path / 'control'}\n[api]\nbind_port = 0\n"
        f"[datasource:alpha]\ndriver = file\npath = {tmp_path}\npoll_time = 0.1\n"
    )
    command = [sys.executable, str(MAIN), "serve", "--config-file", str(conf)]
    with open(tmp_path / "log", "w") as log:
        engine = subprocess.Popen(
            [*command, "--watch", "alpha:t"],
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        try:
            assert b"alpha:t version 1" in engine.stdout.readline()
            engine.stdout.close()
            (tmp_path / "t.csv").write_text("a\n1\n3\n")
            assert engine.wait(PATIENCE_S) == 0, (tmp_path / "log").read_text()
        finally:
            if engine.poll() is None:
                engine.kill()


def test_the_master_never_imports_eventlet(serve):
    app = serve("alpha")
    app.ready(2, ENGINE)
    with open(f"/proc/{app.pid}/maps") as maps:
        assert "greenlet" not in maps.read()


@posix_only("Unix sockets")
def test_a_place_too_long_for_the_workers_sockets_is_refused_at_the_start(start, tmp_path):
    place = tmp_path / ("d" * 80)
    place.mkdir()
    conf = tmp_path / "engine.conf"
    conf.write_text("[api]\nenabled = false\n[datasource:host]\ndriver = host\n")
    app = start(MAIN, "serve", "--config-file", conf, env={"XDG_RUNTIME_DIR": str(place)})
    assert app.wait(60) == 2
    app.line("no place for the workers' links: .* is too long for sockets .*XDG_RUNTIME_DIR")
    assert list(place.iterdir()) == []
