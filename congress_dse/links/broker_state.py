"""What a broker's link says of itself, its limits, and the modules that its thread runs on."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any

from congress_dse import exceptions

LOG = logging.getLogger(__name__)

Unpatched = Callable[[str], ModuleType]


class BrokerState(StrEnum):
    """Where a link to a broker is in its life."""

    CONNECTING = "connecting"  # started, and no broker has answered yet
    UP = "up"  # consumption is proven
    BLOCKED = "blocked"  # the broker takes nothing: it is short of memory or disk
    DOWN = "down"  # lost, or never had; it is tried again
    CLOSED = "closed"


@dataclass(frozen=True)
class BrokerLimits:
    """Every bound of a link. Times in seconds; `queue_*` are arguments of the node's own queue."""

    heartbeat_s: float = 10.0  # a broker misses a node that was cut off within two of them
    probe_s: float = 2.0  # between two probes
    probe_limit_s: float = 5.0  # for a probe to come back
    confirm_limit_s: float = 10.0  # without any confirm, though some are due
    connect_s: float = 2.0
    handshake_s: float = 5.0
    backoff_s: float = 1.5  # the longest wait between two rounds over all hosts
    outbox: int = 50_000  # messages, unconfirmed ones among them
    outbox_b: int = 64 << 20
    window: int = 500  # unconfirmed messages
    prefetch: int = 500  # handed up and not handled
    queue_length: int = 100_000
    queue_size_b: int = 128 << 20
    message_ttl_s: int = 300
    queue_expires_s: int = 300


@dataclass(frozen=True)
class BrokerStatistics:
    """A snapshot of a link; ages and times in seconds. No text in it has a password."""

    name: str
    state: BrokerState
    since_s: float  # how long it is in this state
    host: str  # the one that it is, or was last, connected to
    url: str
    reconnects: int
    last_error: str
    published: int
    refused: int  # the outbox was full
    confirmed: int
    resent: int  # after a loss or a nack: they may come twice
    nacked: int
    consumed: int
    redelivered: int
    failed: int  # the receiver of messages raised
    outbox: int
    outbox_b: int
    unconfirmed: int
    unhandled: int  # handed up, and not said to be handled
    queues_lost: int  # our queue was gone, and what was in it
    bindings: int
    proof: str  # by what consumption over this connection was proven: "probe", "delivery", or ""
    probe_s: float | None  # the last probe's way out and back
    probe_age_s: float | None  # since it came back


class Native:
    """The modules of the thread that speaks with the broker: unpatched, in every runtime."""

    def __init__(self, unpatched: Unpatched) -> None:
        try:
            self.amqp: Any = unpatched("amqp")
        except ImportError as error:
            raise exceptions.ConfigError(
                "transport_url: RabbitMQ needs the library amqp; install congress-dse[rabbit]"
            ) from error
        self.exceptions: Any = self.amqp.exceptions
        self.spec: Any = self.amqp.spec
        self.socket: Any = unpatched("socket")
        self.ssl: Any = unpatched("ssl")
        self.selectors: Any = unpatched("selectors")
        self.threading: Any = unpatched("threading")
        # poll needs no descriptor of its own, and has no limit of 1024
        self.Selector: Any = getattr(self.selectors, "PollSelector", self.selectors.SelectSelector)
