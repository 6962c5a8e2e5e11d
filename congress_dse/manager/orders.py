"""What the master can be asked, by a signal, by the control socket or by the application itself."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from congress_dse.counters import Sums
from congress_dse.exceptions import NoSuchWorker
from congress_dse.manager.deaths import one_line
from congress_dse.manager.fleet import Fleet
from congress_dse.manager.hooks import Hooks
from congress_dse.manager.inquiry import Inquiry, deadline, row
from congress_dse.manager.lines import Message
from congress_dse.manager.poison import Poison
from congress_dse.manager.roster import Decision

LOG = logging.getLogger(__name__)
Answer = Future[Any]
METRICS = "metrics"  # what a worker is asked for that has counters
SAME_BREATH_S = 0.5  # a terminal, a shell and `timeout` may each send the signal of one wish


class Listens(Protocol):
    """A worker's ear."""

    def tell(self, order: Message) -> None:
        """Give an order."""


class Host(Protocol):
    """What an order needs of the master."""

    fleet: Fleet
    hooks: Hooks
    poison: Poison
    waiting: dict[str, list[Answer]]
    inquiries: dict[str, Inquiry]
    sums: Sums
    interrupted_at: float

    def obey(self, decisions: list[Decision]) -> None:
        """Carry out decisions."""

    def ear(self, serial: int) -> Listens:
        """The ear of one worker."""
        ...

    def tell_service(self, service: str, order: Message) -> None:
        """Give an order to every worker of a service."""


def _stop(master: Host, request: Message, answer: Answer) -> None:
    LOG.info("stop, by %s", request.get("from", "request"))
    master.obey(master.fleet.stop(time.monotonic()))
    answer.set_result({"state": "stopping"})


def _interrupt(master: Host, request: Message, answer: Answer) -> None:
    """Stop gracefully; asked once more, and not in the same breath, at once."""
    now = time.monotonic()
    if master.fleet.ending is None:
        master.interrupted_at = now
    if master.fleet.ending is None or now - master.interrupted_at > SAME_BREATH_S:
        _stop(master, request, answer)
    else:
        answer.set_result({"state": "stopping"})


def _stop_now(master: Host, request: Message, answer: Answer) -> None:
    LOG.warning("stop at once, by %s", request.get("from", "request"))
    master.obey(master.fleet.stop_now(time.monotonic()))
    answer.set_result({"state": "stopping"})


def _late(master: Host, _request: Message, answer: Answer) -> None:
    master.obey(master.fleet.late(time.monotonic()))
    answer.set_result({})


def _reload(master: Host, request: Message, answer: Answer) -> None:
    LOG.info("reload, by %s", request.get("from", "request"))
    _answer_later(master, "reload", request, answer)
    try:
        master.hooks.reload()
    except Exception as error:
        LOG.debug("the new configuration is refused", exc_info=True)  # the fleet says the cause
        cause = one_line(f"{type(error).__name__}: {error}")
        master.obey(master.fleet.refuse(cause, time.monotonic()))
    else:
        master.obey(master.fleet.reload(time.monotonic()))


def _resize(master: Host, request: Message, answer: Answer) -> None:
    workers = request["workers"]
    if not isinstance(workers, int) or workers < 0:
        raise ValueError(f"workers must be a whole number from 0, not {workers!r}")
    master.obey(master.fleet.resize(request["service"], workers, time.monotonic()))
    _tell_slots(master, request["service"])
    answer.set_result({"service": request["service"], "workers": workers})


def _restart(master: Host, request: Message, answer: Answer) -> None:
    service, slot = _named(request["name"], master)
    crew = master.fleet.crew(service, slot)
    if slot is not None and crew.spec.overlap and crew.inside(slot, "ready"):
        _answer_later(master, f"restart {service}.{slot}", request, answer)
    else:
        answer.set_result({"cause": ""})
    master.obey(master.fleet.restart(service, slot, time.monotonic()))
    _tell_slots(master, service)


def _drain(master: Host, request: Message, answer: Answer) -> None:
    service, slot = _named(request["name"], master)
    if slot is None:
        raise NoSuchWorker(f"{service} is a service; name one worker, such as {service}.0")
    master.obey(master.fleet.drain(service, slot, time.monotonic()))
    _tell_slots(master, service)
    answer.set_result({"name": request["name"]})


def _tell_slots(master: Host, service: str) -> None:
    """Tell a service's workers which of them are to serve, for those that share out work."""
    slots = master.fleet.crew(service).slots()
    master.tell_service(service, {"order": "resized", "slots": slots})


def _level(master: Host, request: Message, answer: Answer) -> None:
    level = str(request["level"]).upper()
    logging.getLogger().setLevel(level)
    for service in master.fleet.crews:
        master.tell_service(service, {"order": "level", "level": level})
    answer.set_result({"level": level})


def _replay(master: Host, request: Message, answer: Answer) -> None:
    service, key = request["service"], request["key"]
    ready = [m for m in master.fleet.crew(service).members.values() if m.state == "ready"]
    if not ready:
        raise NoSuchWorker(f"{service}: no worker is ready to take {key}")
    work = master.poison.replay(service, key)
    master.tell_service(service, {"order": "parked", "keys": master.poison.keys(service)})
    master.ear(ready[0].serial).tell({"order": "replay", "key": key, "payload": work.payload})
    answer.set_result({"key": key, "worker": ready[0].name})


def _stacks(master: Host, request: Message, answer: Answer) -> None:
    service, slot = _named(request["name"], master)
    found = [m for m in master.fleet.members() if m.service == service and m.slot == slot]
    if not found:
        raise NoSuchWorker(f"{request['name']} is not running")
    ticket = f"stacks {found[-1].serial} {id(answer)}"
    master.waiting.setdefault(ticket, []).append(answer)
    master.ear(found[-1].serial).tell({"order": "stacks", "id": ticket})


def _inquire(master: Host, request: Message, answer: Answer) -> None:
    """Ask every worker that is built, or those named by ``pids`` or ``worker``, about itself."""
    _ask_all(master, request, answer, list)


def _metrics(master: Host, request: Message, answer: Answer) -> None:
    """Ask every worker for its metrics; the counters of all are summed, and none is forgotten."""

    def summed(rows: list[Message]) -> Message:
        counters = [*master.sums.series(), *master.fleet.counters()]
        return {"counters": counters, "gauges": master.fleet.gauges(), "workers": _light(rows)}

    _ask_all(master, {**request, "what": METRICS}, answer, summed)


def _light(rows: list[Message]) -> list[Message]:
    """The rows without their counters, which are in the sums."""
    return [{**r, "answer": {"gauges": r["answer"].get("gauges", [])}} for r in rows]


def _ask_all(
    master: Host, request: Message, answer: Answer, told: Callable[[list[Message]], Any]
) -> None:
    now = time.monotonic()
    pids, worker = request.get("pids"), request.get("worker")
    asked = [m for m in master.fleet.members() if m.ready_at is not None]
    if pids is not None:
        asked = [m for m in asked if m.pid in pids]
    if worker:
        asked = [m for m in asked if m.name == worker]
    ticket = f"inquiry {id(answer)} {now}"
    rows = {m.serial: row(m.name, m.pid, m.state, now) for m in asked}
    inquiry = Inquiry(answer, deadline(request), rows, set(rows), told)
    order = {"order": "inquire", "id": ticket, "what": request["what"]}
    order |= {"args": request.get("args"), "turn": bool(request.get("turn"))}
    for member in asked:
        master.ear(member.serial).tell(order)
    if not inquiry.over(now):
        master.inquiries[ticket] = inquiry


def _named(name: str, master: Host) -> tuple[str, int | None]:
    service, dot, slot = name.rpartition(".")
    if name in master.fleet.crews or not dot or not slot.isdigit():
        return name, None
    return service, int(slot)


def _answer_later(master: Host, about: str, request: Message, answer: Answer) -> None:
    if request.get("wait"):
        master.waiting.setdefault(about, []).append(answer)
    else:
        answer.set_result({"cause": ""})


ORDERS: dict[str, Callable[[Host, Message, Answer], None]] = {
    "stop": _stop,
    "interrupt": _interrupt,
    "stop-now": _stop_now,
    "late": _late,
    "reload": _reload,
    "resize": _resize,
    "restart": _restart,
    "drain": _drain,
    "level": _level,
    "replay": _replay,
    "stacks": _stacks,
    "inquire": _inquire,
    "metrics": _metrics,
}
