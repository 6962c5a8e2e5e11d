"""The runtime of this process: what runs an actor and waits for it.

It is a module of its own, and not the package, so that a master, which has no runtime, and each
loop of a worker can be imported without it. The rest of the engine reaches it by these names
alone, so a further runtime is one further file.
"""

from congress_dse.runtime.green import (
    NAME,
    Actor,
    Failure,
    Killed,
    Signals,
    Waiter,
    call_later,
    current_actor,
    deadline,
    in_thread,
    may_wait,
    now,
    sleep,
    spawn,
    wait_dead,
)
from congress_dse.runtime.green_io import wait_io
from congress_dse.runtime.green_native import unpatched
from congress_dse.runtime.mailbox import Mailbox, MailboxStatistics
from congress_dse.runtime.serving import http_server

__all__ = [
    "NAME",
    "Actor",
    "Failure",
    "Killed",
    "Mailbox",
    "MailboxStatistics",
    "Signals",
    "Waiter",
    "call_later",
    "current_actor",
    "deadline",
    "http_server",
    "in_thread",
    "may_wait",
    "now",
    "sleep",
    "spawn",
    "unpatched",
    "wait_dead",
    "wait_io",
]
