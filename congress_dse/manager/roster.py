"""What the fleet knows of services and workers, and what it can decide."""

from dataclasses import dataclass
from typing import Any, Literal

from congress_dse.supervision import Policy

State = Literal["starting", "ready", "stopping", "killed"]
KEEP_RUNNING = Policy(restart="always")
EXIT_GAVE_UP = 70  # sysexits.h, EX_SOFTWARE: supervision escalated
EXIT_BOOT_FAILED = 3  # a worker that could not build its service


@dataclass(frozen=True)
class Spec:
    """How one service is to be run. A limit of 0 means no limit."""

    name: str
    workers: int = 1
    policy: Policy = KEEP_RUNNING
    liveness_s: float = 30.0
    start_grace_s: float = 60.0
    stop_timeout_s: float = 60.0
    reload: Literal["reload", "restart"] = "restart"
    overlap: bool = True  # a replacement starts beside the old worker; False: after it has gone
    max_requests: int = 0
    max_age_s: float = 0.0
    max_rss_b: int = 0
    recycle_jitter: float = 0.1
    out_max: int = 1


@dataclass
class Member:
    """One life of one worker, from its start to its death."""

    serial: int
    service: str
    slot: int
    generation: int
    started_at: float
    deadline: float | None
    replaces: int | None = None
    why: str = ""
    stretch: float = 1.0  # recycling limits times this, so that workers do not leave together
    state: State = "starting"
    pid: int | None = None
    ready_at: float | None = None
    beat_at: float = 0.0
    asked_stacks: bool = False
    requests: int = 0
    rss_b: int = 0
    failure: str = ""
    phase: str = ""
    kill_cause: str = ""
    leaves: str = ""  # why it was told to stop

    @property
    def name(self) -> str:
        """The worker's name: its service and its place in it."""
        return f"{self.service}.{self.slot}"


@dataclass(frozen=True)
class Start:
    """Spawn a worker."""

    serial: int
    service: str
    slot: int
    generation: int


@dataclass(frozen=True)
class Tell:
    """Send a worker an order."""

    serial: int
    order: dict[str, Any]


@dataclass(frozen=True)
class Kill:
    """End a worker: by terminate() if `soft`, for which it needs no ear, else by kill()."""

    serial: int
    soft: bool = False


@dataclass(frozen=True)
class Say:
    """A line for the log."""

    level: int
    text: str


@dataclass(frozen=True)
class Happened:
    """Something for the timeline; `kind` is what a reader may ask for alone."""

    kind: str
    subject: str
    text: str
    level: str = "info"


@dataclass(frozen=True)
class Dead:
    """A worker is gone; the host runs the hooks."""

    service: str
    slot: int
    exit_code: int | None


@dataclass(frozen=True)
class Announce:
    """The fleet as a whole changed: ``ready``, ``reloading`` or ``stopping``."""

    state: Literal["ready", "reloading", "stopping"]


@dataclass(frozen=True)
class Reloaded:
    """A reload ended; `cause` is empty if it was taken."""

    cause: str


@dataclass(frozen=True)
class Replaced:
    """A worker that was asked to restart has a successor, or `cause` says why not."""

    name: str
    cause: str


@dataclass(frozen=True)
class Finish:
    """All workers are gone: end with this code; `last_line` is the last thing said."""

    code: int
    last_line: str = ""


Decision = Start | Tell | Kill | Say | Happened | Dead | Announce | Reloaded | Replaced | Finish
