"""What cannot cross is named before the first worker: scenario 8 of the acceptance list."""

import signal

import pytest

PATHS = {
    ("lambda", "argument"): r"Told: kwargs\['callback'\] is a function",
    ("lock", "argument"): r"Told: kwargs\['callback'\] is a lock",
    ("socket", "argument"): r"Told: kwargs\['callback'\] is a socket",
    ("lambda", "attribute"): r"Holder: args\[0\].settings\['inner'\]\[1\]\['thing'\] is a function",
    ("lock", "attribute"): r"Holder: args\[0\].settings\['inner'\]\[1\]\['thing'\] is a lock",
    ("socket", "attribute"): r"Holder: args\[0\].settings\['inner'\]\[1\]\['thing'\] is a socket",
}


@pytest.mark.parametrize(("thing", "where"), PATHS)
def test_what_cannot_cross_is_named_by_its_path_before_the_first_worker(start, thing, where):
    app = start("unplain.py", thing, where)
    app.line(f"NotPlain: {PATHS[thing, where]}")
    assert app.wait() == 1
    assert not any("ready after" in line for line in app.lines)
    assert not any("os.fork was called" in line for line in app.lines)


def test_a_plain_service_runs_and_nothing_forks(start):
    app = start("unplain.py", "nothing", "argument")
    app.ready(2)
    assert app.stop(signal.SIGTERM)[0] == 0
    assert not any("os.fork was called" in line for line in app.lines)
