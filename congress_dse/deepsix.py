"""deepSix: the actor. What a message does to a service is written here, once, for every runtime.

A service owns tables (`pubdata`) and subscriptions (`subdata`). It is changed in its own turn: by
a message, by a timer of its own, or by a call given to `do`. Hooks that a subclass may define, and
that the base does not: ``reqhandler(msg)``, ``cmdhandler(msg)``, ``subhandler(msg)``,
``unsubhandler(msg)`` (a truthy return lets the subscriber go), ``d6run()`` and ``cleanup()``. Each
runs in the service's own turn; what it raises is logged and counted, and ends no other service.
Each, and every callback, may be a coroutine function: it is awaited in that turn, and the service
takes its next message after it.

Names and behaviour are those of OpenStack Congress's DSE (openstack/congress, 2014 to 2016).
"""

import logging
from abc import ABCMeta
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from congress_dse import exceptions, reserved
from congress_dse.d6message import d6msg
from congress_dse.publishing import publishing
from congress_dse.runtime import chosen as runtime
from congress_dse.runtime.mailbox import CAPACITY, Policy
from congress_dse.subscribing import subscribing
from congress_dse.tracing import here

LOG = logging.getLogger(__name__)

D6RUN_S = 1.0  # how often `d6run` of an old driver is called beside each message


@dataclass(frozen=True)
class ServiceStatistics:
    """Counts of one service since it was created; times in seconds."""

    depth: int
    capacity: int
    oldest_s: float
    received: int
    handled: int
    failed: int
    dropped: int
    coalesced: int
    mailbox_s: float
    handler_s: float
    in_hand: str
    in_hand_s: float


class Born(ABCMeta):
    """Starts a service once all its constructors have returned; one that raises leaves nothing."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made: Any = cls
        service = made.__new__(made, *args, **kwargs)
        try:
            service.__init__(*args, **kwargs)
        except BaseException:
            _undo(service)
            raise
        service.begin()
        return service


class deepSix(publishing, subscribing, metaclass=Born):
    """A service: an actor with a name, keys that reach it, tables and subscriptions."""

    mailbox_capacity = CAPACITY
    mailbox_policy: Policy = "reject"
    last_failure = ""  # what the last message that failed raised
    announced = True  # whether other nodes are told of it; what each node has of its own is not

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        reserved.check(cls, deepSix)

    def __init__(
        self,
        name: str,
        keys: Iterable[str],
        inbox: Any = None,
        dataPath: Any = None,
        args: Any = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.args = {} if args is None else args
        self.running = True
        self.cleaned = False
        self.inbox = inbox
        self.dataPath = dataPath
        self.keys: Any = [way for key in keys for way in (key, "local." + key)]
        self.keys += ["allservices", "local.allservices"]
        self.on_failure: Callable[[Any, d6msg, BaseException], bool] = _resume
        if isinstance(inbox, runtime.Mailbox):
            inbox.bound(self.mailbox_capacity, self.mailbox_policy)
        self.publish("routeKeys", {"keys": self.keys})

    def begin(self) -> None:
        super().begin()
        if hasattr(self, "d6run"):
            self.do(self._d6run)

    @property
    def _running(self) -> bool:
        """The same as `running`, under the name of the later Congress."""
        return self.running

    @_running.setter
    def _running(self, running: bool) -> None:
        self.running = running

    def receive(self, msg: d6msg) -> None:
        """Do what `msg` asks; raises UnknownMessageType for a type that is none."""
        name = RECEIVERS.get(msg.type)
        if name is None:
            raise exceptions.UnknownMessageType(
                f"{self.name}: message of unknown type {msg.type!r} from {msg.replyTo!r}"
            )
        if msg.deadline is not None and msg.deadline < runtime.now():
            self._dead(msg, "expired")
            return
        try:
            if not here.used:
                getattr(self, name)(msg)
                return
            with here.handling(self.name, msg):
                getattr(self, name)(msg)
        except runtime.Failure:
            raise
        except BaseException as error:
            raise runtime.failure(error) from error

    def failed(self, msg: d6msg, error: BaseException) -> bool:
        """Log, and let supervision decide whether the service goes on."""
        LOG.error("%s: %r failed", self.name, msg, exc_info=error)
        self.last_failure = f"{type(error).__name__}: {error}"
        self._refuse(msg, error)
        return self.on_failure(self, msg, error)

    def inshut(self, msg: d6msg) -> None:
        """Shut down: end every subscription, every timer and the service's keys."""
        for corrId in list(self.subdata):
            self.unsubscribe(corrId=corrId)
        self.running = False
        self.keys = []
        self.publish("routeKeys", {"keys": []})

    def instop(self, msg: d6msg) -> None:
        """End: ``cleanup`` if there is one, then the loop."""
        self.running = False
        self.cleaned = True
        if hasattr(self, "cleanup"):
            self.finish(self.cleanup())

    def intick(self, msg: d6msg) -> None:
        """Make the calls that are due."""
        self.tick(runtime.now())

    def indo(self, msg: d6msg) -> None:
        """Make a call that was given to `do`."""
        self.finish(msg.body())

    def ask(self, key: str, dataindex: str, args: Any = None, timeout_s: float = 10.0) -> Any:
        """Request `dataindex` of the service at `key` and wait for its answer; see `d6Cage.ask`.

        In a coroutine, ``await`` it.
        """
        return self.dataPath.ask(key, dataindex, args, timeout_s, replyTo=self.name)

    def statistics(self) -> ServiceStatistics:
        """A snapshot of this service's counts."""
        box = (self.inbox if isinstance(self.inbox, runtime.Mailbox) else _NO_MAILBOX).statistics()
        hand = self.in_hand
        return ServiceStatistics(
            depth=box.depth,
            capacity=box.capacity,
            oldest_s=box.oldest_s,
            received=box.received,
            handled=self.handled,
            failed=self.failures,
            dropped=box.dropped,
            coalesced=box.coalesced,
            mailbox_s=self.mailbox_s,
            handler_s=self.handler_s,
            in_hand="" if hand is None else repr(hand),
            in_hand_s=0.0 if hand is None else runtime.now() - self.in_hand_since,
        )

    def counters(self) -> dict[str, float]:
        """What this life has counted; a subclass may add to it. None of it ever falls."""
        return {
            "handled": self.handled,
            "failed": self.failures,
            "mailbox_s": self.mailbox_s,
            "handler_s": self.handler_s,
        }

    def _d6run(self) -> None:
        """Call an old driver's ``d6run`` now and, as its loop did, again and again."""
        self.after(D6RUN_S, self._d6run)
        self.finish(self.d6run())


def _undo(service: Any) -> None:
    """Take back what a constructor began before it raised: subscriptions, timers, greenthreads."""
    for corrId in list(getattr(service, "subdata", ())):
        service.unsubscribe(corrId=corrId)
    if hasattr(service, "_owned"):
        service.release()


RECEIVERS = {
    "sub": "insub",
    "unsub": "inunsub",
    "resync": "inresync",
    "mark": "inmark",
    "pub": "inpubrep",
    "rep": "inpubrep",
    "req": "inreq",
    "pull": "inpull",
    "cmd": "incmd",
    "shut": "inshut",
    "stop": "instop",
    "tick": "intick",
    "do": "indo",
    "down": "indown",
    "lost": "inlost",
}
_NO_MAILBOX = runtime.Mailbox()


def _resume(_service: Any, _msg: d6msg, _error: BaseException) -> bool:
    """What a failed message does to a service that nobody supervises: it goes on with the next."""
    return True


def spawnService(cls: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Build a service and start it; return it."""
    return cls(*args, **kwargs)
