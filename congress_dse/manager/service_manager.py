"""The face of the master for applications, under cotyledon's name."""

import contextlib
import logging
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import setproctitle

from congress_dse.exceptions import ConfigError, NoSuchWorker
from congress_dse.manager import listeners as sockets, posix, preflight, streams
from congress_dse.manager.base import Service
from congress_dse.manager.children import Nursery, Outfit
from congress_dse.manager.control import Awaited, Control
from congress_dse.manager.fleet import Fleet
from congress_dse.manager.hooks import Hooks
from congress_dse.manager.lines import Message
from congress_dse.manager.listeners import Listener
from congress_dse.manager.master import Master
from congress_dse.manager.oneprocess import OneProcess
from congress_dse.manager.port import RUNTIMES
from congress_dse.manager.roster import KEEP_RUNNING, Finish, Spec

LOG = logging.getLogger(__name__)


class ServiceManager:
    """One master and its services: add them, then `run`.

    `defaults` are fields of `Spec` for all services (``liveness_s``, ``start_grace_s``,
    ``policy``, ...). With `graceful_interrupt` the first SIGINT is a SIGTERM. `wait_interval` is
    taken for cotyledon's sake: nothing here polls.
    """

    def __init__(
        self,
        wait_interval: float = 0.01,
        graceful_shutdown_timeout: float = 60,
        *,
        control: str = "",
        title: str = "",
        graceful_interrupt: bool = False,
        **defaults: Any,
    ) -> None:
        choose_spawn()
        self._graceful_shutdown_timeout = graceful_shutdown_timeout
        self.listeners: dict[str, Listener] = {}
        self.hooks = Hooks()
        self.control_path = control
        self.title = title or Path(sys.argv[0]).name or "congress-dse"
        self._signals = posix.GRACEFUL_INTERRUPT if graceful_interrupt else posix.MASTER_SIGNALS
        self._defaults = defaults
        self._outfits: dict[str, Outfit] = {}
        self._master: Master | None = None
        self._one: OneProcess | None = None

    @property
    def graceful_shutdown_timeout(self) -> float:
        """Seconds a worker may take to stop, unless its class says otherwise; 0: no limit."""
        return self._graceful_shutdown_timeout

    @graceful_shutdown_timeout.setter
    def graceful_shutdown_timeout(self, seconds: float) -> None:
        self._graceful_shutdown_timeout = seconds
        for name, outfit in self._outfits.items():
            if getattr(outfit.parts["service"], "graceful_shutdown_timeout", None) is None:
                outfit.spec = replace(outfit.spec, stop_timeout_s=float(seconds))
                if self._master is not None:
                    self._master.fleet.crews[name].spec = outfit.spec

    def add(
        self,
        service: type[Service] | Callable[..., Any],
        workers: int = 1,
        args: Any = None,
        kwargs: Any = None,
        *,
        name: str = "",
        runtime: str = "",
        listeners: tuple[str, ...] = (),
        **spec: Any,
    ) -> str:
        """Run `workers` workers of `service`, each built in its own process; answer the id.

        The service is called with the worker's number, then `args` and `kwargs`. `spec` has fields
        of `Spec`. With no workers at all in any service, everything runs in this one process.
        """
        if not callable(service):
            raise TypeError(f"service must be callable, not {service!r}")
        check_workers(workers)
        shown: str = name or getattr(service, "name", "") or getattr(service, "__name__", "service")
        unique = self._unique(shown)
        chosen: str = runtime or getattr(service, "runtime", "plain")
        if chosen not in RUNTIMES:
            raise ConfigError(f"{unique}: runtime {chosen!r} is none of {', '.join(RUNTIMES)}")
        fields = {**self._defaults_for(service), **spec, "name": unique, "workers": workers}
        parts = {
            "service": service,
            "args": tuple(args or ()),
            "kwargs": dict(kwargs or {}),
            "service_id": unique,
            "hooks": self.hooks.on_new_worker,
            "listeners": {n: self.listeners[n].way for n in listeners},
        }
        self._outfits[unique] = Outfit(Spec(**fields), parts, chosen, shown)
        return unique

    def bind(self, name: str, address: str, **options: Any) -> Listener:
        """Bind a listening socket for the services that name it; see `listeners.bind`."""
        listener = sockets.bind(name, address, **options)
        self.listeners[name] = listener
        return listener

    def adopt_listeners(self) -> dict[str, Listener]:
        """Take the sockets that systemd hands over; answer them by name."""
        found = sockets.inherited()
        self.listeners.update(found)
        return found

    def reconfigure(self, service_id: str, workers: int) -> None:
        """Have `workers` workers of this service from now on; from any thread or hook."""
        if service_id not in self._outfits:
            raise NoSuchWorker(f"no service {service_id!r}, there are: {', '.join(self._outfits)}")
        check_workers(workers)
        self.submit({"command": "resize", "service": service_id, "workers": workers})

    def register_hooks(
        self,
        on_terminate: Callable[[], Any] | None = None,
        on_reload: Callable[[], Any] | None = None,
        on_new_worker: Callable[[str, int, Any], Any] | None = None,
        on_dead_worker: Callable[[str, int, int | None], Any] | None = None,
        on_event: Callable[[dict[str, str]], Any] | None = None,
    ) -> None:
        """Have these called: in the master, but `on_new_worker` in each worker, before it serves.

        `on_event` gets what happened to workers, and what they tell of themselves; it may not wait.
        What `on_reload` raises refuses the reload; the old configuration serves on.
        """
        self.hooks.add(
            on_terminate=on_terminate,
            on_reload=on_reload,
            on_new_worker=on_new_worker,
            on_dead_worker=on_dead_worker,
            on_event=on_event,
        )

    def reload(self) -> Any:
        """Called in the master at each reload, after the hooks; override it to reconfigure."""

    def submit(self, request: dict[str, Any]) -> Any:
        """Queue a request of the control socket's kind; a future, or None before `run`."""
        host = self._master or self._one
        if host is not None:
            return host.submit(request)
        if request["command"] == "resize":
            outfit = self._outfits[request["service"]]
            outfit.spec = replace(outfit.spec, workers=request["workers"])
        return None

    def shutdown(self) -> None:
        """Stop gracefully; from any thread or hook."""
        self.submit({"command": "stop", "from": "shutdown()"})

    def run(self) -> None:
        """Start and supervise the workers until told to stop.

        Returns after a clean stop; raises SystemExit with a code, its reason the last line of the
        log, after any other. Raises NotPlain before the first worker if something cannot cross.
        """
        streams.unbuffer()
        finish = self._run()
        if finish.code:
            LOG.critical("%s", finish.last_line)
            raise SystemExit(finish.code)

    def _run(self) -> Finish:
        self.hooks.add(on_reload=self.reload)  # last: after what the application registered
        try:
            if not any(outfit.spec.workers for outfit in self._outfits.values()):
                return self._run_here()
            for name, outfit in self._outfits.items():
                preflight.check(name, {k: v for k, v in outfit.parts.items() if k != "listeners"})
            return self._supervise()
        finally:
            for listener in self.listeners.values():
                listener.close()

    def _run_here(self) -> Finish:
        LOG.info("%s: debug mode, %d services in one process", self.title, len(self._outfits))
        process = self._one = OneProcess(self._outfits, self.hooks, self._signals)
        try:
            with self._control(process.submit, process.snapshot):
                return process.run()
        finally:
            self._one = None

    def _supervise(self) -> Finish:
        setproctitle.setproctitle(f"{self.title}: master [{' '.join(sys.argv)}]")
        fleet = Fleet()
        nursery = Nursery(self.title)
        nursery.outfits = self._outfits
        for outfit in self._outfits.values():
            fleet.add(outfit.spec)
        master = self._master = Master(fleet, nursery, self.hooks, self._signals)
        try:
            with self._control(master.submit, lambda: master.snapshot):
                return master.run()
        finally:
            self._master = None

    @contextlib.contextmanager
    def _control(
        self, submit: Callable[[Message], Awaited], snapshot: Callable[[], dict[str, Any]]
    ) -> Iterator[None]:
        if not self.control_path:
            yield
            return
        control = Control(self.control_path, submit, snapshot)
        control.start()
        try:
            yield
        finally:
            control.close()

    def _defaults_for(self, service: Any) -> dict[str, Any]:
        own = getattr(service, "graceful_shutdown_timeout", None)
        timeout_s = self.graceful_shutdown_timeout if own is None else own
        in_place = getattr(service, "reload", Service.reload) is not Service.reload
        return {
            "policy": KEEP_RUNNING,
            "stop_timeout_s": float(timeout_s),
            "reload": "reload" if in_place else "restart",
            **self._defaults,
        }

    def _unique(self, name: str) -> str:
        taken = sum(n == name or n.startswith(f"{name}-") for n in self._outfits)
        return f"{name}-{taken + 1}" if name in self._outfits else name


def check_workers(workers: Any) -> None:
    """Raise unless `workers` is a number of workers."""
    if not isinstance(workers, int) or isinstance(workers, bool):
        raise TypeError(f"workers must be a whole number, not {workers!r}")
    if workers < 0:
        raise ValueError(f"workers must be 0 or more, not {workers}")


def choose_spawn() -> None:
    """Make spawn this process's default start method, unless it has chosen one.

    Queues and locks belong to a start method, and those that an application makes for its workers
    must be the kind that crosses to a spawned one.
    """
    if multiprocessing.get_start_method(allow_none=True) is None:
        multiprocessing.set_start_method("spawn")
