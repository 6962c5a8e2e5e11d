"""The options of the process side, as data: name, type, default, mutable by reload, help."""

from typing import Any, NamedTuple


class Option(NamedTuple):
    """One option of the group ``processes``."""

    name: str
    kind: type
    default: Any
    mutable: bool
    help: str


GROUP = "processes"

OPTIONS = (
    Option(
        "workers",
        int,
        2,
        True,
        "Engine workers, each a process; 0 runs everything in one process, for debugging.",
    ),
    Option(
        "control_socket",
        str,
        "",
        False,
        "Path of the control socket that status, workers, reload and stop use; empty means none."
        " Where there are no Unix sockets it is a file with a loopback address and a token.",
    ),
    Option(
        "liveness",
        float,
        30.0,
        False,
        "Seconds without a heartbeat of its own hub after which a worker is killed and replaced;"
        " 0 means never.",
    ),
    Option(
        "start_grace",
        float,
        60.0,
        False,
        "Seconds a worker may take to be ready; liveness begins after that. 0 means no limit.",
    ),
    Option(
        "graceful_shutdown_timeout",
        float,
        30.0,
        True,
        "Seconds a worker may take to stop before it is killed; 0 means as long as it takes.",
    ),
    Option(
        "restart_intensity",
        int,
        5,
        False,
        "Deaths of one worker within restart_period that are borne; at the next the master stops"
        " everything and exits with code 70.",
    ),
    Option("restart_period", float, 10.0, False, "Seconds over which deaths are counted."),
    Option(
        "restart_backoff",
        float,
        0.05,
        False,
        "Seconds before the second restart in a row; each further one waits twice as long.",
    ),
    Option("restart_backoff_max", float, 30.0, False, "Longest wait before a restart, in seconds."),
    Option(
        "max_requests",
        int,
        0,
        False,
        "Requests after which a worker is replaced; it serves on until its successor is ready."
        " 0 means no limit.",
    ),
    Option("max_age", float, 0.0, False, "Seconds after which a worker is replaced; 0: no limit."),
    Option(
        "max_rss",
        int,
        0,
        False,
        "Bytes of resident memory at which a worker is replaced; 0 means no limit.",
    ),
    Option(
        "recycle_jitter",
        float,
        0.1,
        False,
        "Share by which each worker's limits are stretched at random, so that they spread.",
    ),
    Option("recycle_out_max", int, 1, False, "Workers of a service exchanged at the same time."),
)
