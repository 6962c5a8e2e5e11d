"""Services and launchers under oslo.service's names, over the one master.

A service that is launched crosses to its workers as its pickled state; one that is launched as a
class is built in each worker. All `ProcessLauncher` of a process share one master, which runs in
the first `wait`. With one worker, as with `ServiceLauncher`, the service runs in this process.
"""

import abc
import logging
import sys
from functools import partial
from typing import Any, ClassVar, Literal, Self

from congress_dse.exceptions import ConfigError
from congress_dse.manager import base
from congress_dse.manager.oslo_config_glue import (
    METHODS,
    ReloadMethod,
    check,
    register_opts,
    reread,
)
from congress_dse.manager.service_manager import ServiceManager, check_workers, choose_spawn
from congress_dse.threadgroup import ThreadGroup

LOG = logging.getLogger(__name__)


class ServiceBase(metaclass=abc.ABCMeta):
    """What a launcher can launch."""

    @abc.abstractmethod
    def start(self) -> Any:
        """Begin to serve."""

    @abc.abstractmethod
    def stop(self) -> Any:
        """Take nothing new and finish."""

    @abc.abstractmethod
    def wait(self) -> Any:
        """Return when all is finished."""

    @abc.abstractmethod
    def reset(self) -> Any:
        """Take the new configuration."""


class Service(ServiceBase):
    """A service with a group of threads, made when it is first asked for."""

    runtime: ClassVar[str] = ""  # of its workers; else green if the program has eventlet, or plain

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        # Queues and locks that __init__ makes must be of the kind that crosses to a worker.
        choose_spawn()
        return super().__new__(cls)

    def __init__(self, threads: int = 1000) -> None:
        self._threads = threads

    @property
    def tg(self) -> ThreadGroup:
        """The service's threads, in the process that asks."""
        group: ThreadGroup = self.__dict__.setdefault("_tg", ThreadGroup())
        return group

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_tg"}

    def start(self) -> Any:
        """Begin to serve."""

    def stop(self, graceful: bool = False) -> Any:
        """Stop the threads; `graceful` lets them finish."""
        self.tg.stop(graceful)

    def wait(self) -> Any:
        """Wait for the threads."""
        self.tg.wait()

    def reset(self) -> Any:
        """Take the new configuration; a ``restart``, the hook's older name, is called if there."""
        restart = getattr(self, "restart", None)
        if callable(restart):
            restart()


class _Hosted(base.Service):
    """A launched service in its worker; a reload replaces the worker."""

    def __init__(self, worker_id: int, service: Any, conf: Any) -> None:
        super().__init__(worker_id)
        self.service = service() if isinstance(service, type) else service
        self.conf = conf

    def run(self) -> None:
        self.service.start()

    def terminate(self) -> None:
        self.service.stop()
        self.service.wait()


class _Mutated(_Hosted):
    """A launched service in its worker; a reload reaches it in place."""

    def reload(self) -> None:
        if self.conf is not None:
            reread(self.conf, "mutate")
        self.service.reset()


HOSTS: dict[str, type[_Hosted]] = {"reload": _Hosted, "mutate": _Mutated}


class Launcher:
    """What the launchers share: a configuration, a way to reload, a manager."""

    def __init__(self, conf: Any, restart_method: ReloadMethod = "reload") -> None:
        if restart_method not in METHODS:
            raise ValueError(f"restart_method {restart_method!r} is none of {', '.join(METHODS)}")
        self.conf = conf
        self.restart_method = restart_method
        self.ids: list[str] = []
        if conf is not None:
            register_opts(conf)

    def _manager(self) -> ServiceManager:
        raise NotImplementedError

    def launch_service(self, service: Any, workers: int | None = 1) -> None:
        """Have `service`, an object or a class, run when `wait` is called."""
        check_service(service)
        name = service.__name__ if isinstance(service, type) else type(service).__name__
        identity = self._manager().add(
            HOSTS[self.restart_method],
            1 if workers is None else workers,
            args=(service, self.conf),
            name=name,
            runtime=_runtime(service),
        )
        self.ids.append(identity)

    def wait(self) -> int:
        """Run until told to stop; 0, or SystemExit with a code if it did not end well."""
        manager = self._manager()
        if self.conf is not None:
            manager.graceful_shutdown_timeout = self.conf.graceful_shutdown_timeout
        manager.run()
        return 0

    def stop(self) -> None:
        """Stop everything gracefully; from another thread or a hook."""
        self._manager().shutdown()

    def _reread(self) -> None:
        if self.conf is not None:
            check(self.conf, self.restart_method)
            reread(self.conf, self.restart_method)


class ServiceLauncher(Launcher):
    """Runs services in this process."""

    def __init__(self, conf: Any, restart_method: ReloadMethod = "reload") -> None:
        super().__init__(conf, restart_method)
        self._own = ServiceManager()
        self._own.register_hooks(on_reload=self._reread)

    def _manager(self) -> ServiceManager:
        return self._own

    def launch_service(self, service: Any, workers: int | None = 1) -> None:
        """Have `service` run here when `wait` is called; more than one worker is an error."""
        if workers not in {None, 0, 1}:
            raise ValueError(f"a ServiceLauncher has one worker, not {workers!r}")
        super().launch_service(service, 0)


class ProcessLauncher(Launcher):
    """Runs services in spawned workers; `wait_interval` is taken, nothing here polls."""

    _shared: ClassVar[ServiceManager | None] = None

    def __init__(
        self, conf: Any, wait_interval: float = 0.01, restart_method: ReloadMethod = "reload"
    ) -> None:
        super().__init__(conf, restart_method)
        self.wait_interval = wait_interval
        if ProcessLauncher._shared is None:
            ProcessLauncher._shared = ServiceManager()
        self._shared_manager = ProcessLauncher._shared
        self._shared_manager.register_hooks(on_reload=self._reread)

    def _manager(self) -> ServiceManager:
        return self._shared_manager

    def wait(self) -> int:
        """Run until told to stop; a launcher that ran under another's `wait` has nothing left."""
        if ProcessLauncher._shared is not self._shared_manager:
            return 0
        try:
            return super().wait()
        finally:
            ProcessLauncher._shared = None


def launch(
    conf: Any,
    service: Any,
    workers: int | None = 1,
    restart_method: Literal["reload", "mutate"] = "reload",
    no_fork: bool = False,
) -> Launcher:
    """Launch `service`: here with one worker (or 0, or None), else in spawned ones; then `wait`.

    With `no_fork` it runs here whatever their number; nothing forks in any case.
    """
    if workers is not None:
        check_workers(workers)
    here = no_fork or workers in {None, 0, 1}
    kind = ServiceLauncher if here else partial(ProcessLauncher)
    launcher: Launcher = kind(conf, restart_method=restart_method)
    launcher.launch_service(service, workers=1 if here else workers)
    return launcher


def check_service(service: Any) -> None:
    """Raise unless `service` is, or makes, something with a service's four verbs."""
    missing = [verb for verb in ("start", "stop", "wait", "reset") if not hasattr(service, verb)]
    if missing:
        raise ConfigError(f"{service!r} is no service, it lacks {', '.join(missing)}")


def _runtime(service: Any) -> str:
    return getattr(service, "runtime", "") or ("green" if "eventlet" in sys.modules else "plain")
