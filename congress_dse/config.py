"""Configuration: every option of the engine by its group, and the datasources of a file, checked.

A datasource is a section ``[datasource:NAME]`` with a ``driver`` and that driver's own options.
All that is wrong in a file is found before anything starts, and told with section and option.
"""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oslo_config import cfg
from stevedore import extension

from congress_dse import exceptions, modules
from congress_dse.datasources.datasource_driver import DataSourceDriver

NAMESPACE = "congress_dse.datasources"
PREFIX = "datasource:"

DEFAULT_OPTIONS = [
    cfg.BoolOpt("debug", default=False, mutable=True, help="Log at DEBUG instead of INFO."),
    cfg.StrOpt(
        "log_file",
        help="File to log to; without it, the log goes to standard error.",
        metavar="PATH",
    ),
    cfg.FloatOpt(
        "graceful_shutdown_timeout",
        default=10.0,
        min=0.1,
        mutable=True,
        help="Seconds in which a stop lets services handle what is queued and clean up.",
    ),
]
DRIVER_OPTION = cfg.StrOpt(
    "driver",
    required=True,
    help="Name of an installed driver, or path of a module file that has one.",
)


@dataclass(frozen=True)
class Source:
    """One datasource of a configuration, ready to be created."""

    name: str
    driver: type[DataSourceDriver]
    args: dict[str, Any]


def read(files: Iterable[str]) -> cfg.ConfigOpts:
    """Read configuration files; raises ConfigError where one cannot be read or parsed."""
    conf = cfg.ConfigOpts()
    conf.register_opts(DEFAULT_OPTIONS)
    names = list(files)
    for name in names:
        if not Path(name).is_file():
            raise exceptions.ConfigError(f"{name}: no such file")
        try:
            Path(name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise exceptions.ConfigError(f"{name}: cannot be read: {_one_line(error)}") from error
    try:
        conf([], project="congress-dse", default_config_files=names, default_config_dirs=[])
        for option in DEFAULT_OPTIONS:
            _ = conf[option.dest]  # oslo.config looks at a value when it is first asked for it
    except (cfg.Error, OSError) as error:
        raise exceptions.ConfigError(_one_line(error)) from error
    return conf


def sources(conf: cfg.ConfigOpts) -> list[Source]:
    """The datasources of `conf`, in the order of its files.

    Raises ConfigError with a line for each section and option at fault.
    """
    wrong = [*_unknown(conf)]
    found = []
    for section in _sections(conf):
        if section.startswith(PREFIX):
            try:
                found.append(_source(conf, section))
            except exceptions.ConfigError as error:
                wrong.append(str(error))
    if wrong:
        raise exceptions.ConfigError("\n".join(wrong))
    return found


def drivers() -> dict[str, type[DataSourceDriver]]:
    """Every installed driver by its name; one that cannot be imported is left out."""
    manager = extension.ExtensionManager(NAMESPACE, on_load_failure_callback=_not_loaded)
    return {e.name: _driver_class(e.plugin, e.name) for e in manager}


def driver(name: str) -> type[DataSourceDriver]:
    """The driver called `name`, or that of the module file `name`; raises ConfigError for none."""
    if name.endswith(".py"):
        module = f"congress_dse_driver_{Path(name).stem}"
        try:
            modules.load(module, name)
        except exceptions.DataServiceError as error:
            raise exceptions.ConfigError(_one_line(error)) from error
        return _driver_class(modules.find(module), name)
    known = drivers()
    if name not in known:
        raise exceptions.ConfigError(
            f"no driver {name!r} is installed; installed are {', '.join(sorted(known))}"
        )
    return known[name]


def checked(made_by: type[DataSourceDriver], given: dict[str, Any], where: str) -> dict[str, Any]:
    """The options of a driver from text or values, each of its own type.

    Raises ConfigError with a line for each that is missing, unknown or wrong; `where` opens each
    line.
    """
    options = {option.dest: option for option in made_by.options()}
    wrong = [f"{where} {key}: no such option" for key in given if key not in options]
    args: dict[str, Any] = {}
    for key, option in options.items():
        if given.get(key) in {None, ""} and option.required:
            wrong.append(f"{where} {key}: required, and missing")
        elif given.get(key) is not None:
            try:
                args[key] = option.type(given[key])
            except (ValueError, TypeError) as error:
                shown = "the value" if option.secret else f"{given[key]!r}"
                wrong.append(f"{where} {key}: {shown} is wrong: {_one_line(error)}")
    if not wrong:
        values = {o.dest: args.get(o.dest, o.default) for o in options.values()}
        wrong = [f"{where} {key}: {what}" for key, what in made_by.check(values)]
    if wrong:
        raise exceptions.ConfigError("\n".join(wrong))
    return args


def list_opts() -> list[tuple[str, list[Any]]]:
    """Every option, for oslo-config-generator; a datasource of each driver as an example."""
    examples = [
        (f"{PREFIX}{name}", [_example_driver(name), *found.options()])
        for name, found in sorted(drivers().items())
    ]
    return [("DEFAULT", DEFAULT_OPTIONS), *examples]


def _source(conf: cfg.ConfigOpts, section: str) -> Source:
    where = f"[{section}]"
    given = _raw(conf, section)
    name = given.pop("driver", "")
    if not section[len(PREFIX) :]:
        raise exceptions.ConfigError(f"{where}: a datasource needs a name: [{PREFIX}NAME]")
    if not name:
        raise exceptions.ConfigError(f"{where} driver: required, and missing")
    try:
        made_by = driver(name)
    except exceptions.ConfigError as error:
        raise exceptions.ConfigError(f"{where} driver: {error}") from error
    return Source(section[len(PREFIX) :], made_by, checked(made_by, given, where))


def _raw(conf: cfg.ConfigOpts, section: str) -> dict[str, str]:
    """The text of each option of a section; a later file wins, as with every other section."""
    values: dict[str, str] = {}
    for parsed in _parsed(conf):
        values |= {key: texts[-1] for key, texts in parsed.get(section, {}).items()}
    return values


def _unknown(conf: cfg.ConfigOpts) -> list[str]:
    """A line for each section and option that nobody reads: most often it is misspelt."""
    known = {"DEFAULT": {o.dest for o in DEFAULT_OPTIONS}}
    wrong = []
    for parsed in _parsed(conf):
        for section, values in parsed.items():
            if section.startswith(PREFIX):
                continue
            if section not in known:
                wrong.append(f"[{section}]: no such section; a datasource is [{PREFIX}NAME]")
                continue
            wrong += [f"[{section}] {k}: no such option" for k in values if k not in known[section]]
    return wrong


def _sections(conf: cfg.ConfigOpts) -> list[str]:
    return list(dict.fromkeys(section for parsed in _parsed(conf) for section in parsed))


def _parsed(conf: cfg.ConfigOpts) -> list[dict[str, dict[str, list[str]]]]:
    every = []
    for name in conf.default_config_files:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(name, sections).parse()
        every.append(sections)
    return every


def _driver_class(plugin: Any, name: str) -> type[DataSourceDriver]:
    """The driver that an entry point or a module file stands for."""
    if inspect.isclass(plugin) and issubclass(plugin, DataSourceDriver):
        return plugin
    own = [
        value
        for value in vars(plugin).values()
        if inspect.isclass(value)
        and issubclass(value, DataSourceDriver)
        and value.__module__ == plugin.__name__
    ]
    if not own:
        raise exceptions.ConfigError(f"{name}: has no class derived from DataSourceDriver")
    return own[-1]  # the last is the most derived, as modules are written


def _example_driver(name: str) -> Any:
    return cfg.StrOpt("driver", default=name, help=DRIVER_OPTION.help)


def _not_loaded(_manager: Any, _entry_point: Any, _error: BaseException) -> None:
    """A driver whose own libraries are missing is no driver here, and no fault of the others."""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
