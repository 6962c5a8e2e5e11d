"""Arguments that several commands take."""

import argparse
from collections.abc import Callable
from typing import Any

from congress_dse import config, exceptions

Run = Callable[[argparse.Namespace], int]


def add_config_file(parser: argparse.ArgumentParser) -> None:
    """``--config-file``, once or several times."""
    parser.add_argument(
        "--config-file",
        action="append",
        default=[],
        metavar="PATH",
        help="configuration file; may be given several times, the later wins",
    )


def add_watch(parser: argparse.ArgumentParser, what: str) -> None:
    """``--watch``, once or several times."""
    parser.add_argument("--watch", action="append", default=[], metavar="SOURCE:TABLE", help=what)


def add_control(parser: argparse.ArgumentParser) -> None:
    """What finds a running engine: its configuration, or the path of its control socket."""
    add_config_file(parser)
    parser.add_argument("--control", metavar="PATH", help="control socket of the engine")
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_name(
    parser: argparse.ArgumentParser, dest: str, kind: str, text: str, nargs: str | None = None
) -> None:
    """A positional argument that is the name of a `kind`; completion asks the engine for them."""
    action: Any = parser.add_argument(dest, nargs=nargs, help=text)
    action.completes = kind


def control(args: argparse.Namespace) -> str:
    """The control socket of the engine that is meant."""
    return args.control or config.control_path(config.read(args.config_file))


def watched(texts: list[str]) -> list[tuple[str, str]]:
    """(source, table) of each ``--watch``; raises ConfigError for what is of another form."""
    found = []
    for text in texts:
        source, _, table = text.partition(":")
        if not source or not table:
            raise exceptions.ConfigError(f"--watch {text}: not of the form SOURCE:TABLE")
        found.append((source, table))
    return found
