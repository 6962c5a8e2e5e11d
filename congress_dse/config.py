"""Configuration: every option of the engine by its group, and what a file may not hold.

It is read by a master too, which has no runtime: what a datasource's section may hold is its
driver's to say, in `sources`.
"""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from oslo_config import cfg, types

from congress_dse import exceptions
from congress_dse.manager import options as processes

DATASOURCE = "datasource:"  # opens the name of a section that makes a datasource

DEFAULT_OPTIONS = [
    cfg.BoolOpt("debug", default=False, mutable=True, help="Log at DEBUG instead of INFO."),
    cfg.StrOpt(
        "log_file",
        help="File to log to; without it, the log goes to standard error.",
        metavar="PATH",
    ),
]

_TYPES: dict[type, Any] = {int: types.Integer(), float: types.Float(), str: types.String()}

GROUPS = {
    "DEFAULT": DEFAULT_OPTIONS,
    processes.GROUP: [
        cfg.Opt(o.name, type=_TYPES[o.kind], default=o.default, mutable=o.mutable, help=o.help)
        for o in processes.OPTIONS
    ],
}


def read(files: Iterable[str]) -> cfg.ConfigOpts:
    """Read configuration files; raises ConfigError where one cannot be read or parsed.

    What else may be wrong with them is told by `faults`.
    """
    names = list(files)
    for name in names:
        if not Path(name).is_file():
            raise exceptions.ConfigError(f"{name}: no such file")
        try:
            Path(name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise exceptions.ConfigError(f"{name}: cannot be read: {one_line(error)}") from error
    conf = cfg.ConfigOpts()
    for group, opts in GROUPS.items():
        conf.register_opts(opts, group=None if group == "DEFAULT" else group)
    try:
        conf([], project="congress-dse", default_config_files=names, default_config_dirs=[])
    except (cfg.Error, OSError) as error:
        raise exceptions.ConfigError(one_line(error)) from error
    return conf


def faults(conf: cfg.ConfigOpts) -> list[str]:
    """A line for each section and option at fault, outside the datasources' sections."""
    return [*_unknown(conf), *_wrong(conf)]


def parsed(conf: cfg.ConfigOpts) -> list[dict[str, dict[str, list[str]]]]:
    """The sections of each file, as text: for those whose options nobody registers."""
    every = []
    for name in conf.default_config_files:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(name, sections).parse()
        every.append(sections)
    return every


def control_path(conf: cfg.ConfigOpts) -> str:
    """Where the master of this configuration listens for orders."""
    given: str = conf[processes.GROUP].control_socket
    if given:
        return given
    home = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    owner = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return str(Path(home) / f"congress-dse-{owner}.control")


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())


def _unknown(conf: cfg.ConfigOpts) -> list[str]:
    """A line for each section and option that nobody reads: most often it is misspelt."""
    known = {group: {option.dest for option in opts} for group, opts in GROUPS.items()}
    wrong = []
    for file in parsed(conf):
        for section, values in file.items():
            if section.startswith(DATASOURCE):
                continue
            if section not in known:
                wrong.append(f"[{section}]: no such section; a datasource is [{DATASOURCE}NAME]")
                continue
            wrong += [f"[{section}] {k}: no such option" for k in values if k not in known[section]]
    return wrong


def _wrong(conf: cfg.ConfigOpts) -> list[str]:
    """A line for each option whose value is not of its type."""
    wrong = []
    for group, opts in GROUPS.items():
        for option in opts:
            try:
                (conf if group == "DEFAULT" else conf[group])[option.dest]
            except (cfg.Error, ValueError) as error:
                wrong.append(f"[{group}] {option.dest}: {one_line(error)}")
    return wrong
