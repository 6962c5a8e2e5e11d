"""Run an engine with the datasources of its configuration until it is told to stop.

A master keeps the engine's workers alive; each worker has its share of the datasources. With no
workers (option ``workers`` of ``[processes]``) everything runs in this one process, for debugging.
SIGTERM or Ctrl-C stops gracefully, a second one at once; SIGHUP reads the configuration again.
"""

import argparse
import contextlib
import errno
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from congress_dse import config, exceptions
from congress_dse.apiworker import LISTENER, ApiWorker
from congress_dse.chronicle import Chronicle
from congress_dse.commands import common
from congress_dse.engineworker import EngineWorker
from congress_dse.leaseworker import LeaseWorker
from congress_dse.links.way import Way
from congress_dse.manager import ServiceManager, options as processes, posix
from congress_dse.manager.control import ask
from congress_dse.manager.scratch import Scratch
from congress_dse.runtime import choice
from congress_dse.supervision import Policy

LOG = logging.getLogger("congress_dse")
SOCKET_NAME_B = 40  # of a worker's socket: /SERVICE.NUMBER.PID.sock, and while it is made
ANSWER_S = 2.0  # in which another engine at the same place says that it is there
LOG_FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    common.add_config_file(parser)
    common.add_watch(
        parser, "print this table's snapshot and then every change; may be given several times"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    parser.add_argument(
        "--colour", choices=["auto", "always", "never"], default="auto", help="default: auto"
    )


def run(args: argparse.Namespace) -> int:
    """Serve; return the exit code."""
    files = [os.path.abspath(name) for name in args.config_file]
    conf = config.read(files)
    runtime = choice.configured(_runtime(conf))
    tables = common.watched(args.watch)
    left_out = check(files, runtime, "--start", *(f"--watch={text}" for text in args.watch))
    _set_up_log(conf)
    for faults in left_out:
        LOG.error("a source is left out, the others run: %s", faults)
    own = conf[processes.GROUP]
    with _home() as home:
        control = _control(conf, own, home)
        manager = ServiceManager(
            graceful_shutdown_timeout=own.graceful_shutdown_timeout,
            control=control,
            title="congress-dse",
            graceful_interrupt=True,
            **_limits(own),
        )
        watch = {"tables": tables, "colour": _colour(args.colour, sys.stdout), "json": args.json}
        own_home = home if own.workers else ""
        leases = _leases(manager, own_home, conf[config.LINKS])
        way = Way(own_home, conf[config.LINKS].node, control, leases)
        _staff(manager, conf, (files, watch, way), runtime)
        with _chronicle(manager, conf):
            LOG.info("serving; pid %d", os.getpid())
            manager.run()
    LOG.info("stopped")
    return 0


def _staff(
    manager: ServiceManager, conf: Any, parts: tuple[list[str], Any, Way], runtime: str
) -> None:
    """Say which workers there are to be: the engine's and, where they are apart, the API's."""
    files, _, way = parts
    workers = conf[processes.GROUP].workers
    listeners = _bound(manager, conf.api)
    apart = bool(listeners and workers and conf.api.api_workers)
    # One owner at a time: a replacement starts when the worker that had the sources is gone.
    engine = manager.add(
        EngineWorker,
        workers,
        args=parts,
        listeners=() if apart else listeners,
        runtime=runtime,
        overlap=False,
    )
    sizes = {engine: workers}
    if apart:
        api = manager.add(
            ApiWorker,
            conf.api.api_workers,
            args=(files, way),
            listeners=listeners,
            runtime=runtime,
            overlap=True,
        )
        sizes[api] = conf.api.api_workers
    manager.register_hooks(on_reload=lambda: _reload(manager, files, sizes, runtime))


@contextlib.contextmanager
def _chronicle(manager: ServiceManager, conf: Any) -> Iterator[None]:
    """Have what happens kept in the engine's timeline."""
    chronicle = Chronicle(config.database(conf), conf[config.LINKS].node)
    manager.register_hooks(on_event=chronicle.note)
    about = {"subject": "engine", "text": f"master pid {os.getpid()}"}
    chronicle.note({"kind": "engine-started", **about})
    try:
        yield
    finally:
        chronicle.note({"kind": "engine-stopped", **about})
        chronicle.close()


def _runtime(conf: Any) -> str:
    try:
        return str(conf.runtime or "")
    except ValueError as error:
        raise exceptions.ConfigError(f"[DEFAULT] runtime: {config.one_line(error)}") from error


def check(files: list[str], runtime: str, *more: str) -> list[str]:
    """Have a configuration checked in a process of its own; raises ConfigError with its words.

    Drivers say what their sections may hold, and they need a runtime, which a master has not.
    `more` are further arguments of the command ``check``; with ``--start`` a line for each source
    that is left out is returned.
    """
    command = [sys.executable, "-m", "congress_dse", "check", *more]
    command += [part for name in files for part in ("--config-file", name)]
    env = {**os.environ, choice.VARIABLE: runtime} if runtime else None
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env=env
    )
    mark = "congress-dse: "
    if done.returncode:
        lines = [line.removeprefix(mark) for line in done.stderr.splitlines()]
        raise exceptions.ConfigError("\n".join(lines))
    told = [line for line in done.stderr.splitlines() if line.startswith(mark)]
    return [line.removeprefix(mark) for line in told]


def _reload(manager: ServiceManager, files: list[str], sizes: dict[str, int], runtime: str) -> None:
    """Take a new configuration, or refuse it: what is raised here leaves the old one serving.

    A number of workers that an operator set stands until the configuration's own changes.
    """
    conf = config.read(files)
    check(files, runtime)
    wanted_runtime = choice.configured(_runtime(conf))
    if wanted_runtime != runtime:
        raise exceptions.ConfigError(
            f"[DEFAULT] runtime: from {runtime} to {wanted_runtime} only by a new start"
        )
    logging.getLogger().setLevel(logging.DEBUG if conf.debug else logging.INFO)
    engine, *api = sizes
    wanted = conf[processes.GROUP].workers
    if bool(wanted) != bool(sizes[engine]):
        raise exceptions.ConfigError(
            f"[{processes.GROUP}] workers: from {sizes[engine]} to {wanted} only by a new start; "
            "0 is the debug mode, in one process"
        )
    if conf.api.enabled and wanted and bool(conf.api.api_workers) != bool(api):
        raise exceptions.ConfigError(
            f"[api] api_workers: to {conf.api.api_workers} only by a new start; 0 serves the API "
            "in the engine's own processes"
        )
    for service, workers in zip(sizes, (wanted, conf.api.api_workers), strict=False):
        if workers != sizes[service]:
            sizes[service] = workers
            manager.reconfigure(service, workers)


@contextlib.contextmanager
def _home() -> Iterator[str]:
    """A directory of this engine's own, in which its workers find each other."""
    try:
        scratch = Scratch()
    except OSError as error:
        raise exceptions.ConfigError(f"no place for the workers' links: {error}") from error
    try:
        room_b = posix.SOCKET_PATH_MAX_B - len(os.fsencode(scratch.path))
        if posix.UNIX and room_b < SOCKET_NAME_B:
            raise exceptions.ConfigError(
                f"no place for the workers' links: {scratch.path} is too long for sockets in it, "
                f"by {SOCKET_NAME_B - room_b} bytes; set XDG_RUNTIME_DIR, or TMPDIR, to a shorter "
                "directory"
            )
        yield scratch.path
    finally:
        scratch.close()


def _leases(manager: ServiceManager, home: str, links: Any) -> str:
    """Add the keeper of this node's leases, if it is to have any; return where it is found.

    It is the first to be there and the last to go: it gives back what the others had.
    """
    if not home or not links.coordination:
        return ""
    path = str(Path(home) / "leases")
    about = (path, links.coordination, links.node, links.coordination_lease)
    manager.add(LeaseWorker, 1, args=about, overlap=False)
    return path


def _bound(manager: ServiceManager, api: Any) -> tuple[str, ...]:
    """Bind the API's address; the names of the listeners. Raises ConfigError."""
    if not api.enabled:
        return ()
    host = f"[{api.bind_host}]" if ":" in api.bind_host else api.bind_host
    address = f"{host}:{api.bind_port}"
    try:
        bound = manager.bind(LISTENER, f"tcp://{address}")
    except exceptions.ConfigError as error:
        cause = error.__cause__
        hint = ""
        if getattr(cause, "errno", None) == errno.EADDRINUSE:
            hint = "; does another engine serve there? Set another port, or [api] enabled = false"
        raise exceptions.ConfigError(
            f"[api] bind_host, bind_port: cannot bind {address}: {cause}{hint}"
        ) from error
    LOG.info("the API is at http://%s:%d", host, bound.address[1])
    return (LISTENER,)


def _control(conf: Any, own: Any, home: str) -> str:
    """Where this engine takes orders: in its own directory, where another has the usual place."""
    path = config.control_path(conf)
    try:
        ask(path, {"command": "workers"}, ANSWER_S)
    except exceptions.ControlError:
        return path
    if own.control_socket:
        raise exceptions.ConfigError(f"[processes] control_socket: an engine listens at {path}")
    mine = os.path.join(home, "control")
    LOG.warning("another engine listens at %s: this one takes orders at %s", path, mine)
    return mine


def _limits(own: Any) -> dict[str, Any]:
    """The fields of `Spec` that the options of ``[processes]`` set."""
    return {
        "liveness_s": own.liveness,
        "start_grace_s": own.start_grace,
        "max_requests": own.max_requests,
        "max_age_s": own.max_age,
        "max_rss_b": own.max_rss,
        "recycle_jitter": own.recycle_jitter,
        "out_max": own.recycle_out_max,
        "policy": Policy(
            restart="always",
            intensity=own.restart_intensity,
            period_s=own.restart_period,
            backoff_s=own.restart_backoff,
            backoff_max_s=own.restart_backoff_max,
        ),
    }


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
