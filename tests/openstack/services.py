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
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.openstack import catalog
from tests.openstack.kinds import KINDS, NOWHERE, PASSWORD
from tests.support.ports import free_ports

HERE = Path(__file__).parent
CONSTRAINTS = HERE / "constraints.txt"
ANSWERS_S = 180.0
# What a service needs to ask Keystone about those who ask it.
AUTH = """
auth_type = password
auth_url = {url}
username = {name}
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
region_name = RegionOne
"""


class Unavailable(Exception):
    """The services cannot be installed or started here."""


class Services:
    """Some services, started in `folder`; the first is Keystone."""

    def __init__(self, folder, names=("keystone",)):
        self.folder = Path(folder)
        self.names = list(names)
        self.ports = dict(zip(self.names, free_ports(len(self.names)), strict=True))
        self.processes = {}
        self.cache = cache_folder()

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}{KINDS[name].path}"

    def admin(self, **scope):
        """The options of a driver, or of an access of its kind, that reads as the admin."""
        user = {"auth_url": self.url("keystone"), "username": "admin", "password": PASSWORD}
        return {**user, **(scope or {"project_name": "admin"})}

    def up(self):
        """Install, make the databases and start, as far as that is not done yet."""
        with locked(self.cache):
            self.bin = installed(self.cache, self.names)
            for name in self.names:
                self._prepare(name)
        waiting = [name for name in self.names if name not in self.processes]
        while waiting:
            ready = [n for n in waiting if not set(KINDS[n].after) & set(waiting)]
            self.start(*ready)
            waiting = [name for name in waiting if name not in ready]
            if ready == ["keystone"] and waiting:
                catalog.register(self.admin(), {name: self.url(name) for name in waiting})

    def start(self, *names):
        """Start services at their places and wait until they answer."""
        for name in names:
            self._launch(name)
        for name in names:
            self._await(name)

    def kill(self, name):
        """End a service at once, as a crash does."""
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()

    def stop(self):
        for name in list(self.processes):
            self.kill(name)

    def asked(self, name, path=""):
        """How often a service was asked for paths that hold `path`."""
        lines = (self.folder / name / "access").read_text().splitlines()
        return sum(path in line for line in lines)

    def _launch(self, name):
        folder = self.folder / name
        script = [HERE / "serve.py", name, KINDS[name].application, str(self.ports[name])]
        with (folder / "output").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [self.bin / "python", *script],
                env=self._environment(folder, name),
                cwd=folder,
                stdin=subprocess.PIPE,  # its end tells the service of ours
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _await(self, name):
        end = time.monotonic() + ANSWERS_S
        while not answers(self.url(name)):
            if self.processes[name].poll() is not None or time.monotonic() > end:
                said = (self.folder / name / "output").read_text()[-2000:]
                raise Unavailable(f"{name} does not answer: {said}")
            time.sleep(0.1)

    def _prepare(self, name):
        """Copy the made databases of a service; the first time, make them."""
        recipe = f"{KINDS[name]}{(HERE / 'etc' / f'{name}.conf').read_text()}"
        made = self.bin.parent / f"made-{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
        folder = self.folder / name
        making = self.bin.parent / f"making-{name}"
        if not made.exists():
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            conf = self._configure(making, name)
            for command in KINDS[name].prepare:
                words = command.format(conf=conf, folder=making, here=HERE).split()
                run([self.bin / words[0], *words[1:]], self._environment(making, name))
            making.rename(made)
        shutil.copytree(made, folder)
        self._configure(folder, name)
        places = {str(making): str(folder), NOWHERE + KINDS[name].path: self.url(name)}
        for database, table, column in KINDS[name].moved:
            replace(folder / database, table, column, places)

    def _configure(self, folder, name):
        """Write the configuration of a service whose files are in `folder`; return its path."""
        text = (HERE / "etc" / f"{name}.conf").read_text()
        conf = folder / (KINDS[name].conf or f"{name}.conf")
        auth = AUTH.format(url=self.url("keystone"), name=name, password=PASSWORD)
        places = {"folder": folder, "url": self.url(name), "port": self.ports[name], "auth": auth}
        places |= {"etc": self.bin.parent / "etc", "urls": {n: self.url(n) for n in self.names}}
        conf.write_text(text.format(**places))
        for each in KINDS[name].folders:
            (folder / each).mkdir(exist_ok=True)
        paste = self.bin.parent / "etc" / name / "api-paste.ini"
        if paste.exists():
            shutil.copy(paste, folder)
        if name == "keystone" and not (folder / "keys").exists():
            (folder / "keys").mkdir(mode=0o700)
            for number in "01":  # the staged key and the primary one
                (folder / "keys" / number).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
        return conf

    def _environment(self, folder, name):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        kept = {k: v for k, v in kept.items() if not k.lower().endswith("_proxy")}
        more = {f"OS_{name.upper()}_CONFIG_DIR": str(folder), "PYTHONWARNINGS": "ignore"}
        path = f"{self.bin}{os.pathsep}{kept.get('PATH', '')}"
        return {**kept, **more, **KINDS[name].environment, "PATH": path}


def replace(database, table, column, places):
    """Change places in the texts of a column."""
    with sqlite3.connect(database) as connection:
        for old, new in places.items():
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))
    connection.close()


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
