"""Check a configuration without serving it: say what it serves, or everything that is wrong."""

import argparse
import sys

from congress_dse import catalogue, config, exceptions, sources, telemetry
from congress_dse.api import access
from congress_dse.commands import common


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
    for source, table in common.watched(args.watch):
        if source not in names:
            told = f"--watch {source}:{table}: no source {source!r}; there are {', '.join(names)}"
            raise exceptions.ConfigError("\n".join([told, *left_out]))
    for faults in left_out:
        sys.stderr.write(f"congress-dse: {'; '.join(faults.splitlines())}\n")
    sys.stdout.write(f"{', '.join(names)}\n")
    return 0
