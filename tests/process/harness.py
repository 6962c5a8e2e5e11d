"""An application under test: a process, its log line by line, its control socket."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from congress_dse.exceptions import ControlError
from congress_dse.manager import posix
from congress_dse.manager.control import ask

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PATIENCE_S = 45.0  # of what takes a second or two: the machine may be busy with other things
FULL = bool(os.environ.get("CONGRESS_DSE_FULL"))  # the full counts of the acceptance scenarios


PORTABLE = not posix.OPEN  # CONGRESS_DSE_PORTABLE=1: the whole suite with the POSIX door shut
# What stands for a signal to the master where there are none: the same word, by the control socket.
WORDS = {
    signal.SIGTERM: "stop",
    signal.SIGINT: "stop-now",
    signal.SIGHUP: "reload",
    signal.SIGALRM: "late",
}


def within(seconds):
    """A pass line of the acceptance list: `seconds` where the full counts are asked for.

    In the gate the machine may be busy with other things, and what happens matters, not when.
    """
    return seconds if FULL else PATIENCE_S


def posix_only(reason):
    """Skip a test, or one of its cases, where the POSIX door is shut."""
    return pytest.mark.skipif(PORTABLE, reason=f"the POSIX door is shut: {reason}")


both_doors = pytest.mark.parametrize(
    "start", [pytest.param("open", marks=posix_only("this case opens it")), "shut"], indirect=True
)
"""A central scenario, also in the gate once with the POSIX door open and once with it shut."""


def wait_for(condition, timeout_s=PATIENCE_S, what=""):
    """Wait until `condition()` is true, and answer it; fail by name otherwise.

    `what` is a text, or a call that says how things stand when the time is over.
    """
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        threading.Event().wait(0.005)
    text = what() if callable(what) else what or condition
    raise AssertionError(f"not in {timeout_s} s: {text}")


class App:
    """One example application, started as its own process."""

    def __init__(self, script, *args, control, env=None, cwd=None, portable=PORTABLE):
        self.portable = portable
        self.control = str(control)
        path = script if os.path.isabs(str(script)) else HERE / "apps" / script
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment["APP_CONTROL"] = self.control
        if portable:
            environment["CONGRESS_DSE_PORTABLE"] = "1"
            environment["PYTHONPATH"] = os.pathsep.join([str(HERE / "portable"), str(ROOT)])
        environment.pop("PYTHONUNBUFFERED", None)  # a line is one write, whoever prints beside
        environment.update(env or {})
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(path), *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self.lines = []
        self.came = threading.Condition()
        self.seen = set()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _last(self):
        return "\n".join(self.lines[-40:])

    def _read(self):
        for line in self.process.stdout:
            with self.came:
                self.lines.append(line.rstrip("\n"))
                self.came.notify_all()

    def line(self, pattern, timeout_s=PATIENCE_S, after=0, count=1):
        """Wait for the `count`th line that matches; answer its match."""
        regex = re.compile(pattern)
        end = time.monotonic() + timeout_s
        with self.came:
            while True:
                found = [m for text in self.lines[after:] if (m := regex.search(text))]
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                if left <= 0 or not self.came.wait(left):
                    raise AssertionError(
                        f"no {pattern!r} (x{count}) in {timeout_s} s:\n{self._last()}"
                    )

    def send(self, number):
        """Send a signal, or what stands for it."""
        if not self.portable:
            os.kill(self.pid, number)
        elif self.process.poll() is None:
            wait_for(lambda: os.path.exists(self.control), what="the control socket")
            self.ask(WORDS[signal.Signals(number)])

    def ask(self, command, **request):
        return ask(
            self.control, {"command": command, **request}, request.get("timeout_s", PATIENCE_S)
        )

    def workers(self, service=None, state="ready"):
        """The workers in `state`, as the control socket has them; none while it is shut."""
        try:
            found = self.ask("workers")
        except ControlError:
            return []
        self.seen.update(w["pid"] for w in found if w["pid"])
        return [w for w in found if w["state"] == state and service in {None, w["service"]}]

    def ready(self, count, service=None, timeout_s=PATIENCE_S):
        """Wait until exactly `count` workers are ready; answer them."""

        def enough():
            found = self.workers(service)
            assert self.process.poll() is None, f"has ended: {self._last()}"
            return found if len(found) == count else None

        return wait_for(enough, timeout_s, lambda: f"{count} ready of {service}: {self._last()}")

    def replaced(self, pid, service=None, timeout_s=PATIENCE_S, count=None):
        """Wait until the worker `pid` has gone and its service is whole again; the seconds."""
        begin = time.monotonic()

        def whole():
            pids = [w["pid"] for w in self.workers(service)]
            return pid not in pids and len(pids) == count

        wait_for(whole, timeout_s, lambda: f"{pid} replaced: {self._last()}")
        return time.monotonic() - begin

    def children(self):
        """The pids of all descendants."""
        try:
            found = [p.pid for p in psutil.Process(self.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            found = []
        self.seen.update(found)
        return found

    def wait(self, timeout_s=PATIENCE_S):
        """Wait for the end; the exit code. All output has been read afterwards."""
        code = self.process.wait(timeout_s)
        self.reader.join(timeout_s)
        return code

    def stop(self, number=signal.SIGTERM, timeout_s=PATIENCE_S):
        self.children()
        begin = time.monotonic()
        self.send(number)
        code = self.wait(timeout_s)
        return code, time.monotonic() - begin

    def gone(self, timeout_s=2.0):
        """Wait until nothing of it is left; the seconds."""
        begin = time.monotonic()
        timeout_s = within(timeout_s)
        wait_for(lambda: not any(map(alive, self.seen)), timeout_s, lambda: f"gone: {self.seen}")
        return time.monotonic() - begin

    def close(self):
        self.children()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for pid in self.seen:
            if alive(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.reader.join(5)
        self.process.stdout.close()


def alive(pid):
    """Whether `pid` runs, and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
