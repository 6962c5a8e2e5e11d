"""What a master that is killed leaves behind, and who takes it away."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from congress_dse.manager import posix, scratch

from .harness import ROOT, alive, both_doors, wait_for

OWNER = """
import sys
from congress_dse.manager.scratch import Scratch
made = Scratch()
open(made.path + "/box", "w").close()
print(made.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def runtime_dir(monkeypatch):
    """A runtime directory of the test's own, for this process and those that it starts."""
    with tempfile.TemporaryDirectory(prefix="run-") as path:  # short: sockets will be in it
        monkeypatch.setenv("XDG_RUNTIME_DIR", path)
        yield Path(path)


@pytest.fixture
def owner(runtime_dir):
    """Start processes that own a directory each, with the door open or shut."""
    owners = []

    def begin(locks):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment["CONGRESS_DSE_PORTABLE"] = "" if locks else "1"
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        owners.append(process)
        process.path = process.stdout.readline().strip()
        return process

    yield begin
    for process in owners:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("mine", [True, False], ids=["with-locks", "without"])
@pytest.mark.parametrize("its", [True, False], ids=["owner-with-locks", "owner-without"])
def test_only_the_directory_of_a_dead_owner_is_swept(owner, monkeypatch, mine, its):
    monkeypatch.setattr(posix, "OPEN", mine)
    dead, living = owner(its), owner(its)
    dead.kill()
    wait_for(lambda: not alive(dead.pid))  # nobody has waited for it: it may still be a zombie
    scratch.sweep()
    # Who has no locks cannot tell about those who have.
    assert os.path.exists(dead.path) == (its and not mine)
    assert os.path.exists(living.path + "/box")


def test_what_is_no_owner_s_or_has_no_owner_is_let_be(runtime_dir, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / scratch.OWNER).write_text("")
    (runtime_dir / f"{scratch.PREFIX}link").symlink_to(other)
    for name, text in {"empty": None, "broken": "{", "odd": "7"}.items():
        (runtime_dir / f"{scratch.PREFIX}{name}").mkdir()
        if text is not None:
            (runtime_dir / f"{scratch.PREFIX}{name}" / scratch.OWNER).write_text(text)
    before = sorted(runtime_dir.iterdir())
    scratch.sweep()
    assert sorted(runtime_dir.iterdir()) == before
    assert (other / scratch.OWNER).exists()


@both_doors
@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_nothing_of_an_engine_is_left_in_the_runtime_directory(start, runtime_dir, tmp_path, end):
    conf = tmp_path / "engine.conf"
    conf.write_text(
        f"[processes]\ncontrol_socket = {tmp_path / 'control'}\n[api]\nenabled = false\n"
        f"[datasource:alpha]\ndriver = file\npath = {tmp_path}\n"
    )
    app = start(ROOT / "congress_dse" / "__main__.py", "serve", "--config-file", conf)
    app.ready(2, "engine")
    # One for the black boxes, one for the links.
    assert len(list(runtime_dir.glob(f"{scratch.PREFIX}*/{scratch.OWNER}"))) == 2
    app.children()
    if end == "killed":
        app.process.kill()
        app.process.wait()
    else:
        app.stop()
    wait_for(lambda: not list(runtime_dir.iterdir()), what=lambda: list(runtime_dir.rglob("*")))
