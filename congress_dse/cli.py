"""The command congress-dse: ``serve`` runs an engine in this process."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from congress_dse import config, drivers_cli, exceptions, runtime
from congress_dse.d6cage import d6Cage
from congress_dse.watch import Printer, Watch

LOG = logging.getLogger("congress_dse")
WRONG_INPUT = 2
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 failed, 2 wrong input."""
    args = _parser().parse_args(argv)
    try:
        return int(args.command(args))
    except exceptions.ConfigError as error:
        sys.stderr.writelines(f"congress-dse: {line}\n" for line in str(error).splitlines())
        return WRONG_INPUT


def serve(args: argparse.Namespace) -> int:
    """Run an engine with the datasources of its configuration until it is told to stop."""
    conf = config.read(args.config_file)
    _set_up_log(conf)
    sources = config.sources(conf)
    wanted = [_table(text, [source.name for source in sources]) for text in args.watch]
    if not sources:
        raise exceptions.ConfigError(
            f"{', '.join(args.config_file) or 'no configuration'}: no datasource to serve; "
            f"a section [{config.PREFIX}NAME] makes one"
        )
    with runtime.Signals() as signals:
        cage = d6Cage()
        for source in sources:
            cage.createservice(source.name, factory=source.driver, args=source.args)
        if wanted:
            _watch(cage, wanted, args, lambda: signals.put("nobody reads the output"))
        LOG.info("serving %s; pid %d", ", ".join(s.name for s in sources), os.getpid())
        why = signals.wait()
        LOG.info("stopping: %s", why)
        signals.exit_at_once()
        killed = cage.d6stop(conf.graceful_shutdown_timeout)
    if killed:
        LOG.warning("killed, being late: %s", ", ".join(killed))
    LOG.info("stopped")
    return 0


def _watch(cage: Any, wanted: list[tuple[str, str]], args: argparse.Namespace, lost: Any) -> None:
    printer = Printer(sys.stdout, _colour(args.colour, sys.stdout), args.json)
    watch = cage.createservice("watch", factory=Watch)
    watch.follow(wanted, printer, lost)


def _table(text: str, sources: list[str]) -> tuple[str, str]:
    source, colon, table = text.partition(":")
    if not colon or not source or not table:
        raise exceptions.ConfigError(f"--watch {text}: not of the form SOURCE:TABLE")
    if source not in sources:
        raise exceptions.ConfigError(
            f"--watch {text}: no source {source!r}; there are {', '.join(sources) or 'none'}"
        )
    return source, table


def _colour(wanted: str, stream: TextIO) -> bool:
    if wanted == "auto":
        return stream.isatty() and "NO_COLOR" not in os.environ
    return wanted == "always"


def _set_up_log(conf: Any) -> None:
    level = logging.DEBUG if conf.debug else logging.INFO
    try:
        logging.basicConfig(level=level, filename=conf.log_file, format=LOG_FORMAT)
    except OSError as error:
        raise exceptions.ConfigError(f"[DEFAULT] log_file: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="congress-dse", description="A data services engine: outside systems as live tables."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    run = commands.add_parser("serve", help="run an engine", description=serve.__doc__)
    run.set_defaults(command=serve)
    run.add_argument(
        "--config-file",
        action="append",
        default=[],
        metavar="PATH",
        help="configuration file; may be given several times, the later wins",
    )
    run.add_argument(
        "--watch",
        action="append",
        default=[],
        metavar="SOURCE:TABLE",
        help="print this table's snapshot and then every change; may be given several times",
    )
    run.add_argument("--json", action="store_true", help="print a JSON object a line")
    run.add_argument(
        "--colour", choices=["auto", "always", "never"], default="auto", help="default: auto"
    )
    drivers_cli.add_to(commands)
    return parser
