"""Signals at any moment, and a parent that vanishes: scenario 7 of the acceptance list."""

import os
import random
import signal
import socket
import time

import pytest

from .harness import FULL, alive, both_doors, posix_only, wait_for, within


@pytest.mark.timeout(1200)
def test_sigterm_at_random_moments_of_start_up_ends_everything_in_time(start, tmp_path):
    random.seed(7)
    slowest_s = 0.0
    for n in range(200 if FULL else 12):
        app = start("storm.py", 2, control=tmp_path / f"c{n}")
        moment_s = random.uniform(0, 1.5)
        time.sleep(moment_s)  # not a wait for anything: the moment itself is the test
        code, took_s = app.stop()
        slowest_s = max(slowest_s, took_s)
        # Before the master has its handlers there is nothing to stop, and the default ends it.
        assert code in {0, -signal.SIGTERM}, (moment_s, app.lines)
        assert took_s < within(3.0), (moment_s, app.lines)
        app.gone(1.0)
        assert not any("Traceback" in line for line in app.lines), (moment_s, app.lines)
        app.close()
    print(f"slowest stop {slowest_s:.2f} s")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_twice_or_sigint_once_ends_at_once(start, tmp_path, number):
    app = start("stubborn.py")
    app.ready(2)
    app.children()
    app.send(number)
    if number == signal.SIGTERM:
        app.line("stubborn . goes on", count=2)
        assert app.process.poll() is None
        app.send(number)
    begin = time.monotonic()
    assert app.wait() == 1
    assert time.monotonic() - begin < within(2.0)
    app.gone(1.0)


def test_sigalrm_ends_what_is_late(start):
    app = start("stubborn.py")
    app.ready(2)
    app.children()
    app.send(signal.SIGALRM)  # nothing is late yet
    app.send(signal.SIGTERM)
    app.line("stubborn . goes on", count=2)
    app.send(signal.SIGALRM)
    assert app.wait() == 1
    app.gone(1.0)


def test_a_worker_that_is_late_to_stop_is_ended(start):
    app = start("stubborn.py", 1.0)
    app.ready(2)
    code, took_s = app.stop()
    assert code == 0
    assert 1.0 <= took_s < within(3.0)
    app.line("late to stop, killed")
    app.gone(1.0)


@both_doors
@pytest.mark.parametrize("frozen", [False, True])
def test_when_the_master_is_killed_its_workers_go_and_the_port_is_free(start, frozen):
    app = start("storm.py", 2)
    port = int(app.line(r"listens on (\d+)")[1])
    app.ready(4)
    app.children()
    if frozen:
        app.process.send_signal(signal.SIGSTOP)  # a master that does not even turn
    app.process.kill()
    app.process.wait(5)
    took_s = app.gone(2.0)
    print(f"workers gone after {took_s:.2f} s")
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))


def test_a_worker_with_a_blocked_hub_goes_with_its_master(start, tmp_path):
    trigger = tmp_path / "block"
    app = start("lump.py", "runtime", "green", "liveness", 60, "trigger", trigger)
    pid = app.ready(1)[0]["pid"]
    app.line("lump 0 waits")
    trigger.touch()
    app.line("lump 0 blocks")
    app.children()
    app.process.kill()
    app.process.wait(5)
    assert alive(pid)
    app.gone(2.0)


@posix_only("signals to workers")
def test_the_terminal_s_signals_to_all_reach_the_master_alone(start):
    app = start("storm.py", 2)
    pids = {w["pid"] for w in app.ready(4)}
    for pid in pids:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGHUP)
    app.send(signal.SIGHUP)
    app.line("reload done")
    assert not [line for line in app.lines if "Traceback" in line or "WARNING" in line]
    wait_for(lambda: len(app.workers()) == 4)
    assert app.stop()[0] == 0
