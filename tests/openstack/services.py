"""Real OpenStack services for tests: from their packages, on loopback and SQLite, without root.

They live in a virtual environment of their own, made once in a cache folder, which the environment
variable CONGRESS_DSE_OPENSTACK may name. Their databases are made once, too; each start has copies.
"""

import base64
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CONSTRAINTS = HERE / "constraints.txt"
PASSWORD = "secret"
NOWHERE = "http://127.0.0.1:1"  # stands in the made databases for where the service will be
ANSWERS_S = 120.0


@dataclass(frozen=True)
class Kind:
    """How one service is installed and started; commands are of its environment's bin folder."""

    package: str
    application: str
    prepare: tuple[str, ...] = ()
    path: str = ""


KINDS = {
    "keystone": Kind(
        "keystone",
        "keystone.wsgi.api",
        (
            "keystone-manage --config-file {conf} db_sync",
            "keystone-manage --config-file {conf} bootstrap --bootstrap-password " + PASSWORD + " "
            "--bootstrap-region-id RegionOne --bootstrap-public-url " + NOWHERE + "/v3",
        ),
        "/v3",
    ),
}


class Unavailable(Exception):
    """The services cannot be installed or started here."""


class Services:
    """Some services, started in `folder`; the first is Keystone."""

    def __init__(self, folder, names=("keystone",)):
        self.folder = Path(folder)
        self.names = list(names)
        self.ports = {name: free_port() for name in self.names}
        self.processes = {}
        self.cache = cache_folder()

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}{KINDS[name].path}"

    def up(self):
        """Install, make the databases and start, as far as that is not done yet."""
        with locked(self.cache):
            self.bin = installed(self.cache, self.names)
            for name in self.names:
                self._prepare(name)
        for name in self.names:
            self.start(name)

    def start(self, name):
        """Start a service at its place and wait until it answers."""
        folder = self.folder / name
        with (folder / "output").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [
                    self.bin / "python",
                    HERE / "serve.py",
                    KINDS[name].application,
                    str(self.ports[name]),
                ],
                env=self._environment(folder, name),
                cwd=folder,
                stdin=subprocess.PIPE,  # its end tells the service of ours
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        end = time.monotonic() + ANSWERS_S
        while not answers(self.url(name)):
            if self.processes[name].poll() is not None or time.monotonic() > end:
                raise Unavailable(f"{name}: {(folder / 'output').read_text()[-2000:]}")
            time.sleep(0.1)

    def kill(self, name):
        """End a service at once, as a crash does."""
        process = self.processes.pop(name)
        process.stdin.close()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self):
        for name in list(self.processes):
            self.kill(name)

    def _prepare(self, name):
        """Copy the made database of a service; the first time, make it."""
        made, folder = self.bin.parent / f"made-{name}", self.folder / name
        if not made.exists():
            making = self.bin.parent / f"making-{name}"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            self._configure(making, name)
            for command in KINDS[name].prepare:
                program, *args = command.format(conf=making / f"{name}.conf").split()
                run([self.bin / program, *args], self._environment(making, name))
            making.rename(made)
        shutil.copytree(made, folder)
        self._configure(folder, name)
        if name == "keystone":
            with sqlite3.connect(folder / "keystone.db") as database:
                database.execute(
                    "UPDATE endpoint SET url = replace(url, ?, ?)",
                    (f"{NOWHERE}/v3", self.url(name)),
                )
            database.close()

    def _configure(self, folder, name):
        text = (HERE / "etc" / f"{name}.conf").read_text()
        (folder / f"{name}.conf").write_text(text.format(folder=folder, url=self.url(name)))
        if name == "keystone" and not (folder / "keys").exists():
            (folder / "keys").mkdir(mode=0o700)
            for number in "01":  # the staged key and the primary one
                (folder / "keys" / number).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))

    def _environment(self, folder, name):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        more = {f"OS_{name.upper()}_CONFIG_DIR": str(folder), "PYTHONWARNINGS": "ignore"}
        return {**kept, **more, "PATH": f"{self.bin}{os.pathsep}{kept.get('PATH', '')}"}


def installed(cache, names):
    """The bin folder of an environment that has these services, pinned by the constraints."""
    digest = hashlib.sha256(CONSTRAINTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache / f"services-{digest}"
    has = folder / "has"
    known = set(has.read_text().split()) if has.exists() else set()
    missing = [name for name in names if name not in known]
    if missing:
        if not known:
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
        packages = [KINDS[name].package for name in missing]
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--prefer-binary"]
        pip += ["--disable-pip-version-check", "--constraint", CONSTRAINTS, "waitress"]
        run([*pip, *packages], dict(os.environ))
        has.write_text(" ".join(sorted(known | set(missing))))
    return folder / "bin"


def run(command, environment):
    """Run a command to its end; raises Unavailable with what it said."""
    done = subprocess.run(
        [str(each) for each in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"{Path(command[0]).name}: {done.stdout[-2000:]}")


def cache_folder():
    """Where the services are kept between runs."""
    named = os.environ.get("CONGRESS_DSE_OPENSTACK")
    users = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(named) if named else Path(users) / "congress-dse" / "openstack"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@contextmanager
def locked(folder):
    """One process at a time installs."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def answers(url):
    """Whether a service answers with anything but a failure of its own."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500
    except OSError:
        return False


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
