"""A manager's options from oslo.config, re-read at each reload, under cotyledon's names.

A new configuration is tried on a copy first: all files must parse and every option must have a
value of its type. What fails is refused by its cause, and the configuration in use is not touched.
"""

import logging
import pickle
from functools import partial
from typing import Any, Literal

from oslo_config import cfg

from congress_dse.exceptions import ConfigError, ReloadFailed
from congress_dse.manager.service_manager import ServiceManager

LOG = logging.getLogger(__name__)
ReloadMethod = Literal["reload", "mutate"]
METHODS = ("reload", "mutate")

OPTIONS = [
    cfg.BoolOpt(
        "log_options",
        default=True,
        mutable=True,
        help="Log the values of all options, at DEBUG level, when a process starts or reloads.",
    ),
    cfg.IntOpt(
        "graceful_shutdown_timeout",
        default=60,
        mutable=True,
        help="Seconds a worker may take to stop; 0 means as long as it takes.",
    ),
]


def register_opts(conf: Any) -> None:
    """Register the options that `link` reads."""
    conf.register_opts(OPTIONS)


def list_opts() -> list[tuple[str | None, list[Any]]]:
    """The options, for the generator of sample files."""
    return [(None, list(OPTIONS))]


def setup(manager: ServiceManager, conf: Any, reload_method: ReloadMethod = "reload") -> None:
    """Register the options and `link`."""
    register_opts(conf)
    link(manager, conf, reload_method)


def link(manager: ServiceManager, conf: Any, reload_method: ReloadMethod = "reload") -> None:
    """Have `conf` re-read at each reload: in the master first, then in workers that stay.

    In a worker the files are re-read before the service's own `reload`.
    """
    if reload_method not in METHODS:
        raise ConfigError(f"reload_method {reload_method!r} is none of {', '.join(METHODS)}")
    _apply(manager, conf)
    manager.register_hooks(
        on_reload=partial(_in_master, manager, conf, reload_method),
        on_new_worker=partial(_in_worker, conf, reload_method),
    )


def check(conf: Any, reload_method: ReloadMethod) -> None:
    """Raise ReloadFailed, with the cause, if the files as they are now cannot be taken."""
    trial = _copy(conf)
    reread(trial, reload_method)
    try:
        for name in trial:
            value = trial[name]
            if isinstance(value, cfg.ConfigOpts.GroupAttr):
                dict(value)
    except (cfg.Error, ValueError) as error:
        raise ReloadFailed(str(error)) from error


def reread(conf: Any, reload_method: ReloadMethod) -> None:
    """Read the files of `conf` again; raises ReloadFailed with oslo.config's own words."""
    if not _was_called(conf):
        return
    logger = logging.getLogger("oslo_config.cfg")
    words = _Words()
    logger.addHandler(words)
    try:
        _give_parser(conf)
        if reload_method == "mutate":
            conf.mutate_config_files()
        elif not conf.reload_config_files():
            raise ReloadFailed("; ".join(words.heard) or "the configuration files cannot be read")
    except (cfg.Error, SystemExit, OSError) as error:
        raise ReloadFailed(f"{type(error).__name__}: {error}") from error
    finally:
        logger.removeHandler(words)


def _was_called(conf: Any) -> bool:
    return conf._args is not None  # noqa: SLF001 (it has no public word for it)


def _give_parser(conf: Any) -> None:
    """Give a configuration that was pickled the parser it lost, without which it cannot read."""
    if conf._oparser is not None:  # noqa: SLF001 (as above)
        return
    twin = _copy(conf)
    names = ("project", "prog", "version", "usage", "default_config_files", "default_config_dirs")
    twin(conf._args, **{name: getattr(conf, name, None) for name in names})  # noqa: SLF001
    conf._oparser = twin._oparser  # noqa: SLF001


def _copy(conf: Any) -> Any:
    # Trusted: pickled in the same breath.
    return pickle.loads(pickle.dumps(conf))  # noqa: S301


class _Words(logging.Handler):
    """What oslo.config says while it reads; its own answer is only yes or no."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


def _in_master(manager: ServiceManager, conf: Any, reload_method: ReloadMethod) -> None:
    check(conf, reload_method)
    reread(conf, reload_method)
    _apply(manager, conf)


def _in_worker(
    conf: Any, reload_method: ReloadMethod, _service_id: str, _worker_id: int, service: Any
) -> None:
    _log(conf)
    service.place.before_reload.append(partial(_reload_in_worker, conf, reload_method))


def _reload_in_worker(conf: Any, reload_method: ReloadMethod) -> None:
    reread(conf, reload_method)
    _log(conf)


def _apply(manager: ServiceManager, conf: Any) -> None:
    manager.graceful_shutdown_timeout = conf.graceful_shutdown_timeout
    _log(conf)


def _log(conf: Any) -> None:
    if conf.log_options:
        conf.log_opt_values(LOG, logging.DEBUG)
