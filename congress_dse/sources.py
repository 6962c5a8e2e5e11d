"""Sources: the datasources of a configuration, checked, and the drivers that make them.

A datasource is a section ``[datasource:NAME]`` with a ``driver`` and that driver's own options.
All that is wrong in a file is found before anything starts, and told with section and option. At a
start a datasource that cannot be made is left out, and the others run; a reload is refused.
"""

import inspect
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from oslo_config import cfg
from stevedore import extension, named

from congress_dse import config, exceptions, modules
from congress_dse.datasources.datasource_driver import DataSourceDriver

NAMESPACE = "congress_dse.datasources"
PREFIX = config.DATASOURCE

_OF_AN_EXTRA = re.compile(r"""([\w.-]+).*;.*\bextra *== *["']([\w.-]+)""")

DRIVER_HELP = "Name of an installed driver, or path of a module file that has one."
WORKER_OPTION = cfg.IntOpt(
    "worker",
    min=0,
    help="Number of the engine worker that has this source; by default a hash of its name decides. "
    "While that worker does not serve, another has it.",
)
NODE_OPTION = cfg.StrOpt(
    "node",
    default="",
    help="Name ([links] node) of the engine that has this source, of those that are coordinated; "
    "by default a hash of its name decides. While that engine is not there, another has it.",
)


@dataclass(frozen=True)
class Source:
    """One datasource of a configuration, ready to be created."""

    name: str
    driver: type[DataSourceDriver]
    args: dict[str, Any]
    worker: int | None = None
    driver_name: str = ""
    node: str = ""


def sources(conf: cfg.ConfigOpts) -> list[Source]:
    """The datasources of `conf`, in the order of its files.

    Raises ConfigError with a line for each section and option at fault, in all of the
    configuration.
    """
    found, faults = _read(conf)
    wrong = [*config.faults(conf), *faults]
    if wrong:
        raise exceptions.ConfigError("\n".join(wrong))
    return found


def usable(conf: cfg.ConfigOpts) -> tuple[list[Source], list[str]]:
    """The datasources of `conf` that can be made, and for each other one its lines of faults.

    Raises ConfigError for what is wrong beside the datasources, and where none of them is left.
    """
    wrong = config.faults(conf)
    found, faults = _read(conf)
    if wrong or (faults and not found):
        raise exceptions.ConfigError("\n".join([*wrong, *faults]))
    return found, faults


def _read(conf: cfg.ConfigOpts) -> tuple[list[Source], list[str]]:
    found, faults = [], []
    for section in _sections(conf):
        if section.startswith(PREFIX):
            try:
                found.append(_source(conf, section))
            except exceptions.ConfigError as error:
                faults.append(str(error))
    return found, faults


def drivers() -> dict[str, type[DataSourceDriver]]:
    """Every installed driver by its name; one that cannot be imported is left out."""
    return installed()[0]


def installed(*names: str) -> tuple[dict[str, type[DataSourceDriver]], dict[str, str]]:
    """Every installed driver by its name, and of those that cannot be imported the cause.

    With `names` only these are imported: the libraries of some drivers are large.
    """
    causes: dict[str, str] = {}

    def not_loaded(_manager: Any, entry_point: Any, error: BaseException) -> None:
        causes[entry_point.name] = _why_not(entry_point, error)

    found: dict[str, type[DataSourceDriver]] = {}
    manager = (
        named.NamedExtensionManager(
            NAMESPACE,
            list(names),
            on_load_failure_callback=not_loaded,
            on_missing_entrypoints_callback=lambda missing: None,  # the caller tells it better
        )
        if names
        else extension.ExtensionManager(NAMESPACE, on_load_failure_callback=not_loaded)
    )
    for plugin in manager:
        try:
            found[plugin.name] = _driver_class(plugin.plugin, plugin.name)
        except exceptions.ConfigError as error:
            causes[plugin.name] = config.one_line(error)
    return found, causes


def driver(name: str) -> type[DataSourceDriver]:
    """The driver called `name`, or that of the module file `name`; raises ConfigError for none."""
    if name.endswith(".py"):
        module = f"congress_dse_driver_{Path(name).stem}"
        try:
            modules.load(module, name)
        except exceptions.DataServiceError as error:
            raise exceptions.ConfigError(config.one_line(error)) from error
        return _driver_class(modules.find(module), name)
    return installed_driver(name)


@cache
def installed_driver(name: str) -> type[DataSourceDriver]:
    """The installed driver of this name; raises ConfigError for none. A file is none."""
    known, causes = installed(name)
    if name in causes:
        raise exceptions.ConfigError(f"driver {name!r} cannot be used: {causes[name]}")
    if name not in known:
        every = ", ".join(sorted(drivers()))
        raise exceptions.ConfigError(f"no driver {name!r} is installed; installed are {every}")
    return known[name]


def drivers_of(conf: cfg.ConfigOpts) -> tuple[dict[str, type[DataSourceDriver]], dict[str, str]]:
    """The driver of each datasource of `conf`, and of those that cannot be imported the cause."""
    found: dict[str, type[DataSourceDriver]] = {}
    causes: dict[str, str] = {}
    for section in _sections(conf):
        if section.startswith(PREFIX):
            name, wanted = section[len(PREFIX) :], _raw(conf, section).get("driver", [""])[-1]
            try:
                found[name] = driver(wanted)
            except exceptions.ConfigError as error:
                causes[name] = config.one_line(error)
    return found, causes


def checked(made_by: type[DataSourceDriver], given: dict[str, Any], where: str) -> dict[str, Any]:
    """The options of a driver from text or values, each of its own type.

    Raises ConfigError with a line for each that is missing, unknown or wrong; `where` opens each
    line.
    """
    options = {option.dest: option for option in made_by.options()}
    wrong = [f"{where} {key}: no such option" for key in given if key not in options]
    args: dict[str, Any] = {}
    bad: set[str] = set()
    for key, option in options.items():
        if given.get(key) in (None, "", [], {}) and option.required:
            wrong.append(f"{where} {key}: required, and missing")
        elif given.get(key) is not None:
            try:
                args[key] = _typed(option, given[key])
            except (ValueError, TypeError, AttributeError) as error:  # of JSON any value comes
                bad.add(key)
                shown = "the value" if option.secret else f"{given[key]!r}"
                wrong.append(f"{where} {key}: {shown} is wrong: {config.one_line(error)}")
    if all(key in args for key, option in options.items() if option.required):
        values = {o.dest: args.get(o.dest, o.default) for o in options.values()}
        wrong += [f"{where} {k}: {what}" for k, what in made_by.check(values) if k not in bad]
    if wrong:
        raise exceptions.ConfigError("\n".join(wrong))
    return args


def list_opts() -> list[tuple[str, list[Any]]]:
    """Every option, for oslo-config-generator; a datasource of each driver as an example."""
    examples = [
        (f"{PREFIX}{name}", [_example_driver(name), WORKER_OPTION, NODE_OPTION, *found.options()])
        for name, found in sorted(drivers().items())
    ]
    return [*config.GROUPS.items(), *examples]


def _source(conf: cfg.ConfigOpts, section: str) -> Source:
    where = f"[{section}]"
    raw = _raw(conf, section)
    name = raw.pop("driver", [""])[-1]
    if not section[len(PREFIX) :]:
        raise exceptions.ConfigError(f"{where}: a datasource needs a name: [{PREFIX}NAME]")
    if not name:
        raise exceptions.ConfigError(f"{where} driver: required, and missing")
    try:
        made_by = driver(name)
    except exceptions.ConfigError as error:
        raise exceptions.ConfigError(f"{where} driver: {error}") from error
    worker = raw.pop("worker", [None])[-1]
    try:
        pinned = None if worker is None else WORKER_OPTION.type(worker)
    except ValueError as error:
        raise exceptions.ConfigError(f"{where} worker: {config.one_line(error)}") from error
    node = raw.pop("node", [""])[-1]
    args = checked(made_by, _given(made_by, raw), where)
    return Source(section[len(PREFIX) :], made_by, args, pinned, name, node)


def _raw(conf: cfg.ConfigOpts, section: str) -> dict[str, list[str]]:
    """The texts of each option of a section; a later file wins, as with every other section."""
    values: dict[str, list[str]] = {}
    for parsed in config.parsed(conf):
        values |= parsed.get(section, {})
    return values


def _given(made_by: type[DataSourceDriver], raw: dict[str, list[str]]) -> dict[str, Any]:
    """What was given for each option: all of it where it may come several times, or the last."""
    several = {option.dest for option in made_by.options() if option.multi}
    return {key: texts if key in several else texts[-1] for key, texts in raw.items()}


def _sections(conf: cfg.ConfigOpts) -> list[str]:
    return list(dict.fromkeys(section for parsed in config.parsed(conf) for section in parsed))


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
    return cfg.StrOpt("driver", default=name, help=DRIVER_HELP)


def _typed(option: Any, value: Any) -> Any:
    """`value` in the type of `option`; a list of these where it may be given several times."""
    if not option.multi:
        return option.type(value)
    values = value if isinstance(value, list | tuple) else [value]
    return [option.type(part) for part in values]


def _why_not(entry_point: Any, error: BaseException) -> str:
    """Why a driver cannot be imported, and what to install where a library of it is missing."""
    cause = f"{type(error).__name__}: {config.one_line(error)}"
    package = getattr(entry_point.dist, "name", "")
    if not isinstance(error, ImportError) or not error.name or not package:
        return cause
    lacks = error.name.partition(".")[0].replace("_", "-").lower()
    for requirement in entry_point.dist.requires or ():
        match = _OF_AN_EXTRA.match(requirement)
        if match is not None and match[1].replace("_", "-").lower() == lacks:
            return f"{cause}; to install it: pip install '{package}[{match[2]}]'"
    return cause
