"""Check a configuration without serving it: say what it serves, or everything that is wrong."""

import argparse
import sys
from importlib import import_module
from typing import Any

from congress_dse import catalogue, config, exceptions, sources, telemetry
from congress_dse.api import access
from congress_dse.commands import common
from congress_dse.leases import Leases, times
from congress_dse.manager import options as processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_config_file(parser)
    common.add_watch(parser, "check as well that the source of this table is served")
    parser.add_argument(
        "--start",
        action="store_true",
        help="as serve does at its start: a source that cannot be made is told of and left out",
    )


def run(args: argparse.Namespace) -> int:
    """Raise ConfigError with a line for each fault, or print the sources and return 0."""
    conf = config.read(args.config_file)
    found, left_out = sources.usable(conf) if args.start else (sources.sources(conf), [])
    names = [source.name for source in found]
    if not names and not conf.api.enabled:
        raise exceptions.ConfigError(
            f"{', '.join(args.config_file) or 'no configuration file'}: no datasource to serve; "
            f"a section [{config.DATASOURCE}NAME] makes one"
        )
    if conf.api.enabled:
        access.authenticate(conf)
        access.tls(conf)
        names += [e.name for e in catalogue.store(conf).entries() if e.name not in names]
    telemetry.check(conf)
    _check_coordination(conf)
    for source, table in common.watched(args.watch):
        # On a bus of several hosts a source may be on another one, or come later.
        if source not in names and not conf[config.LINKS].transport_url:
            told = f"--watch {source}:{table}: no source {source!r}; there are {', '.join(names)}"
            raise exceptions.ConfigError("\n".join([told, *left_out]))
    for faults in left_out:
        sys.stderr.write(f"congress-dse: {'; '.join(faults.splitlines())}\n")
    sys.stdout.write(f"{', '.join(names)}\n")
    return 0


def _check_coordination(conf: Any) -> None:
    """See that the coordination service that is wanted can be spoken with, as far as it goes."""
    url, name = conf.links.coordination, "[links] coordination"
    if not url:
        return
    if not conf[processes.GROUP].workers:
        raise exceptions.ConfigError(f"{name}: not in debug mode, with [processes] workers = 0")
    try:
        locks = import_module("congress_dse.locks")
    except ImportError as error:
        raise exceptions.ConfigError(
            f"{name}: {error}; pip install congress-dse[coordination]"
        ) from error
    locks.coordinator(url, Leases(conf.links.node, times(conf.links.coordination_lease)))
