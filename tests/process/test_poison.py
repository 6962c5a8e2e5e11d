"""Work that ends its workers: the process half of scenario 15 of the acceptance list."""

import os
import signal
import time

import pytest

from congress_dse.manager import commands

from .harness import within


@pytest.mark.parametrize("how", ["die", "raise"])
def test_a_job_that_ends_its_worker_three_times_is_parked_and_replayed_once(
    start, tmp_path, capsys, how
):
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    app = start("poison.py", jobs)
    app.ready(2)
    (jobs / "bad.0").write_text(how)
    app.line(r"bad.0 begun", count=3)
    app.line(r"Taker: bad.0 ended its workers too often and is parked")
    begin = time.monotonic()
    (jobs / "good.0").write_text("ok")
    (jobs / "good.1").write_text("ok")
    app.line("good.0 done")
    app.line("good.1 done")
    assert time.monotonic() - begin < within(1.0)
    (parked,) = app.ask("parked")
    assert parked["payload"] == {"text": how}
    assert parked["attempts"] == 3
    assert ("SIGKILL" if how == "die" else "ValueError: this job raises") in parked["stack"]
    assert sum("bad.0 begun" in line for line in app.lines) == 3
    (jobs / "bad.0").unlink()
    assert commands.parked(app.control, replay=("Taker", "bad.0")) == 0
    app.line(f"replayed {how}")
    assert commands.parked(app.control, replay=("Taker", "bad.0")) == 1
    assert "nothing is parked under 'bad.0'" in capsys.readouterr().err
    assert sum("replayed" in line for line in app.lines) == 1
    assert app.ask("parked") == []


def test_work_that_is_done_is_not_held_against_anybody(start, tmp_path):
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    app = start("poison.py", jobs)
    for n in range(1, 5):
        app.ready(2)
        (jobs / "same.0").write_text("ok")
        app.line("same.0 done", count=n)
        (victim,) = [w["pid"] for w in app.workers() if w["name"] == "Taker.0"]
        os.kill(victim, signal.SIGKILL)
        app.replaced(victim, count=2)
    assert app.ask("parked") == []
    assert app.stop()[0] == 0
