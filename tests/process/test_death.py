"""Workers that die: scenarios 1 and 2 of the acceptance list."""

import os
import re
import signal
import time

import pytest

from .harness import FULL, both_doors, posix_only, within


@both_doors
@pytest.mark.parametrize("runtime", ["plain", "green"])
def test_a_killed_worker_is_replaced_in_under_a_second_beside_a_crash_loop(start, runtime):
    app = start("shop.py", "runtime", runtime, "crash", "slowly")
    app.ready(2, "Till")
    app.ready(2, "Stock")
    took_s = []
    for n in range(10 if FULL else 5):
        service = ("Till", "Stock")[n % 2]
        victim = app.ready(2, service)[0]["pid"]
        os.kill(victim, signal.SIGKILL)
        took_s.append(app.replaced(victim, service, count=2))
    app.line("Crawl.0: pid .* exit code 1", count=2)
    print(f"{runtime}: replaced after", [f"{t:.2f}" for t in took_s])
    assert max(took_s) < within(1.0), took_s


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("run", "ValueError: crashed in run"),
        ("boot", "could not build its service .*ValueError: cannot be built"),
        ("exit", "exit code 7"),
        ("segfault", "SIGSEGV.*Segmentation fault"),
    ],
)
def test_a_crash_loop_ends_the_master_with_the_first_cause_in_its_last_line(start, how, words):
    app = start("shop.py", "crash", how)
    app.line("given up; first:")
    begin = time.monotonic()
    assert app.wait() == 70
    assert time.monotonic() - begin < within(2.0)
    last = app.lines[-1]
    assert "CRITICAL" in last
    assert "Crash.0: died 6 times in 10 s, given up; first: " in last
    assert re.search(words, last), last
    app.gone(1.0)


def test_a_sibling_under_another_master_keeps_running(start, tmp_path):
    healthy = start("shop.py", control=tmp_path / "other")
    pids = {w["pid"] for w in healthy.ready(4)}
    doomed = start("shop.py", "crash", "run")
    assert doomed.wait() == 70
    assert {w["pid"] for w in healthy.ready(4)} == pids


@posix_only("a signal to a worker")
def test_a_worker_that_is_told_to_leave_from_outside_ends_gracefully_and_is_replaced(start):
    app = start("shop.py")
    victim = app.ready(2, "Till")[0]["pid"]
    os.kill(victim, signal.SIGTERM)
    app.line(f"till . ends as {victim}")
    app.replaced(victim, "Till", count=2)
    assert not any("Traceback" in line for line in app.lines)
