"""Inquiries: one question to every node of the bus, answered in time by those that can.

Every node is asked at once, over the bus, and has `ASK_S`. A worker of this engine that is silent,
or that is not on the bus, is asked by its master: a native thread of the worker answers also while
its hub is blocked. Who did not answer at all is said beside what the others know.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from congress_dse import exceptions
from congress_dse.counters import Series
from congress_dse.factsdesk import KEY, REQUEST, desk_of
from congress_dse.inquest import TURN, Answer, Inquest
from congress_dse.manager.control import ask as ask_master
from congress_dse.runtime import chosen as runtime

ASK_S = 1.0  # for a node to answer over the bus
NATIVE_S = 0.7  # for a worker to answer its master
MASTER_S = 1.5  # for the master itself
SILENT_S = 5.0  # for which a silent worker is not waited for again over the bus
LIVES = frozenset({"ready", "stopping"})

Said = dict[str, Any]


class Inquiries:
    """Asks for one process of an engine; `control` is where its master listens, "" for none."""

    def __init__(self, bus: Any, inquest: Inquest, control: str = "") -> None:
        self._bus = bus
        self._inquest = inquest
        self.control = control
        self._silent: dict[str, float] = {}  # node to until when it is asked by its master alone

    def ask(self, what: str, args: Said | None = None, node: str = "") -> dict[str, list[Said]]:
        """What every node, or one, says; each fact has its ``node`` and ``worker``.

        ``asked`` has a row for each that was asked: whether it answered, how fast, and whether its
        hub is blocked, with the stack.
        """
        args = args or {}
        said: list[tuple[Said, Answer]] = []
        every = [n for n in self._nodes() if node in {"", n}]
        skipped = [n for n in every if self._known_silent(n, what)]
        names = [n for n in every if n not in skipped]
        if node in {"", self._bus.bus.node}:
            said.append(self._own(what, args))
        found = _together([partial(self._far, n, what, args) for n in names], self._workers)
        workers = found.pop()
        said += found
        why = {"answered": False, "cause": "silent a moment ago"}
        said += [({**_about(n, runtime.now()), **why}, {}) for n in skipped]
        silent = {about["node"] for about, _ in found if not about["answered"]}
        self._silent |= dict.fromkeys(silent, runtime.now() + SILENT_S)
        for one in self._by_the_master(what, args, workers, said, node):
            said.append(one)
            if one[0]["answered"] and not one[0]["blocked_s"]:
                self._silent.pop(one[0]["node"], None)  # it turns again
        still = [about for about, _ in said if about["answered"]]
        heard = {about["node"] for about in still}
        said = [one for one in said if one[0]["answered"] or one[0]["node"] not in heard]
        return _merged(said)

    def master(self, command: str, timeout_s: float = MASTER_S, **request: Any) -> Any:
        """What the master answers; None where there is none, or it does not."""
        if not self.control:
            return None
        order = {"command": command, **request}
        try:
            if runtime.PATCHED:  # the wait is a greenthread's
                return ask_master(self.control, order, timeout_s)
            return runtime.in_thread(ask_master, self.control, order, timeout_s)
        except exceptions.ControlError:
            return None

    def metrics(self) -> tuple[list[Series], list[Series]]:
        """Counters and gauges of the engine; the master sums the counters, and forgets none."""
        found = self.master("metrics", NATIVE_S + 0.6, within_s=NATIVE_S)
        if found is None:
            answer: Any = self._inquest.answer("metrics")
            return answer["counters"], answer["gauges"]
        gauges = list(found["gauges"])
        for one in found["workers"]:
            labels = {"worker": one["worker"]}
            gauges.append(["worker_up", labels, int(one["answered"])])
            gauges.append(["worker_blocked_seconds", labels, one["blocked_s"]])
            for name, known, value in one["answer"].get("gauges", ()):
                own = labels if name == "resident_memory_bytes" else {}
                gauges.append([name, {**known, **own}, value])
        return found["counters"], gauges

    def _nodes(self) -> list[str]:
        """The far nodes that have a desk."""
        known = list(self._bus.bus.directory.nodes.values())
        return [n.id for n in known if desk_of(n.id) in n.services]

    def _known_silent(self, node: str, what: str) -> bool:
        """Whether a worker of this engine was silent just now: its master is asked at once."""
        if node not in self._silent or what in TURN or not self.control:
            return False
        if self._silent[node] < runtime.now():
            del self._silent[node]
            return False
        return bool(node.partition("@")[2] == self._bus.bus.node.partition("@")[2])

    def _own(self, what: str, args: Said) -> tuple[Said, Answer]:
        begun = runtime.now()
        answer = self._inquest.answer(what, args)
        return _about(self._bus.bus.node, begun), answer

    def _far(self, node: str, what: str, args: Said) -> tuple[Said, Answer]:
        begun = runtime.now()
        try:
            request = {"what": what, "args": args}
            answer = self._bus.ask(desk_of(node), REQUEST, request, ASK_S)
        except exceptions.EngineError as error:
            return {**_about(node, begun), "answered": False, "cause": str(error)}, {}
        return _about(node, begun), answer

    def _workers(self) -> Any:
        return self.master("workers", ASK_S) or []

    def _by_the_master(
        self,
        what: str,
        args: Said,
        workers: list[Said],
        said: list[tuple[Said, Answer]],
        node: str,
    ) -> list[tuple[Said, Answer]]:
        """The answers of this engine's workers that the bus did not bring."""
        heard = {about["pid"] for about, _ in said if about["answered"]}
        missing = {w["pid"] for w in workers if w["state"] in LIVES} - heard
        if node:
            missing &= {parsed(node)[1]}
        if not missing or what in TURN:
            return []
        request = {"what": what, "args": args, "pids": sorted(missing), "within_s": NATIVE_S}
        answers = self.master("inquire", NATIVE_S + 0.3, **request) or []
        host = self._bus.bus.node.partition("@")[2]
        return [_by_master(one, host) for one in answers]


def _together(calls: list[Callable[[], Any]], last: Callable[[], Any]) -> list[Any]:
    """What the calls return, each made in a greenthread of its own."""
    every = [*calls, last]
    found: list[Any] = [None] * len(every)
    waiters = [runtime.Waiter() for _ in every]

    def run(at: int) -> None:
        try:
            found[at] = every[at]()
        finally:
            waiters[at].send()

    for at in range(len(every)):
        runtime.spawn(run, at)
    for waiter in waiters:
        waiter.wait()
    return found


def _about(node: str, begun: float) -> Said:
    worker, pid = parsed(node)
    return {
        "node": node,
        "worker": worker,
        "pid": pid,
        "answered": True,
        "via": "bus",
        "took_s": round(runtime.now() - begun, 4),
        "blocked_s": 0.0,
        "stack": "",
        "cause": "",
    }


def _by_master(one: Said, host: str) -> tuple[Said, Answer]:
    """An answer that a master passed on, as one of the bus."""
    name = f"{one['worker']}.{one['pid']}"
    about = {k: v for k, v in one.items() if k != "answer"}
    return {**about, "node": f"{name}@{host}", "via": "master"}, one["answer"]


def parsed(node: str) -> tuple[str, int]:
    """The worker and the pid that the name of a node has."""
    name = node.partition("@")[0]
    worker, _, pid = name.rpartition(".")
    return (worker if "@" in node else ""), int(pid) if pid.isdigit() else 0


def _merged(said: list[tuple[Said, Answer]]) -> dict[str, list[Said]]:
    merged: dict[str, list[Said]] = {"results": []}
    for about, answer in said:
        where = {"node": about["node"], "worker": about["worker"]}
        for name, told in answer.items():
            merged.setdefault(name, []).extend({**where, **fact} for fact in told)
    merged["asked"] = [about for about, _ in said]
    return merged


__all__ = ["ASK_S", "KEY", "Inquiries", "parsed"]
