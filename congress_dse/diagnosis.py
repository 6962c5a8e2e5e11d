"""Diagnosis: what stands between an installation and a process without eventlet.

Drivers are read, not run: an import of eventlet shows in the text of a module, and whether a poll
is a coroutine function shows in its class.
"""

import ast
import importlib.metadata
import inspect
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

LIBRARIES = (
    "eventlet",
    "greenlet",
    "oslo.config",
    "oslo.messaging",
    "oslo.service",
    "SQLAlchemy",
    "httpx",
    "uvloop",
)
GREEN = frozenset({"eventlet", "greenlet", "gevent"})
BLOCKING = "its poll is a plain function: in mixed and asyncio it runs in a native thread"
COROUTINE = "its poll is a coroutine function: it is awaited in every runtime"


class Finding(NamedTuple):
    """One thing about one subject; a `blocks` one stands between it and asyncio."""

    subject: str
    text: str
    blocks: bool = False


def versions() -> Iterator[Finding]:
    """Python and the libraries that matter, as they are installed."""
    yield Finding("Python", platform.python_version())
    needed = _needed()
    for name in dict.fromkeys((*LIBRARIES, *needed)):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name in LIBRARIES:
                yield Finding(name, "not installed")
            continue
        least = needed.get(name, "")
        if _number(found) < _number(least):
            yield Finding(name, f"{found}, and {least} is needed at least", blocks=True)
        elif name in LIBRARIES:
            yield Finding(name, found)


def requirers(library: str = "eventlet") -> Iterator[Finding]:
    """The installed distributions that want `library` without being asked by an extra."""
    for dist in importlib.metadata.distributions():
        for wanted in dist.requires or ():
            name = re.split(r"[^A-Za-z0-9._-]", wanted, maxsplit=1)[0]
            if name.lower() == library and "extra ==" not in wanted:
                yield Finding(str(dist.metadata["Name"]), f"requires {wanted}")


def patched() -> Iterator[Finding]:
    """What eventlet has patched in this process, if it is there at all."""
    patcher = sys.modules.get("eventlet.patcher")
    already = sorted(getattr(patcher, "already_patched", ()))
    yield Finding("standard library", f"patched: {', '.join(already)}" if already else "unpatched")


def unpatched(originals: dict[str, Any]) -> Iterator[Finding]:
    """The modules that keep a lock or a socket from before the patch, by the names they have it."""
    library = str(Path(inspect.__file__).parent)
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        own = not file.startswith(library) or "site-packages" in file
        if not file or not own or name.startswith(("eventlet", "congress_dse.runtime")):
            continue
        kept = [key for key, value in list(vars(module).items()) if _among(value, originals)]
        if kept:
            text = f"has {', '.join(kept)} from before the patch: import the engine before it"
            yield Finding(name, text)


def unusable(name: str, cause: str) -> Finding:
    """A driver that cannot be loaded in this process."""
    return Finding(name, f"cannot be used: {cause}", blocks="eventlet" in cause)


def driver(name: str, cls: type) -> Iterator[Finding]:
    """What one driver is ready for."""
    for owner in dict.fromkeys(base.__module__ for base in cls.__mro__):
        if owner.partition(".")[0] not in {__name__.partition(".")[0], *GREEN}:
            for line, imported in imports(sys.modules.get(owner)):
                yield Finding(name, f"imports {imported} at line {line} of {owner}", blocks=True)
    poll = getattr(cls, "update_from_datasource", None)
    if poll is not None:
        yield Finding(name, COROUTINE if inspect.iscoroutinefunction(poll) else BLOCKING)


def imports(module: ModuleType | None) -> Iterator[tuple[int, str]]:
    """(line, name) of each import of a library of greenlets in the text of a module."""
    file = getattr(module, "__file__", None)
    if not file:
        return
    for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
        for found in _imported(node):
            if found.partition(".")[0] in GREEN:
                yield getattr(node, "lineno", 0), found


def verdict(findings: Iterable[Finding]) -> str:
    """What is to be done, in one line."""
    subjects = sorted({finding.subject for finding in findings if finding.blocks})
    if not subjects:
        return "nothing stands between this installation and runtime = asyncio"
    return f"before runtime = asyncio: {', '.join(subjects)}"


def _needed() -> dict[str, str]:
    """The version that each library has to have at least, as this package's metadata say it."""
    found = {}
    for wanted in importlib.metadata.requires("congress-dse") or ():
        named = re.match(r"([\w.-]+)(?:\[[^]]*\])? *>= *([\d.]+)", wanted)
        if named and not re.search(r"extra == .(test|check|bench)\b", wanted):
            found[named[1]] = named[2]
    return found


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("rc")[0]))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return []


def _among(value: Any, originals: dict[str, Any]) -> bool:
    return any(value is original for original in originals.values())
