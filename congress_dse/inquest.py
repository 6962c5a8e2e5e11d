"""Inquest: everything one process can be asked about itself, by name.

One object for each process: the desk answers from it in the hub's turn, and the worker's attendant
from a native thread when the hub is blocked. `TURN` has what may only be done in the hub's turn.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from congress_dse import exceptions, facts, metricfacts, tablefacts
from congress_dse.counters import Series
from congress_dse.runtime import chosen as runtime

Args = dict[str, Any]
Answer = dict[str, list[facts.Fact]]


class Inquest:
    """Answers for the cage of this process; `worker` is what its master calls the process.

    Made in the hub's own thread.
    """

    def __init__(self, cage: Any, worker: str = "") -> None:
        self.cage = cage
        self.worker = worker
        self._thread = runtime.unpatched("_thread")  # a patched one names greenthreads
        self.hub = self._thread.get_ident()
        self.meters: list[Callable[[], list[Series]]] = []  # further counters of this process
        self.grants: Any = None  # the leases of this node, where nodes are coordinated
        self._pages = tablefacts.Pages()
        self._tails = tablefacts.Tails()

    def answer(self, what: str, args: Args | None = None) -> Answer:
        """What is asked for, under the names of lists; raises NoSuchInquiry.

        From a native thread it may be asked for all but what `TURN` names.
        """
        call = self.OPERATIONS.get(what)
        if call is None:
            raise exceptions.NoSuchInquiry(f"nothing is known by the name {what!r}")
        if what in TURN and self._thread.get_ident() != self.hub:
            raise exceptions.NoSuchInquiry(f"{what} is for the hub's turn: ask with turn")
        answer: Answer = facts.read(call, self, args or {})
        return answer

    def node(self, _args: Args) -> Answer:
        """The node as a whole."""
        return {"results": [facts.node(self.cage, self.worker)]}

    def services(self, _args: Args) -> Answer:
        """Every service."""
        return {"results": facts.services(self.cage)}

    def tree(self, _args: Args) -> Answer:
        """The supervision."""
        return {"results": facts.tree(self.cage)}

    def tables(self, _args: Args) -> Answer:
        """Every table, and every subscription: both are needed to know who lags."""
        cage = self.cage
        return {
            "results": tablefacts.tables(cage),
            "subscriptions": tablefacts.subscriptions(cage),
        }

    def rows(self, args: Args) -> Answer:
        """A page of the rows of one table."""
        limit, marker = int(args.get("limit") or 0), str(args.get("marker") or "")
        service, table = str(args.get("service")), str(args.get("table"))
        return {"results": self._pages.read(self.cage, service, table, limit, marker)}

    def sources(self, _args: Args) -> Answer:
        """Every source."""
        return {"results": tablefacts.sources(self.cage)}

    def letters(self, _args: Args) -> Answer:
        """The dead letters."""
        return {"results": facts.letters(self.cage)}

    def links(self, _args: Args) -> Answer:
        """The links."""
        return {"results": facts.links(self.cage)}

    def nodes(self, _args: Args) -> Answer:
        """This node, and those that it knows."""
        return {
            "results": [facts.node(self.cage, self.worker)],
            "known": facts.nodes(self.cage),
        }

    def routes(self, _args: Args) -> Answer:
        """Where keys lead from here, and the links that lead there."""
        return {"results": facts.routes(self.cage), "links": facts.links(self.cage)}

    def overview(self, _args: Args) -> Answer:
        """The node, its services and its sources at one moment."""
        return {
            "results": [facts.node(self.cage, self.worker)],
            "services": facts.services(self.cage),
            "sources": tablefacts.sources(self.cage),
        }

    def changes(self, args: Args) -> Answer:
        """What changed in a table since it was last asked for with this ticket."""
        service, table = str(args.get("service")), str(args.get("table"))
        ticket = str(args.get("ticket"))
        return {"results": self._tails.changes(self.cage, service, table, ticket)}

    def waits(self, _args: Args) -> Answer:
        """Who waits for whom."""
        return {"results": facts.waits(self.cage)}

    def stack(self, args: Args) -> Answer:
        """Where one service is."""
        return {"results": facts.stack(self.cage, str(args.get("name")), self.hub)}

    def health(self, _args: Args) -> Answer:
        """What is not as it should be."""
        found = facts.health(self.cage)
        if self.grants is not None and self.grants.state:
            about = {"subject": "coordination", "text": self.grants.state}
            found.append({"level": "error", "kind": "coordination", **about})
        return {"results": found}

    def leases(self, _args: Args) -> Answer:
        """Which sources may run on this node; nothing where nodes are not coordinated."""
        every = [] if self.grants is None else self.grants.leases()
        known = {**self.cage.services}
        return {"results": [{**lease, "runs": lease["source"] in known} for lease in every]}

    def metrics(self, _args: Args) -> Answer:
        """What was counted, and what is measured; each result is a series."""
        counters = [*metricfacts.counted(self.cage), *(s for m in self.meters for s in m())]
        return {"counters": counters, "gauges": metricfacts.measured(self.cage)}  # type: ignore[dict-item]

    def replay(self, args: Args) -> Answer:
        """Send a dead letter once more."""
        number = int(args.get("number", 0))
        return {"results": [{"replayed": self.cage.replay(number)}]}

    def discard(self, args: Args) -> Answer:
        """Be rid of a dead letter."""
        letter = self.cage.dead_letters.take(int(args.get("number", 0)))
        return {"results": [{"discarded": letter is not None}]}

    OPERATIONS: ClassVar[dict[str, Callable[["Inquest", Args], Answer]]] = {
        "node": node,
        "services": services,
        "tree": tree,
        "tables": tables,
        "rows": rows,
        "sources": sources,
        "dead-letters": letters,
        "links": links,
        "nodes": nodes,
        "routes": routes,
        "leases": leases,
        "overview": overview,
        "changes": changes,
        "waits": waits,
        "stack": stack,
        "health": health,
        "metrics": metrics,
        "replay": replay,
        "discard": discard,
    }


TURN = frozenset({"replay", "discard"})
