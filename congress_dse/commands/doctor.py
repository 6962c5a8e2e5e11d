"""Inspect this installation, and say what stands between it and a process without eventlet.

The drivers are those of the configuration, or all that are installed without one. The exit code is
1 where something does.
"""

import argparse
import json
import sys

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
    if files:
        made = {s.name: s.driver for s in sources.sources(config.read(files))}
    else:
        made, causes = sources.installed()
        unusable = [Finding(name, f"cannot be used: {why}") for name, why in causes.items()]
        return [f for n, c in sorted(made.items()) for f in diagnosis.driver(n, c)] + unusable
    return [finding for name, cls in made.items() for finding in diagnosis.driver(name, cls)]
