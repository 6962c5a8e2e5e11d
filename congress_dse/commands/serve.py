"""Run an engine with the datasources of its configuration until it is told to stop.

A master keeps the engine's workers alive; each worker has its share of the datasources. With no
workers (option ``workers`` of ``[processes]``) everything runs in this one process, for debugging.
SIGTERM or Ctrl-C stops gracefully, a second one at once; SIGHUP reads the configuration again.
"""

import argparse
import logging
import os
import subprocess
import sys
from typing import Any, TextIO

from congress_dse import config, exceptions
from congress_dse.commands import common
from congress_dse.engineworker import EngineWorker
from congress_dse.manager import ServiceManager, options as processes
from congress_dse.manager.control import ask
from congress_dse.supervision import Policy

LOG = logging.getLogger("congress_dse")
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
    tables = common.watched(args.watch)
    check(files, args.watch)
    _set_up_log(conf)
    own = conf[processes.GROUP]
    manager = ServiceManager(
        graceful_shutdown_timeout=own.graceful_shutdown_timeout,
        control=_control(conf, own),
        title="congress-dse",
        graceful_interrupt=True,
        **_limits(own),
    )
    watch = {"tables": tables, "colour": _colour(args.colour, sys.stdout), "json": args.json}
    # One owner at a time: a replacement starts when the worker that had the sources is gone.
    engine = manager.add(EngineWorker, own.workers, args=(files, watch), overlap=False)
    workers = [own.workers]
    manager.register_hooks(on_reload=lambda: _reload(manager, engine, files, workers))
    LOG.info("serving; pid %d", os.getpid())
    manager.run()
    LOG.info("stopped")
    return 0


def check(files: list[str], watch: list[str] = ()) -> None:  # type: ignore[assignment]
    """Have a configuration checked in a process of its own; raises ConfigError with its words.

    Drivers say what their sections may hold, and they need a runtime, which a master has not.
    """
    command = [sys.executable, "-m", "congress_dse", "check"]
    command += [part for name in files for part in ("--config-file", name)]
    command += [part for text in watch for part in ("--watch", text)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        lines = [line.removeprefix("congress-dse: ") for line in done.stderr.splitlines()]
        raise exceptions.ConfigError("\n".join(lines))


def _reload(manager: ServiceManager, engine: str, files: list[str], workers: list[int]) -> None:
    """Take a new configuration, or refuse it: what is raised here leaves the old one serving.

    A number of workers that an operator set stands until the configuration's own changes.
    """
    conf = config.read(files)
    check(files)
    logging.getLogger().setLevel(logging.DEBUG if conf.debug else logging.INFO)
    if conf[processes.GROUP].workers != workers[0]:
        workers[0] = conf[processes.GROUP].workers
        manager.reconfigure(engine, workers[0])


def _control(conf: Any, own: Any) -> str:
    """Where this engine takes orders; nowhere, where another has the place that none configured."""
    if not own.workers:
        return ""
    path = config.control_path(conf)
    try:
        ask(path, {"command": "workers"}, ANSWER_S)
    except exceptions.ControlError:
        return path
    if own.control_socket:
        raise exceptions.ConfigError(f"[processes] control_socket: an engine listens at {path}")
    LOG.warning("another engine listens at %s: this one takes orders by signals only", path)
    return ""


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
