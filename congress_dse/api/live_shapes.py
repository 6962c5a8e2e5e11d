"""The shapes of what the live routes answer, as JSON Schema has it; every name is told here."""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0, "description": "seconds"}
MAYBE_S: Schema = {"type": ["number", "null"], "description": "seconds"}
FLAG: Schema = {"type": "boolean"}
LIST: Schema = {"type": "array"}
OBJECT: Schema = {"type": "object"}


def shape(**properties: Schema) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "required": sorted(properties), "properties": properties}


def several(item: Schema) -> Schema:
    """A list of them."""
    return {"type": "array", "items": item}


def told(text: str, schema: Schema) -> Schema:
    """`schema`, with what it means."""
    return {**schema, "description": text}


WHERE = {"node": told("the node that says it", TEXT), "worker": told("such as engine.0", TEXT)}

ASKED = shape(
    node=TEXT,
    worker=TEXT,
    pid={"type": ["integer", "null"]},
    answered=FLAG,
    via={"enum": ["bus", "master"]},
    took_s=MAYBE_S,
    blocked_s=told("for how long its hub is known not to turn; 0 where it turns", SECONDS),
    stack=told("where a blocked hub is", TEXT),
    cause=told("why it did not answer", TEXT),
)
SERVICE = shape(
    **WHERE,
    service=TEXT,
    kind={"enum": ["cage", "source", "service", "own"]},
    state={"enum": ["idle", "busy", "waiting", "down", "given up"]},
    depth=told("messages that wait", COUNT),
    capacity=COUNT,
    oldest_s=told("age of the oldest message that waits", SECONDS),
    received=COUNT,
    handled=COUNT,
    failed=COUNT,
    dropped=COUNT,
    coalesced=COUNT,
    mailbox_s=SECONDS,
    handler_s=SECONDS,
    in_hand=told("the message in hand", TEXT),
    in_hand_s=SECONDS,
    restarts=COUNT,
    up_s=MAYBE_S,
    group=TEXT,
    last_error=TEXT,
    tables=COUNT,
    keys=several(TEXT),
    **{"class": TEXT},
)
CHILD = shape(
    name=TEXT,
    state=TEXT,
    kind=TEXT,
    restarts=COUNT,
    deaths=told("within the period of its policy", COUNT),
    up_s=MAYBE_S,
    last_error=TEXT,
    first_error=TEXT,
)
GROUP = shape(
    group=told("empty for services that are in none", TEXT),
    strategy={"enum": ["one", "rest", "all"]},
    intensity=COUNT,
    period_s=SECONDS,
    failure=TEXT,
    children=several(CHILD),
)
SUBSCRIBER = shape(
    **WHERE,
    subscriber=TEXT,
    version={"type": ["integer", "null"]},
    lag=told("versions to go; null before the first", {"type": ["integer", "null"]}),
    lag_s=SECONDS,
    behind=FLAG,
    depth=COUNT,
)
TABLE = shape(
    **WHERE,
    service=TEXT,
    table=TEXT,
    rows=told("null for data that is no table", {"type": ["integer", "null"]}),
    epoch=COUNT,
    version=COUNT,
    age_s=told("since the last change", MAYBE_S),
    stale={"type": ["object", "null"]},
    internal=FLAG,
    followers=COUNT,
    subscribers=several(SUBSCRIBER),
    lag=told("the greatest of the subscribers'", COUNT),
)
PAGE = shape(
    **WHERE,
    service=TEXT,
    table=TEXT,
    epoch=COUNT,
    version=COUNT,
    total=COUNT,
    columns=several(TEXT),
    rows=LIST,
    marker=told("of the next page; empty on the last", TEXT),
)
SOURCE = shape(
    **WHERE,
    source=TEXT,
    driver=TEXT,
    state={"enum": ["fresh", "starting", "stale", "down"]},
    tables=COUNT,
    rows=COUNT,
    initialized=FLAG,
    updates=COUNT,
    last_updated={"type": ["string", "null"]},
    last_error=TEXT,
    stale=several(shape(table=TEXT, cause=TEXT, since=TEXT, age_s=SECONDS)),
    subscribers=COUNT,
    lazy=several(TEXT),
    poll=told("null for a source that is written", {"type": ["object", "null"]}),
)
LETTER = shape(
    **WHERE,
    id=TEXT,
    at=TEXT,
    age_s=SECONDS,
    reason=TEXT,
    receiver=TEXT,
    key=TEXT,
    sender=TEXT,
    type=TEXT,
    dataindex=TEXT,
    attempts=COUNT,
    body=TEXT,
    stack=TEXT,
)
NODE = shape(
    **WHERE,
    pid=COUNT,
    up_s=SECONDS,
    cpu_s=SECONDS,
    rss_b=COUNT,
    services=COUNT,
    depth=COUNT,
    oldest_s=SECONDS,
    handled=COUNT,
    failed=COUNT,
    dead_letters=OBJECT,
    open_asks=COUNT,
    ask_timeouts=COUNT,
    failures=OBJECT,
    links=several(TEXT),
)
LEASE = shape(**WHERE, source=TEXT, pinned=TEXT, leased=FLAG, for_s=SECONDS, runs=FLAG)
LINK = {"type": "object", "required": ["node", "worker", "link", "depth", "nodes"]}
WAIT = shape(
    **WHERE, who=TEXT, whom=TEXT, what=TEXT, for_s=SECONDS, at=TEXT, in_hand=TEXT, circle=FLAG
)
STACK = {"type": "object", "required": ["node", "worker", "stack"]}
WORKER = {
    "type": "object",
    "required": ["name", "service", "slot", "pid", "state", "generation", "requests", "ends"],
}
EVENT = shape(
    id=COUNT, at=TEXT, node=TEXT, worker=TEXT, kind=TEXT, subject=TEXT, level=TEXT, text=TEXT
)


def answer(item: Schema, **further: Schema) -> Schema:
    """What a route answers that asks all nodes."""
    return shape(results=several(item), asked=several(ASKED), **further)
