"""Upkeep: the lives of a cage's services: birth, death, what supervision says of it, and the end.

A service that dies keeps its mailbox and its routes for its next life, so no message is lost;
those who followed its tables are told and subscribe to the next life. A message that kills its
receiver `ATTEMPTS` times is parked among the dead letters.
"""

import logging
import math
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from congress_dse import deepsix, exceptions
from congress_dse.d6message import d6msg
from congress_dse.endings import DRAIN_S, clean_up, drain
from congress_dse.runtime import chosen as runtime
from congress_dse.supervision import Child, Policy, Strategy, Supervisor, Verdict

LOG = logging.getLogger(__name__)
ATTEMPTS = 3  # lives that one message may cost
TRIED_KEPT = 8  # messages of a service whose costs are remembered; each waits before all others
PAST_MAX = 2000  # names of services that ended, whose counts are kept
NODES_OWN = frozenset({"link", "facts", "engine", "api"})
UNREAD_MAX = 100  # messages kept for a service that is no actor

_GROUPS = Policy(intensity=3, period_s=60.0)


@dataclass
class Plan:
    """How a service is made, and made again."""

    name: str
    factory: Callable[..., Any]
    keys: Iterable[str]
    args: dict[str, Any]
    inbox: runtime.Mailbox
    policy: Policy | None = None
    group: str = ""
    on_failure: str = "resume"
    patterns: list[str] = field(default_factory=list)
    watchers: list[tuple[str, Callable[[str, Any], Any]]] = field(default_factory=list)
    routing: str = ""
    ending: bool = False
    failure: str = ""
    tried: dict[int, tuple[d6msg, int]] = field(default_factory=dict)


class Upkeep:
    """Keeps the services of one cage alive, and ends them."""

    def __init__(self, cage: Any) -> None:
        self._cage = cage
        self._plans: dict[str, Plan] = {}
        self._groups: dict[str, Supervisor] = {"": Supervisor()}
        self._root = Supervisor(policy=_GROUPS)
        self.failed_groups: dict[str, str] = {}
        self.past: dict[str, dict[str, float]] = {}  # what lives that are over have counted

    def group(self, name: str, strategy: Strategy, policy: Policy | None) -> None:
        """Make a group; its own death is that of all its services."""
        if name in self._groups:
            raise exceptions.DataServiceError(f"group {name!r} exists already")
        self._groups[name] = Supervisor(strategy, policy)
        self._root.add(name)

    def create(self, plan: Plan, about: dict[str, Any]) -> None:
        """Make the service of `plan` and put it on the bus; what fails leaves nothing behind."""
        if plan.group not in self._groups:
            raise exceptions.DataServiceError(
                f"error loading service {plan.name!r}: there is no group {plan.group!r}"
            )
        cage, name = self._cage, plan.name
        if plan.on_failure not in ON_FAILURE:
            raise exceptions.DataServiceError(
                f"error loading service {name!r}: on_failure {plan.on_failure!r} is none of "
                f"{', '.join(ON_FAILURE)}"
            )
        try:
            self._route(plan, [name, "local." + name])
            service = self._made(plan)
        except exceptions.InvalidKey as error:
            raise exceptions.DataServiceError(f"error loading service {name!r}: {error}") from error
        except exceptions.DataServiceError:
            self._route(plan, [])
            raise
        entry = {"name": name, "object": service, "inbox": plan.inbox, "keys": plan.keys}
        cage.services[name] = {**entry, **about, "args": plan.args}
        self._plans[name] = plan
        self._groups[plan.group].add(name, plan.policy)
        try:
            self._adopt(plan, service)
        except exceptions.InvalidKey as error:
            self.finish(name, 0.0)
            raise exceptions.DataServiceError(f"error loading service {name!r}: {error}") from error
        if isinstance(service, deepsix.deepSix):
            plan.routing = cage.subscribe(name, "routeKeys", callback=cage.updateRoutes, interval=5)
        else:
            # Nobody reads for an object that is no actor: what comes for it must not pile up.
            plan.inbox.bound(UNREAD_MAX, "drop-old")

    def reroute(self, name: str, keys: list[str]) -> None:
        """Route exactly `keys`, and the service's own name, to it."""
        plan = self._plans.get(name)
        if plan is not None and set(plan.patterns) != {*keys, name, "local." + name}:
            self._route(plan, [name, "local." + name, *keys])
            self._cage.bus.announce(name, plan.patterns)
            self._cage.heard(keys)

    def watch(self, name: str, callback: Callable[[str, Any], Any], watcher: str) -> None:
        """Note who is to be told of the end of `name`."""
        self._plans[name].watchers.append((watcher, callback))

    def renew(self, name: str, factory: Callable[..., Any] | None) -> None:
        """Put a new service in the place of a running one."""
        plan = self._plans[name]
        plan.factory = factory or plan.factory
        self._end(plan, STEP_S)
        service = self._cage.services[name]["object"]
        self._depart(plan, service, "reloaded")
        drain(service)
        plan.ending = False
        self._rebirth(plan)

    def finish(self, name: str, step_s: float, at_last: float = math.inf) -> list[str]:
        """End one service for good, within `step_s`; return its name if it had to be killed.

        The cleanup of its coroutine then has `DRAIN_S`, and no longer than until `at_last`.
        """
        plan = self._plans.get(name)
        if plan is None:
            return []
        service = self._cage.services[name]["object"]
        in_time = False
        try:
            in_time = self._end(plan, step_s, at_last)
        finally:  # whoever ends it from its own coroutine is ended with it
            mine = self._plans.get(name) is plan  # somebody else may have ended it meanwhile
            if mine:
                self._forget(plan, service, in_time)
        return [name] if mine and not in_time else []

    def _forget(self, plan: Plan, service: Any, in_time: bool) -> None:
        """A service is over for good; what it had in hand when it was killed is never answered."""
        cage, name = self._cage, plan.name
        self._route(plan, [])
        if plan.routing:
            cage.unsubscribe(corrId=plan.routing)
        self._remember(name, service, self._of_the_name(name))
        self._groups[plan.group].remove(name)
        del self._plans[name]
        del cage.services[name]
        cage.bus.announce(name, [])
        held = getattr(service, "unfinished", None)
        if held is None and not in_time:
            held = getattr(service, "in_hand", None)
        for msg in [*([held] if held is not None else ()), *plan.inbox.close()]:
            cage.bury(msg, "stopped", name)
        self._depart(plan, service, "deleted")

    def end(self) -> None:
        """End the cage itself."""
        cage = self._cage
        cage.running = False
        cage.release()
        for msg in cage.inbox.close():
            cage.bury(msg, "stopped", cage.name)
        cage.services.clear()
        cage.table = type(cage.table)()
        cage.subdata.clear()
        if not cage.own_turn():
            cage.kill()

    def restarts(self) -> dict[str, int]:
        """How often each service was restarted."""
        children = [c for group in self._groups.values() for c in group.children.values()]
        return {child.name: child.restarts for child in children}

    def counters(self, service: Any) -> dict[str, float]:
        """What a service has counted in this life, and its mailbox and its restarts in all lives.

        May be called from any thread, as `past` may be read.
        """
        return {**service.counters(), **self._of_the_name(service.name)}

    def tree(self) -> list[dict[str, Any]]:
        """Every group, its policy, and the lives of its services; as plain data, to be read only.

        May be called from any thread.
        """
        now = runtime.now()
        return [
            {
                "group": name,
                "strategy": group.strategy,
                "intensity": group.policy.intensity,
                "period_s": group.policy.period_s,
                "failure": self.failed_groups.get(name, ""),
                "children": [_seen(c, name, now) for c in list(group.children.values())],
            }
            for name, group in list(self._groups.items())
        ]

    def failures(self) -> dict[str, str]:
        """The services and groups that were given up, with the first cause."""
        given_up = {plan.name: plan.failure for plan in self._plans.values() if plan.failure}
        return {**given_up, **self.failed_groups}

    def _of_the_name(self, name: str) -> dict[str, float]:
        plan = self._plans.get(name)
        box = self._cage.inbox if plan is None else plan.inbox
        restarts = 0
        if plan is not None and plan.group in self._groups:
            child = self._groups[plan.group].children.get(name)
            restarts = 0 if child is None else child.restarts
        return {
            "received": box.received,
            "dropped": box.dropped,
            "coalesced": box.coalesced,
            "restarts": restarts,
        }

    def _remember(self, name: str, service: Any, more: dict[str, float] | None = None) -> None:
        """Keep what a life has counted that is over."""
        if not isinstance(service, deepsix.deepSix):
            return
        kept = self.past.setdefault(label(name), {})
        for what, value in {**service.counters(), **(more or {})}.items():
            kept[what] = kept.get(what, 0.0) + value
        if len(self.past) > PAST_MAX:
            del self.past[next(iter(self.past))]

    # Birth.

    def _made(self, plan: Plan) -> Any:
        """Call the factory; what it raises becomes a DataServiceError with the service's name."""
        try:
            return plan.factory(plan.name, plan.keys, plan.inbox, self._cage, plan.args)
        except BaseException as error:
            runtime.failure(error)
            raise exceptions.DataServiceError(
                f"error loading service {plan.name!r}: {type(error).__name__}: {error}"
            ) from error

    def _adopt(self, plan: Plan, service: Any) -> None:
        """Route to a service that was just made, and watch over it."""
        now = runtime.now()
        self._groups[plan.group].started(plan.name, now)
        if isinstance(service, deepsix.deepSix):
            service.on_failure = self._message_failed
            service.link(self._ended, plan.name)
            self._route(plan, [plan.name, "local." + plan.name, *service.keys])
        self._cage.bus.announce(plan.name, plan.patterns)
        self._cage.heard(plan.patterns)

    def _rebirth(self, plan: Plan) -> None:
        """Make the service again, on the mailbox and the routes that it had."""
        if self._plans.get(plan.name) is not plan or self._cage.stopping:
            return
        try:
            service = self._made(plan)
        except exceptions.DataServiceError as error:
            self._died(plan, error)
            return
        self._remember(plan.name, self._cage.services[plan.name]["object"])
        self._cage.services[plan.name]["object"] = service
        plan.failure = ""
        self._adopt(plan, service)
        LOG.info("%s: restarted", plan.name)
        self._cage.notice("service-restarted", plan.name, "a new life has begun", "info")

    def _route(self, plan: Plan, patterns: list[str]) -> None:
        """Bind the mailbox to exactly `patterns`."""
        table = self._cage.table
        wanted = list(dict.fromkeys(patterns))
        table.add([p for p in wanted if p not in plan.patterns], plan.inbox)
        table.remove([p for p in plan.patterns if p not in wanted], plan.inbox)
        plan.patterns = wanted

    # Death.

    def _message_failed(self, service: Any, msg: d6msg, error: BaseException) -> bool:
        """Park what failed, or let the service die of it; return whether the service goes on."""
        plan = self._plans.get(service.name)
        if plan is None or plan.on_failure == "resume":
            self._park(service.name, msg, max(1, msg.attempts), error)
            return True
        self._once_more(plan, msg, error)
        return False

    def _once_more(self, plan: Plan, msg: d6msg, error: BaseException) -> None:
        """Give a message that cost a life to the next one, unless it has cost too many."""
        if msg.type == "do":
            # The call was given to the life that ended, and would be made on it once more.
            self._park(plan.name, msg, max(1, msg.attempts), error)
            return
        tried = plan.tried
        count = tried.pop(id(msg), (msg, max(0, msg.attempts - 1)))[1] + 1
        if count < ATTEMPTS:
            tried[id(msg)] = (msg, count)
            if len(tried) > TRIED_KEPT:
                del tried[next(iter(tried))]
            plan.inbox.again(msg)
        else:
            self._park(plan.name, msg, count, error)

    def _park(self, name: str, msg: d6msg, attempts: int, error: BaseException) -> None:
        stack = "".join(traceback.format_exception(error))
        self._cage.bury(msg, "failed", name, attempts, stack)

    def _ended(self, service: Any, name: str) -> None:
        """The greenthread of a service is over; it runs this, so the rest is done elsewhere."""
        plan = self._plans.get(name)
        if plan is not None and not plan.ending and not self._cage.stopping:
            self._cage.do(lambda: self._after_death(plan, service))

    def _after_death(self, plan: Plan, service: Any) -> None:
        cage = self._cage
        entry = cage.services.get(plan.name)
        if entry is None or entry["object"] is not service or plan.ending:
            return
        cause = service.cause if service.begun else runtime.Killed("before its first turn")
        service.release()
        if service.unfinished is not None:
            self._once_more(plan, service.unfinished, cause)
        plan.inbox.wake = _nobody
        for msg in plan.inbox.withdraw(lambda msg: msg.type == "do"):
            cage.bury(msg, "its life ended", plan.name)
        self._depart(plan, service, cause)
        if cause is None:
            self.finish(plan.name, 0.0)
        else:
            self._died(plan, cause)

    def _died(self, plan: Plan, cause: BaseException) -> None:
        group = self._groups[plan.group]
        verdict = group.died(plan.name, cause, runtime.now())
        LOG.warning(
            "%s: died of %s: %s; %s", plan.name, type(cause).__name__, cause, verdict.action
        )
        text = f"{type(cause).__name__}: {cause}; {verdict.action}"
        self._cage.notice("service-died", plan.name, text, "warning")
        self._obey(plan, verdict)

    def _obey(self, plan: Plan, verdict: Verdict) -> None:
        for name in verdict.stop:
            self._end(self._plans[name], STEP_S)
            self._depart(self._plans[name], self._cage.services[name]["object"], verdict.cause)
        if verdict.action == "give-up":
            self._give_up(plan, verdict)
        elif verdict.action == "forget":
            self.finish(plan.name, 0.0)
        else:
            self._restart_after(verdict.delay_s, verdict.start)

    def _restart_after(self, delay_s: float, names: Iterable[str]) -> None:
        plans = [self._plans[name] for name in names]
        self._cage.after(delay_s, self._restart, plans)

    def _restart(self, plans: list[Plan]) -> None:
        """Make those again that still are what they were: a name may have been given anew."""
        for plan in plans:
            if self._plans.get(plan.name) is plan:
                plan.ending = False
                self._rebirth(plan)

    def _give_up(self, plan: Plan, verdict: Verdict) -> None:
        """A service died too often: it stays down, visibly; a group as a whole may try again."""
        cause = f"{type(verdict.cause).__name__}: {verdict.cause}"
        plan.failure = f"given up after {verdict.deaths} deaths, first of {cause}"
        LOG.error("%s: %s", plan.name, plan.failure)
        self._cage.notice("service-given-up", plan.name, plan.failure, "error")
        if plan.group:
            above = self._root.died(plan.group, verdict.cause, runtime.now())
            if above.action == "restart":
                self._restart_after(above.delay_s, self._groups[plan.group].children)
            else:
                self.failed_groups[plan.group] = f"group given up with {plan.name}: {plan.failure}"
                LOG.error("%s: %s", plan.group, self.failed_groups[plan.group])
        if not plan.group or plan.group in self.failed_groups:
            for name in (plan.name, *verdict.stop):
                self._refuse_asks(self._plans[name], f"{plan.name}: {plan.failure}")

    def _refuse_asks(self, plan: Plan, why: str) -> None:
        """Answer whoever asks a service that stays down, now and from now on, with why it does.

        The rest of its mailbox waits for a next life, which takes the mailbox over.
        """
        cage, inbox, name = self._cage, plan.inbox, plan.name

        def refuse() -> None:
            for msg in inbox.withdraw(lambda msg: msg.deadline is not None):
                error = exceptions.ServiceGivenUp(why)
                reply = d6msg(msg.replyTo, name, msg.correlationId, "rep", msg.dataindex, error)
                cage.asks.answered(reply)
                cage.dead_letters.add(msg, "given up", name)
            inbox.idle = True

        inbox.wake = refuse
        refuse()

    def _depart(self, plan: Plan, service: Any, cause: Any) -> None:
        """Tell everybody whom the end of a service concerns, and withdraw its subscriptions."""
        cage, name = self._cage, plan.name
        if cage.stopping or not isinstance(service, deepsix.deepSix):
            return
        for corrId, sub in list(service.subdata.items()):
            cage.routemsg(d6msg(sub.key, name, corrId, "unsub", sub.dataindex))
        told: dict[str, list[Callable[[str, Any], Any]]] = {}
        for follower, _ in service.subscriber_list():
            told.setdefault(follower, [])
        for watcher, callback in plan.watchers:
            told.setdefault(watcher, []).append(callback)
        plan.watchers = []
        for follower, callbacks in told.items():
            body = {"name": name, "cause": cause, "watchers": callbacks}
            cage.routemsg(d6msg(follower, name, "", "down", "", body))

    # The end.

    def _end(self, plan: Plan, step_s: float, at_last: float = math.inf) -> bool:
        """Let a service handle what is queued and clean up; return whether it was in time."""
        plan.ending = True
        service = self._cage.services[plan.name]["object"]
        if not isinstance(service, deepsix.deepSix):
            clean_up(service, plan.name)
            return True
        if service.own_turn():
            service.running = False
            clean_up(service, plan.name)
        elif service.at_rest() or not runtime.may_wait():
            service.running = False
            clean_up(service, plan.name)
            service.kill()
        elif not self._ended_in(service, step_s, at_last):
            service.release()
            return False
        service.release()
        return True

    def _ended_in(self, service: Any, step_s: float, at_last: float) -> bool:
        """Put the end behind what is queued; kill a service that does not come to it in time."""
        stop = d6msg(type="stop")
        if isinstance(service.inbox, runtime.Mailbox):
            service.inbox.last(stop)
        else:
            service.inbox.put(stop)
        if runtime.wait_dead(service, step_s):
            return True
        LOG.warning(
            "%s: not ended after %.1f s, killed at %s", service.name, step_s, service.top_frame()
        )
        service.running = False
        service.kill()
        left_s = max(0.0, min(DRAIN_S, at_last - runtime.now()))
        if not runtime.wait_dead(service, left_s):
            LOG.warning("%s: a coroutine of it has still not ended", service.name)
        if not service.cleaned:
            clean_up(service, service.name)
        return False


def label(name: str) -> str:
    """What a service is counted as: what every node has of its own, by its kind."""
    kind = name.partition(".")[0]
    return kind if kind in NODES_OWN and "." in name else name


def _seen(child: Child, group: str, now: float) -> dict[str, Any]:
    started = child.started_at
    return {
        "name": child.name,
        "group": group,
        "restarts": child.restarts,
        "deaths": len(child.died_at),
        "up_s": None if started is None else round(now - started, 3),
        "last_error": _told(child.last_cause),
        "first_error": _told(child.first_cause),
    }


def _told(cause: Any) -> str:
    return "" if cause is None else f"{type(cause).__name__}: {cause}"


STEP_S = 2.0
ON_FAILURE = ("resume", "restart")


def _nobody() -> None:
    """The wake of a mailbox between two lives: what it takes waits."""
