"""With the POSIX door shut: no signals, no Unix control socket, no fork, no green pipe.

The nearest thing to Windows that can be tried elsewhere: what is left is spawn, sockets, and the
end of a process.
"""

import json
import os
import stat
from pathlib import Path

import pytest

import congress_dse
from congress_dse.exceptions import ControlError
from congress_dse.manager import commands
from congress_dse.manager.control import ask

pytestmark = pytest.mark.parametrize("start", ["shut"], indirect=True)


@pytest.mark.parametrize("runtime", ["plain", "green"])
def test_a_fleet_lives_reloads_resizes_and_stops_without_posix(start, runtime):
    app = start("portable.py", runtime)
    pids = {w["pid"] for w in app.ready(2)}
    assert commands.reload(app.control, wait=True) == 0
    assert not pids & {w["pid"] for w in app.ready(2)}
    assert commands.workers(app.control, resize=("Portable", 3)) == 0
    victim = app.ready(3)[0]["pid"]
    os.kill(victim, 9)  # from outside: the operating system's own means
    app.replaced(victim, count=3)
    app.children()
    assert commands.stop(app.control) == 0
    assert app.wait() == 0
    app.line("portable ends", count=3)
    app.line("signal handlers: none")
    app.gone(1.0)


def test_workers_go_with_their_master_without_posix(start):
    app = start("portable.py", "plain")
    app.ready(2)
    app.children()
    app.process.kill()
    app.process.wait(5)
    app.gone(2.0)


def test_the_token_is_asked_for(start):
    app = start("portable.py", "plain")
    app.ready(2)
    assert stat.S_IMODE(os.stat(app.control).st_mode) == 0o600
    with open(app.control) as file:
        where = json.load(file)
    where["token"] = "guess"
    with open(app.control, "w") as file:
        json.dump(where, file)
    with pytest.raises(ControlError, match="the token is wrong"):
        ask(app.control, {"command": "status"})


def test_a_second_master_leaves_the_control_file_of_the_first_alone(start):
    first = start("portable.py", "plain")
    first.ready(2)
    second = start("portable.py", "plain")
    assert second.wait() != 0
    second.line("ControlError: control socket .*in use")
    assert len(first.workers()) == 2
    first.process.kill()
    first.process.wait(5)
    assert os.path.exists(first.control), "nobody removed it"
    third = start("portable.py", "plain")
    third.ready(2)


def test_no_green_pipe_is_used(start):
    package = Path(congress_dse.__file__).parent
    assert not [p for p in package.rglob("*.py") if "GreenPipe" in p.read_text()]
