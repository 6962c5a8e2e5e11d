"""d6Cage: the bus. It creates services, routes what they send, watches over them and ends them.

Sending is a lookup of the key and an append to each mailbox it reaches. What nobody matches is a
dead letter, but a subscription that comes before its publisher waits for it. ``d6Cage()`` returns
the process's cage; with a name it makes one that is apart from it.
"""

import copy
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from congress_dse import deepsix, exceptions, modules
from congress_dse.amqprouter import routeTable
from congress_dse.asks import Asks
from congress_dse.d6message import d6msg
from congress_dse.deadletters import DeadLetter, DeadLetters
from congress_dse.endings import drain, drain_coroutines
from congress_dse.exceptions import DataServiceError
from congress_dse.neighbours import Neighbours
from congress_dse.runtime import chosen as runtime
from congress_dse.runtime.mailbox import CAPACITY
from congress_dse.supervision import Policy, Strategy
from congress_dse.tracing import here
from congress_dse.upkeep import Plan, Upkeep, label
from congress_dse.waitingroom import WaitingRoom

__all__ = ["DataServiceError", "d6Cage", "delete_cage"]

LOG = logging.getLogger(__name__)
STOP_S = 10.0  # for all of d6stop
STEP_S = 2.0  # for one service to handle what is queued and clean up
ASK_S = 10.0

_cages: dict[type, "d6Cage"] = {}


class _Single(deepsix.Born):
    """Makes ``d6Cage()`` the process's one cage for as long as it runs."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs:
            return super().__call__(*args, **kwargs)
        cage = _cages.get(cls)
        if cage is None or cage.stopped:
            cage = _cages[cls] = super().__call__()
        return cage


def delete_cage() -> None:
    """End the process's cage, with all its services, if there is one."""
    for cage in list(_cages.values()):
        cage.d6stop()
    _cages.clear()


@dataclass(frozen=True)
class CageStatistics:
    """Counts of the whole bus; see `ServiceStatistics` for one service."""

    services: dict[str, deepsix.ServiceStatistics]
    routes: dict[str, int]
    dead_letters: dict[str, Any]
    restarts: dict[str, int]
    failures: dict[str, str]
    open_asks: int
    ask_timeouts: int
    waiting_subscriptions: int


class d6Cage(deepsix.deepSix, metaclass=_Single):
    """The services of one process, and the bus between them."""

    def __init__(self, name: str = "d6cage") -> None:
        self.config: dict[str, Any] = {"modules": {}, "services": {}}
        self.default_service_args: dict[str, dict[str, Any]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.table = routeTable()
        self.dead_letters = DeadLetters()
        self.bus = Neighbours(self)
        self.asks = Asks(self.bus.probe_wait)
        self.stopped = self.stopping = False
        self.blocks: dict[str, int] = {}  # how often a service has blocked the hub
        self.notice: Callable[[str, str, str, str], object] = _nobody
        self._unheard = WaitingRoom()
        inbox = self._mailbox(name)
        super().__init__(name, ["python.d6cage"], inbox, self)
        self.upkeep = Upkeep(self)
        keys = [*self.keys, name, "local." + name, "router", "local.router"]
        self.table.add(keys, inbox)
        about = {"name": name, "description": "deepsix python cage", "inbox": inbox, "args": {}}
        self.services[name] = {**about, "keys": self.keys, "type": None, "id": None}

    # The bus.

    def routemsg(self, msg: d6msg) -> None:  # noqa: C901 (a call more would cost each message)
        """Bring `msg` to every mailbox that its key reaches.

        Waits, or raises MailboxFull, as the policy of a full mailbox says, once all others have it.
        Raises InvalidKey for a key that is none.
        """
        if here.used:
            here.mark(msg)
        if msg.type == "rep" and self.asks.answered(msg):
            return
        inboxes = self.table.routes(msg.key)
        if msg.via:
            inboxes = _near(inboxes)
        if not inboxes:
            self._unmatched(msg)
        full: exceptions.MailboxFull | None = None
        for inbox in inboxes:
            try:
                if inbox.put(msg) is False:
                    self._wait_for_room(inbox, msg)
            except exceptions.MailboxFull as error:
                full = error
        if full is not None:
            raise full

    def put_nowait(self, msg: d6msg) -> None:
        """The same as `routemsg`, under the name that a `dataPath` has."""
        self.routemsg(msg)

    def tell(self, key: str, dataindex: str, args: Any = None) -> None:
        """Order whoever has `key` to do `dataindex`; nobody waits for an answer."""
        self.routemsg(d6msg(key, self.name, "", "cmd", dataindex, args))

    def ask(
        self,
        key: str,
        dataindex: str,
        args: Any = None,
        timeout_s: float = ASK_S,
        replyTo: str = "",
    ) -> Any:
        """Request `dataindex` of whoever has `key`, wait, and return the data of the first answer.

        Raises AskTimeout, saying what the receiver was doing; DeadlockError where the receiver
        waits for the caller; NothingMatched; RequestFailed with the receiver's error;
        EngineStopped. In a coroutine it answers with what to await; native threads may call it.
        """
        if self.stopping:
            raise exceptions.EngineStopped(f"{self.name} is stopping: ask {dataindex!r} of {key!r}")
        msg = d6msg(key, replyTo or self.name, "", "req", dataindex, args)
        args = (msg, timeout_s, self.table.routes(key), runtime.current_actor())
        if runtime.in_loop():
            return runtime.beside(self._ask, *args)
        return self._ask(*args)

    def _ask(self, msg: d6msg, timeout_s: float, routes: tuple[Any, ...], actor: Any) -> Any:
        args = (msg, timeout_s, routes, self.routemsg, self._doing, actor)
        if not here.used:
            return self.asks.ask(*args)
        with here.asking(msg.replyTo, msg):
            return self.asks.ask(*args)

    def bury(
        self, msg: d6msg, reason: str, receiver: str = "", attempts: int = 0, stack: str = ""
    ) -> None:
        """Make a dead letter of `msg`, and tell whoever waits for an answer to it."""
        if msg.deadline is not None and reason != "expired":
            self._to_asker(msg, _error_reply(msg, f"{receiver or msg.key}: {reason}"))
        self.dead_letters.add(msg, reason, receiver, attempts, stack)

    def replay(self, number: int) -> bool:
        """Send dead letter `number` once more, to its receiver or by its key; False for none."""
        letter = self.dead_letters.take(number)
        if letter is None:
            return False
        letter.msg.deadline = None
        letter.msg.attempts = letter.attempts + 1
        service = self.services.get(letter.receiver)
        if service is None:
            self.routemsg(letter.msg)
        elif service["inbox"].put(letter.msg) is False:
            self._wait_for_room(service["inbox"], letter.msg)
        return True

    def letters(self) -> list[DeadLetter]:
        """The dead letters that are kept, oldest first."""
        return self.dead_letters.letters()

    # Services.

    def createservice(  # noqa: PLR0913 - the first eight are Congress's own
        self,
        name: str = "",
        keys: Iterable[str] = (),
        description: str = "",
        moduleName: str = "",
        args: dict[str, Any] | None = None,
        module_driver: bool = False,
        type_: str | None = None,
        id_: str | None = None,
        *,
        factory: Callable[..., Any] | None = None,
        policy: Policy | None = None,
        group: str = "",
        on_failure: str = "resume",
    ) -> Any:
        """Create a service, start it and return it.

        It is made by `factory`, or by ``d6service`` of a module that was loaded; either is called
        with ``(name, keys, inbox, datapath, args)``. `policy` and `group` say how its death is
        met, and `on_failure` whether the failure of a message is one: ``resume`` or ``restart``.
        Raises DataServiceError, and leaves nothing behind, when the service cannot be had.
        """
        if factory is None:
            module = modules.find(moduleName, module_driver)
            factory = getattr(module, "d6service", None)
            if factory is None:
                raise DataServiceError(
                    f"error loading service {name!r}: module {moduleName!r} has no d6service"
                )
        self._check_new(name, replace=module_driver)
        defaults = copy.deepcopy(self.default_service_args.get(name, {}))
        args = {**defaults, **(args or {})}
        keys = keys if isinstance(keys, list | tuple) else list(keys)  # for each life anew
        plan = Plan(name, factory, keys, args, self._mailbox(name), policy, group, on_failure)
        about = {"description": description, "moduleName": moduleName, "type": type_, "id": id_}
        self.upkeep.create(plan, about)
        self.publish("services", self.services)
        LOG.log(_level(name), "%s: created service %s", self.name, name)
        return self.services[name]["object"]

    def deleteservice(self, name: str, step_s: float = STEP_S) -> None:
        """End a service: ``cleanup``, the greenthread, its routes and its subscriptions.

        One that has not ended after `step_s` is killed. Its polls and actions are ended, too, and
        their cleanup is waited for.

        Raises NoSuchService for a name that is none.
        """
        if name not in self.services or name == self.name:
            raise exceptions.NoSuchService(f"{self.name} has no service {name!r} to delete")
        service = self.services[name]["object"]
        self.upkeep.finish(name, step_s)
        self.publish("services", self.services)
        LOG.log(_level(name), "%s: deleted service %s", self.name, name)
        drain(service)

    def service_object(self, name: str) -> Any:
        """The service of this name, or None."""
        return self.services.get(name, {}).get("object")

    def getservices(self) -> dict[str, dict[str, Any]]:
        """Every service by its name, the cage itself among them; deleting one changes it not."""
        return dict(self.services)

    def getservice(
        self, id_: str | None = None, type_: str | None = None, name: str | None = None
    ) -> dict[str, Any] | None:
        """The first service that has all that is given, or None."""
        wanted = {"id": id_, "type": type_, "name": name}
        given = {key: value for key, value in wanted.items() if value}
        for service in self.services.values():
            if all(service.get(key) == value for key, value in given.items()):
                return service
        return None

    def group(self, name: str, strategy: Strategy = "one", policy: Policy | None = None) -> None:
        """Make a group of services that are supervised together; see `supervision`."""
        self.upkeep.group(name, strategy, policy)

    def watch(self, name: str, callback: Callable[[str, Any], Any], watcher: str = "") -> None:
        """Have ``callback(name, cause)`` called once when the service `name` ends.

        It is called in the turn of the service `watcher`, or of the cage.
        """
        if name not in self.services:
            raise exceptions.NoSuchService(f"{self.name} has no service {name!r} to watch")
        self.upkeep.watch(name, callback, watcher or self.name)

    # Modules and configuration.

    def loadModule(self, name: str, filename: str) -> None:
        """Import a module file under `name`; nothing happens when that is imported."""
        modules.load(name, filename)

    def load_modules_from_config(self) -> None:
        """Load every module of `config`."""
        for name, section in self.config["modules"].items():
            self.loadModule(name, section["filename"])

    def load_services_from_config(self) -> None:
        """Create every service of `config`."""
        for name, section in self.config["services"].items():
            self.createservice(name, **section)

    def newConfig(self, msg: d6msg) -> None:
        """Load and create what a configuration names and the cage lacks; a fault ends nothing."""
        config = getattr(msg.body, "data", msg.body)
        if not isinstance(config, dict) or not config:
            return
        for name, section in config.get("modules", {}).items():
            self._tried(name, self.loadModule, name, section["filename"])
        for name, section in config.get("services", {}).items():
            if name not in self.services:
                self._tried(name, self.createservice, name, **section)
        self.config = {"modules": {}, "services": {}, **config}

    def d6reload(self, msg: d6msg) -> None:
        """Load the module of one service anew and put a new service in the place of the old.

        The old one goes on when the new code does not load.
        """
        name = getattr(msg.body, "data", msg.body)["service"]
        if name not in self.services or name == self.name:
            raise exceptions.NoSuchService(f"{self.name} has no service {name!r} to reload")
        module = self.services[name]["moduleName"]
        if module:
            modules.anew(module)
        self.upkeep.renew(
            name, getattr(modules.find(module), "d6service", None) if module else None
        )

    def cmdhandler(self, msg: d6msg) -> None:
        """Do what the bus is told: ``reload`` of a service."""
        if msg.dataindex == "reload":
            self.d6reload(msg)
        else:
            self.bury(msg, "unknown command", self.name)

    def updateRoutes(self, msg: d6msg) -> Any:
        """Route what a service publishes as its keys, and no more what it had before."""
        self.upkeep.reroute(msg.replyTo, list(msg.body.data["keys"]))
        return msg.body.data

    # The end.

    def d6stop(self, deadline_s: float = STOP_S) -> list[str]:
        """End every service, newest first, then the cage; return the names that had to be killed.

        Each service handles what is queued and cleans up, within two seconds and all of them within
        `deadline_s`. Afterwards no greenthread, timer or mailbox of the cage is left.
        """
        if self.stopping:
            return []
        self.stopping = True
        end = runtime.now() + deadline_s
        killed = []
        for name in reversed(list(self.services)):
            if name != self.name:
                step_s = min(STEP_S, max(0.0, end - runtime.now()))
                killed += self.upkeep.finish(name, step_s, end)
        self.asks.refuse_all(exceptions.EngineStopped(f"{self.name} has stopped"))
        self.upkeep.end()
        drain_coroutines(end)
        self.stopped = True
        LOG.info("%s: stopped; killed: %s", self.name, ", ".join(killed) or "none")
        return killed

    # What is known.

    def statistics(self) -> CageStatistics:  # type: ignore[override]
        """A snapshot of the counts of the bus and of every service."""
        own = super().statistics()
        services = {
            name: service["object"].statistics()
            for name, service in self.services.items()
            if isinstance(service.get("object"), deepsix.deepSix)
        }
        return CageStatistics(
            services={self.name: own, **services},
            routes=self.table.statistics(),
            dead_letters=self.dead_letters.statistics(),
            restarts=self.upkeep.restarts(),
            failures=self.upkeep.failures(),
            open_asks=len(self.asks),
            ask_timeouts=self.asks.timeouts,
            waiting_subscriptions=len(self._unheard),
        )

    def heard(self, patterns: Iterable[str]) -> None:
        """Send the subscriptions on their way that waited for one of `patterns`."""
        for msg in self._unheard.leave(patterns, self.table.routes):
            self.routemsg(msg)  # one that came over a link, and hears but a link, waits on

    def _mailbox(self, name: str) -> runtime.Mailbox:
        mailbox = runtime.Mailbox(name)
        mailbox.on_drop = lambda msg, reason: self.bury(msg, reason, name)
        return mailbox

    def _check_new(self, name: str, replace: bool) -> None:
        if self.stopping:
            raise exceptions.EngineStopped(f"{self.name} is stopping: no new service {name!r}")
        if not name or not isinstance(name, str):
            raise DataServiceError(f"error loading service: {name!r} is no name")
        if name in self.services:
            if not replace or name == self.name:
                raise DataServiceError(f"error loading service {name!r}: name already in use")
            self.deleteservice(name)
        elif node := self.bus.taken(name):
            raise DataServiceError(
                f"error loading service {name!r}: name already in use at node {node}"
            )

    def _unmatched(self, msg: d6msg) -> None:
        """What happens to a message that no key matches: it waits, or it is dead."""
        if msg.type in {"sub", "pull"}:
            self._unheard.enter(msg)
        elif msg.type == "unsub":
            self._unheard.forget(msg.correlationId)
        elif msg.deadline is not None:
            text = f"no service has the key {msg.key!r}"
            self.dead_letters.add(msg, "nothing matched")
            self._to_asker(msg, _error_reply(msg, text, exceptions.NothingMatched))
        else:
            self.bury(msg, "nothing matched")

    def _to_asker(self, msg: d6msg, reply: d6msg) -> None:
        """Give the answer to `msg` to whoever waits for it, here or beyond a link."""
        if not self.asks.answered(reply) and msg.via:
            self.routemsg(reply)

    def _wait_for_room(self, inbox: Any, msg: d6msg) -> None:
        """Hold the sender until `inbox` has room; one that cannot wait is refused.

        A coroutine cannot wait in a call that is not awaited: its message is held, and its service
        waits at the end of the turn. No more than `CAPACITY` messages are held for one mailbox.
        """
        actor = runtime.current_actor()
        waits = runtime.may_wait()
        if (
            (actor is not None and actor.inbox is inbox)
            or (actor is None and not waits)
            or (not waits and len(inbox.room) >= CAPACITY)
        ):
            self.bury(msg, "mailbox full", inbox.name)
            raise exceptions.MailboxFull(
                f"mailbox of {inbox.name!r} is full: {len(inbox)} messages wait, and "
                f"{msg.replyTo!r} cannot wait for room here"
            )
        room = runtime.Waiter()
        held = inbox.hold(msg, room.send)
        if waits:
            self._await_room(inbox, held, room, actor)
        elif actor is not None:
            actor.put_off(self._await_room, inbox, held, room, actor)

    def _await_room(self, inbox: Any, held: Any, room: runtime.Waiter, actor: Any) -> None:
        msg = held.msg
        left_s = None if msg.deadline is None else max(0.0, msg.deadline - runtime.now())
        try:
            in_time = self.asks.wait_for_room(actor, inbox.name, msg.dataindex, room, left_s)
        except exceptions.DeadlockError:
            if inbox.give_up(held):
                self.bury(msg, "mailbox full", inbox.name)
            raise
        except BaseException:
            inbox.give_up(held)
            raise
        if not in_time and inbox.give_up(held):
            self.bury(msg, "expired", inbox.name)

    def _doing(self, receivers: tuple[Any, ...]) -> str:
        """What the receivers of an ask are at: for the one who waited in vain."""
        names = [inbox.name for inbox in receivers if hasattr(inbox, "name")]
        return "; ".join(self._at(name) for name in names) or "nobody has this key any more"

    def _at(self, name: str) -> str:
        service = self if name == self.name else self.service_object(name)
        if not isinstance(service, deepsix.deepSix):
            return f"{name} is gone"
        box = super(d6Cage, service).statistics() if service is self else service.statistics()
        if not box.in_hand:
            return f"{name} has {box.depth} messages waiting and none in hand"
        return (
            f"{name} has {box.depth} messages waiting and {box.in_hand} in hand for "
            f"{box.in_hand_s:.1f} s, at {service.top_frame()}"
        )

    def _tried(self, name: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            call(*args, **kwargs)
        except DataServiceError:
            LOG.exception("%s: %s of the new configuration is left out", self.name, name)


def _level(name: str) -> int:
    """What a node has of its own is not news to an operator."""
    return logging.INFO if label(name) == name else logging.DEBUG


def _nobody(_kind: str, _subject: str, _text: str, _level: str) -> None:
    """Whom a cage tells what happened, where nobody keeps a timeline."""


def _error_reply(msg: d6msg, text: str, kind: type[Exception] = exceptions.RequestFailed) -> d6msg:
    return d6msg(msg.replyTo, msg.key, msg.correlationId, "rep", msg.dataindex, kind(text))


def _near(inboxes: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(inbox for inbox in inboxes if not getattr(inbox, "far", False))
