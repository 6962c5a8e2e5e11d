"""The live routes: what every node of the bus says of itself at this moment.

An answer has ``results``, each with the ``node`` and ``worker`` that says it, and ``asked``: who
was asked, who answered, and whose hub is blocked. Nobody is waited for longer than two seconds.
"""

from typing import Any

from congress_dse import merging
from congress_dse.api import live_shapes as shapes
from congress_dse.api.app import Context, Route
from congress_dse.api.http import Request
from congress_dse.api.rows import LIMIT_MAX
from congress_dse.api.shapes import OBJECT, answers
from congress_dse.exceptions import ApiError
from congress_dse.inquiries import Inquiries, parsed

LETTERS = 200  # dead letters of one answer, unless `limit` says otherwise
EVENTS = 200
PAGE_ROWS = 1000

Answer = dict[str, Any]


def services(context: Context, request: Request) -> Answer:
    """Every service of every node."""
    return _kept(_ask(context, "services"), request, "kind", "state")


def tree(context: Context, _request: Request) -> Answer:
    """The supervision: the master, its workers, and the groups and services in each."""
    return {**_ask(context, "tree"), "master": _master(context)}


def tables(context: Context, request: Request) -> Answer:
    """Every table, with who follows it and how far each has come."""
    return _kept(_tables(context), request, "service")


def table(context: Context, _request: Request, service: str, table: str) -> Answer:
    """One table, with who follows it and how far each has come."""
    found = _tables(context)
    wanted = [t for t in found["results"] if (t["service"], t["table"]) == (service, table)]
    if not wanted:
        raise ApiError(404, f"there is no table {table!r} of {service!r}")
    return {**found, "results": wanted}


def rows(context: Context, request: Request, service: str, table: str) -> Answer:
    """A page of the rows of a table, of one version."""
    args = {
        "service": service,
        "table": table,
        "limit": request.number("limit", PAGE_ROWS, most=LIMIT_MAX),
        "marker": request.query.get("marker", ""),
    }
    found = _inquiries(context).ask("rows", args, _home(context, service))
    if not found["results"]:
        _nowhere(found, f"there is no table {table!r} of {service!r}")
    page: Answer = found["results"][0]
    if page.get("gone"):
        raise ApiError(410, "the version that was being read is not kept any more: begin anew")
    return page


def sources(context: Context, request: Request) -> Answer:
    """Every source, and how its reads fare."""
    return _kept(_ask(context, "sources"), request, "state", "driver")


def letters(context: Context, request: Request) -> Answer:
    """The dead letters of all nodes, newest first."""
    found = _kept(_ask(context, "dead-letters"), request, "reason", "receiver")
    limit = request.number("limit", LETTERS)
    every = sorted(found["results"], key=lambda letter: letter["age_s"])
    return {**found, "results": every[:limit], "total": len(every)}


def replay(context: Context, request: Request, id: str) -> Answer:  # noqa: A002 (of the path)
    """Send a dead letter once more."""
    action = request.query.get("action", "")
    if not action:
        raise ApiError(400, "the parameter 'action' is missing")
    if action != "replay":
        raise ApiError(501, f"the action {action!r} is not supported")
    return {"replayed": _done(context, "replay", "replayed", id)}


def discard(context: Context, _request: Request, id: str) -> None:  # noqa: A002 (of the path)
    """Be rid of a dead letter."""
    _done(context, "discard", "discarded", id)


def nodes(context: Context, _request: Request) -> Answer:
    """Every node of the bus, also those that do not answer."""
    found = _ask(context, "nodes")
    known = {one["node"] for one in found["results"]}
    silent = [about for about in found["asked"] if about["node"] not in known]
    return {**found, "silent": silent}


def links(context: Context, _request: Request) -> Answer:
    """Every link, as the node at each of its ends sees it."""
    return _ask(context, "links")


def leases(context: Context, _request: Request) -> Answer:
    """Which sources each node may run, and which it does; of coordinated nodes."""
    return _ask(context, "leases")


def workers(context: Context, _request: Request) -> Answer:
    """The master's workers, and why those before them ended."""
    status = _inquiries(context).master("status")
    if status is None:
        raise ApiError(503, "the master does not answer", retry_s=1)
    ends = status.pop("ends", [])
    for worker in status["workers"]:
        worker["ends"] = [end for end in ends if end["name"] == worker["name"]]
    return {"results": status.pop("workers"), "master": status}


def waits(context: Context, _request: Request) -> Answer:
    """Who waits for whom, and the circles among them."""
    return merging.waiting(_ask(context, "waits"))


def stacks(context: Context, _request: Request, name: str) -> Answer:
    """The stack of a service, or all stacks of a worker or node."""
    inquiries = _inquiries(context)
    worker = parsed(name)[0] if "@" in name else name
    known = [w["name"] for w in inquiries.master("workers") or []]
    if worker in known:
        text = inquiries.master("stacks", name=worker)
        if text is None:
            raise ApiError(504, f"{worker} does not answer: not even its native threads run")
        return {"results": [{"node": name, "worker": worker, "stack": text}], "asked": []}
    found = inquiries.ask("stack", {"name": name}, _home(context, name))
    if not found["results"]:
        _nowhere(found, f"there is no service and no worker {name!r}")
    return found


def timeline(context: Context, request: Request) -> Answer:
    """What happened to the engine, newest first, also before its last start."""
    limit = request.number("limit", EVENTS, most=10_000)
    before = request.number("before", 0)
    return {"results": context.catalogue.events(limit, before, request.query.get("kind", ""))}


def _inquiries(context: Context) -> Inquiries:
    found: Inquiries = context.parts["inquiries"]
    return found


def _ask(context: Context, what: str) -> Answer:
    return _inquiries(context).ask(what)


def _tables(context: Context) -> Answer:
    found = _ask(context, "tables")
    subscriptions = found.pop("subscriptions", [])
    return {**found, "results": merging.lagging(found["results"], subscriptions)}


def _kept(found: Answer, request: Request, *names: str) -> Answer:
    """The results that have what the parameters of these names say."""
    wanted = {name: request.query[name] for name in names if request.query.get(name)}
    kept = [r for r in found["results"] if all(r[n] == v for n, v in wanted.items())]
    return {**found, "results": kept}


def _master(context: Context) -> Answer | None:
    found: Answer | None = _inquiries(context).master("status")
    return found


def _home(context: Context, service: str) -> str:
    """The node that has a service; "" where that is not known, and all are asked."""
    bus = context.bus
    if service in bus.services:
        return str(bus.bus.node)
    return str(bus.bus.directory.where(service))


def _nowhere(found: Answer, text: str) -> None:
    """Say that something is not there; or that who has it, perhaps, does not answer."""
    silent = [about for about in found["asked"] if not about["answered"]]
    if silent:
        names = ", ".join(about["worker"] or about["node"] for about in silent)
        raise ApiError(503, f"{text} that answers; silent: {names}", retry_s=1)
    raise ApiError(404, text)


def _done(context: Context, what: str, word: str, id_: str) -> bool:
    node, _, number = id_.rpartition("~")
    known = number.isascii() and number.isdigit() and len(number) < 12
    found = _inquiries(context).ask(what, {"number": int(number)}, node) if node and known else {}
    results = found.get("results", [])
    if not results or not results[0][word]:
        silent = [about for about in found.get("asked", []) if not about["answered"]]
        if silent:
            raise ApiError(503, f"node {node} does not answer: {silent[0]['cause']}", retry_s=1)
        raise ApiError(404, f"there is no dead letter {id_!r}")
    return True


MASTER = {"master": {"type": ["object", "null"]}}
CIRCLES = {"circles": {"type": "array", "items": {"type": "array"}}}
SILENT = {"silent": shapes.several(shapes.ASKED)}
WORD = {"type": "string"}
MORE: Answer = {"type": "integer", "minimum": 1}
LIMITED = {"limit": {**MORE, "maximum": 10_000}}
PAGED = {"limit": {**MORE, "maximum": LIMIT_MAX}, "marker": WORD}

ROOT = "/v1/engine"
TABLE, LETTER = ROOT + "/tables/{service}/{table}", ROOT + "/dead-letters/{id}"
ACTION = {"action": {"type": "string", "enum": ["replay"]}}
REPLAY = answers(OBJECT, query=ACTION, needs=("action",))


def _get(path: str, handler: Any, summary: str, shape: Answer, **query: Answer) -> Route:
    return Route("GET", path, handler, summary, about=answers(shape, query=query))


SERVICES = shapes.answer(shapes.SERVICE)
TREE = shapes.answer(shapes.shape(**shapes.WHERE, groups=shapes.several(shapes.GROUP)), **MASTER)
TABLES = shapes.answer(shapes.TABLE)
LETTERS_SHAPE = shapes.answer(shapes.LETTER, total=shapes.COUNT)
WAITS = shapes.answer(shapes.WAIT, **CIRCLES)
WORKERS = shapes.shape(results=shapes.several(shapes.WORKER), master=shapes.OBJECT)
TIMELINE = shapes.shape(results=shapes.several(shapes.EVENT))
ROUTES = [
    _get(f"{ROOT}/services", services, "Every service.", SERVICES, kind=WORD, state=WORD),
    _get(f"{ROOT}/tree", tree, "The supervision tree.", TREE),
    _get(f"{ROOT}/tables", tables, "Every table and its followers.", TABLES, service=WORD),
    _get(TABLE, table, "One table and its followers.", TABLES),
    _get(f"{TABLE}/rows", rows, "A page of its rows.", shapes.PAGE, **PAGED),
    _get(
        f"{ROOT}/sources",
        sources,
        "How every source fares.",
        shapes.answer(shapes.SOURCE),
        state=WORD,
        driver=WORD,
    ),
    _get(
        f"{ROOT}/dead-letters",
        letters,
        "The dead letters, newest first.",
        LETTERS_SHAPE,
        reason=WORD,
        receiver=WORD,
        **LIMITED,
    ),
    Route("POST", LETTER, replay, "Send a dead letter once more.", about=REPLAY),
    Route("DELETE", LETTER, discard, "Discard a dead letter.", about=answers({"type": "null"})),
    _get(f"{ROOT}/nodes", nodes, "Every node.", shapes.answer(shapes.NODE, **SILENT)),
    _get(f"{ROOT}/leases", leases, "Every lease.", shapes.answer(shapes.LEASE)),
    _get(f"{ROOT}/links", links, "Every link.", shapes.answer(shapes.LINK)),
    _get(f"{ROOT}/workers", workers, "The workers, and why others ended.", WORKERS),
    _get(f"{ROOT}/waits", waits, "Who waits for whom.", WAITS),
    _get(f"{ROOT}/stacks/{{name}}", stacks, "Stacks.", shapes.answer(shapes.STACK)),
    _get(
        f"{ROOT}/timeline",
        timeline,
        "What happened, newest first.",
        TIMELINE,
        kind=WORD,
        before=MORE,
        **LIMITED,
    ),
]
