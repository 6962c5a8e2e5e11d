"""Inspect this installation, and say what stands between it and a process without eventlet.

The drivers are those of the configuration, or all that are installed without one; they are loaded
in a process without eventlet, too. The exit code is 1 where something stands between.
"""

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from congress_dse import config, diagnosis, exceptions, sources
from congress_dse.commands import common
from congress_dse.diagnosis import Finding
from congress_dse.runtime import choice, chosen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_config_file(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 1 where one blocks."""
    found = {
        "runtime": [
            Finding("configured", choice.configured(_configured(args.config_file))),
            Finding("of this process", f"{chosen.NAME}, by {choice.why()}"),
        ],
        "libraries": [*diagnosis.versions(), *diagnosis.requirers()],
        "patches": [*diagnosis.patched(), *_unpatched()],
        "drivers": _drivers(args.config_file),
    }
    every = [finding for group in found.values() for finding in group]
    if args.json:
        told = {name: [f._asdict() for f in group] for name, group in found.items()}
        told["verdict"] = [{"text": diagnosis.verdict(every)}]
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        for name, group in found.items():
            sys.stdout.write(f"{name}\n")
            for one in group:
                mark = "!" if one.blocks else " "
                sys.stdout.write(f"  {mark} {one.subject:<16} {one.text}\n")
        sys.stdout.write(f"\n{diagnosis.verdict(every)}\n")
    return int(any(finding.blocks for finding in every))


def _configured(files: list[str]) -> str:
    try:
        return str(config.read(files).runtime or "")
    except ValueError as error:
        raise exceptions.ConfigError(f"[DEFAULT] runtime: {config.one_line(error)}") from error


def _unpatched() -> list[Finding]:
    """Locks and sockets from before the patch, in green."""
    if not chosen.PATCHED:
        return []
    native = chosen.unpatched("threading"), chosen.unpatched("socket")
    originals = {"Lock": native[0].Lock, "RLock": native[0].RLock, "socket": native[1].socket}
    return list(diagnosis.unpatched(originals))


def _drivers(files: list[str]) -> list[Finding]:
    made, causes = _known(files)
    here = choice.NEEDS.get(chosen.NAME) != "eventlet"
    there = {} if here else _not_loaded_without_eventlet(files)
    found = []
    for name, cls in made.items() if files else sorted(made.items()):
        own = list(diagnosis.driver(name, cls))
        if name in there and not any(finding.blocks for finding in own):
            own.insert(0, Finding(name, f"cannot be loaded in asyncio: {there[name]}", blocks=True))
        found += own
    return [*found, *(diagnosis.unusable(name, why) for name, why in causes.items())]


def _known(files: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    return sources.drivers_of(config.read(files)) if files else sources.installed()


def _not_loaded_without_eventlet(files: list[str]) -> dict[str, str]:
    """The drivers that an asyncio process cannot load, each with the cause."""
    code = "from congress_dse.commands import doctor; doctor.try_to_load()"
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-W", "ignore", "-c", code, *files],
        env={**os.environ, choice.VARIABLE: choice.ASYNCIO},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    return found


def try_to_load() -> None:
    """Print, as JSON, which drivers of the files that are given cannot be loaded here."""
    sys.stdout.write(json.dumps(_known(sys.argv[1:])[1]) + "\n")
