"""Scratch: directories of one process's life, and the end of those whose owner died without a word.

An owner holds the lock of a file in its directory for as long as it lives. Whose lock is free is
dead, however it died, and whoever comes by may take the directory away. Where there are no such
locks the file names the owner's process, and when that began.
"""

import json
import os
import shutil
import tempfile
from _thread import allocate_lock
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from congress_dse.manager import posix

PREFIX = "congress-dse-"
OWNER = "owner"  # the file's name
# A process's end waits for a sweep in another of its threads; never a lock of greenthreads.
_SWEEPING = allocate_lock()
SAME_MOMENT_S = 2.0  # two readings of when a process began may differ by this much


class Scratch:
    """A directory of this process's own, entered by its user alone; `path` is where it is.

    Made in the user's runtime directory, or where temporary files go. Raises OSError.
    """

    def __init__(self) -> None:
        sweep()
        self.path = tempfile.mkdtemp(prefix=PREFIX, dir=home())
        # Under another name first: a directory with an owner has a living one.
        new = os.path.join(self.path, f"{OWNER}.new")
        self._owner = open(new, "w", encoding="utf-8")  # noqa: SIM115
        if not posix.lock(self._owner.fileno()):
            with self._owner:
                json.dump([os.getpid(), _processes().Process().create_time()], self._owner)
        os.replace(new, os.path.join(self.path, OWNER))

    def close(self) -> None:
        """Remove it with all that is in it."""
        self._owner.close()
        shutil.rmtree(self.path, ignore_errors=True)


def home() -> str:
    """Where what lives as long as a process belongs."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    return given if os.path.isdir(given) else tempfile.gettempdir()


def sweep() -> None:
    """Remove the directories of this user whose owners are dead."""
    with _SWEEPING, suppress(OSError):
        for path in _left():
            with suppress(OSError, ValueError, TypeError):
                if not _lives(path / OWNER):
                    _remove(path)


def _remove(path: Path) -> None:
    """Remove a directory, the owner's file last: what others still put in is left to the next."""
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != OWNER:
            entry.unlink(missing_ok=True)
    if [entry.name for entry in path.iterdir()] == [OWNER]:
        (path / OWNER).unlink(missing_ok=True)
        path.rmdir()


def _left() -> Iterator[Path]:
    mine = os.getuid() if hasattr(os, "getuid") else None
    for path in Path(home()).glob(f"{PREFIX}*/"):
        with suppress(OSError):
            if mine in {None, path.lstat().st_uid} and not path.is_symlink():
                yield path


def _lives(owner: Path) -> bool:
    with owner.open("r+", encoding="utf-8") as file:
        text = file.read()
        if not text:
            return not posix.lock(file.fileno())
    pid, began_s = json.loads(text)
    processes = _processes()
    try:
        process = processes.Process(pid)
        same = abs(process.create_time() - float(began_s)) < SAME_MOMENT_S
        return bool(same and process.status() != processes.STATUS_ZOMBIE)
    except processes.NoSuchProcess:
        return False


def _processes() -> Any:
    return import_module("psutil")  # loaded only where it is wanted
