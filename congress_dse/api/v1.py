"""Congress's API, version 1: its routes and their handlers."""

import json as text_json
import uuid
from typing import Any

from congress_dse import catalogue, exceptions
from congress_dse.api import asking, rows
from congress_dse.api.app import Context, Route, version
from congress_dse.api.http import Request, Response, json
from congress_dse.api.shapes import (
    NAMED,
    OBJECT,
    PAGE,
    ROWS_IN,
    ROWS_OUT,
    SAME,
    SCHEMA,
    SOURCE_IN,
    SOURCE_OUT,
    SPEC,
    answers,
)
from congress_dse.datasources import options
from congress_dse.exceptions import ApiError
from congress_dse.sources import installed_driver
from congress_dse.store import Entry

APPLY_S = 5.0  # in which a created source is made by its worker, or comes a little later
WRONG_ARGS, NO_SERVICE = 1018, 1016  # Congress's codes of what is wrong with an action


def versions(_context: Context, request: Request) -> Any:
    """What versions there are."""
    return {"versions": [version(request)]}


def version_1(_context: Context, request: Request) -> Any:
    """This version."""
    return {"version": version(request)}


# Drivers.


def drivers(_context: Context, _request: Request) -> Any:
    """Every installed driver."""
    found, _ = catalogue.installed()
    return {
        "results": [{"id": name, "description": found[name].DESCRIPTION} for name in sorted(found)]
    }


def driver(_context: Context, _request: Request, name: str) -> Any:
    """One driver: its options, and the tables that are known before the first read."""
    found = catalogue.installed()[0].get(name)
    if found is None:
        raise ApiError(404, f"driver {name!r} does not exist")
    about = found.get_datasource_info()
    tables = [
        {"table_id": t, "columns": _columns(c)} for t, c in sorted(found.get_schema().items())
    ]
    return {**about, "id": name, "tables": tables}


# Sources.


def sources(context: Context, _request: Request) -> Any:
    """Every source."""
    return {"results": [shown(context, entry) for entry in context.catalogue.entries()]}


def source(context: Context, _request: Request, ds: str) -> Any:
    """One source."""
    return shown(context, asking.found(context, ds))


def create(context: Context, request: Request) -> Response:
    """Keep a new source and have it made; 201 once it is kept."""
    entry = described(request.json())
    try:
        revision = context.catalogue.add(entry)
    except exceptions.NameTaken as error:
        raise ApiError(409, str(error)) from error
    _apply(context, revision, entry)
    return json(shown(context, entry), 201, location=f"/v1/data-sources/{entry.id}")


def delete(context: Context, _request: Request, ds: str) -> Any:
    """Forget a source and end it. One that a configuration file has is not the API's to delete."""
    entry = context.catalogue.find(ds)
    if entry is None:
        raise ApiError(400, f"datasource {ds!r} does not exist", code=404)
    if entry.given:
        raise ApiError(
            409, f"datasource {entry.name!r} is of the configuration file; delete it there"
        )
    _apply(context, context.catalogue.remove(entry), entry)


def act(context: Context, request: Request, ds: str) -> Any:
    """Do what the parameter ``action`` says."""
    action = request.query.get("action", "")
    if not action:
        raise ApiError(400, "the parameter 'action' is missing")
    do = ACTIONS.get(action)
    if do is None:
        raise ApiError(501, f"the action {action!r} is not supported")
    return do(context, request, ds)


def refresh(context: Context, _request: Request, ds: str) -> Any:
    """Have the source read as soon as possible."""
    asking.ask(context, asking.found(context, ds), "refresh")


def execute(context: Context, request: Request, ds: str) -> Any:
    """Have an action done; how it ends is in the engine's log."""
    entry = context.catalogue.find(ds)
    if entry is None:
        raise ApiError(400, f"service {ds!r} does not exist", code=NO_SERVICE)
    given = request.json()
    name = given.get("name") if isinstance(given, dict) else None
    if not name or not isinstance(name, str):
        raise ApiError(400, "the 'name' of the action is missing", code=NO_SERVICE)
    args = given.get("args") or {}
    if not isinstance(args, dict):
        raise ApiError(400, "the 'args' of the action must be an object", code=WRONG_ARGS)
    positional, named = args.get("positional") or [], args.get("named") or {}
    if not isinstance(positional, list) or not isinstance(named, dict):
        text = "the 'args' of the action have a list 'positional' and an object 'named'"
        raise ApiError(400, text, code=WRONG_ARGS)
    asking.ask(
        context, entry, "execute", name=name, args={"positional": positional, "named": named}
    )
    return {}


def schema(context: Context, _request: Request, ds: str) -> Any:
    """The columns of every table of a source."""
    return {"tables": asking.ask(context, asking.found(context, ds), "schema")["tables"]}


def status(context: Context, _request: Request, ds: str) -> Any:
    """How the source fares."""
    entry = asking.found(context, ds)
    return {**asking.ask(context, entry, "status")["status"]}


def actions(context: Context, _request: Request, ds: str) -> Any:
    """What the source can be told to do."""
    return {"results": asking.ask(context, asking.found(context, ds), "actions")["actions"]}


def webhook(context: Context, request: Request, ds: str) -> Response:
    """Give the body to the source."""
    entry = asking.found(context, ds)
    asking.ask(context, entry, "webhook", asking.WRITE_S, payload=request.json())
    return Response(200)


# Tables.


def tables(context: Context, _request: Request, ds: str) -> Any:
    """The tables of a source."""
    names = asking.ask(context, asking.found(context, ds), "tables")["tables"]
    return {"results": [{"id": name} for name in names]}


def table(context: Context, _request: Request, ds: str, table: str) -> Any:
    """One table."""
    return {"id": _spec(context, ds, table)["table_id"]}


def spec(context: Context, _request: Request, ds: str, table: str) -> Any:
    """The columns of one table."""
    return _spec(context, ds, table)


# What they build on.


def shown(context: Context, entry: Entry) -> dict[str, Any]:
    """A source as it may be seen: its secrets are hidden."""
    every = context.catalogue.options(entry)
    if every is None:  # nobody knows which of them are secret
        config = dict.fromkeys(entry.config, options.HIDDEN)
    else:
        config = options.shown(every, entry.config)
    return {
        "id": entry.id,
        "name": entry.name,
        "driver": entry.driver,
        "description": entry.description or None,
        "type": None,
        "enabled": entry.enabled,
        "config": config,
    }


def described(given: Any) -> Entry:
    """The source that a body describes; raises ApiError with what is wrong with it."""
    if not isinstance(given, dict):
        raise ApiError(400, "the body must be an object")
    for word, kinds in WORDS.items():
        if not isinstance(given.get(word), kinds):
            raise ApiError(400, f"{word!r} must be {KINDS[kinds]}")
    wrong = catalogue.wrong_name(given.get("name"))
    if wrong:
        raise ApiError(400, f"the name {str(given.get('name'))[:80]!r} {wrong}")
    entry = Entry(
        id=given.get("id") or str(uuid.uuid4()),
        name=given["name"],
        driver=given["driver"],
        description=given.get("description") or "",
        config=_config(given.get("config")),
        enabled=given.get("enabled") is not False,
    )
    if len(entry.id) > 255 or "/" in entry.id:
        raise ApiError(400, "the 'id' must have 1 to 255 characters, and no '/'")
    _check(entry)
    return entry


TEXT, MAYBE_TEXT, MAYBE_BOOL = (str,), (str, type(None)), (bool, type(None))
WORDS: dict[str, tuple[type, ...]] = {
    "name": TEXT,
    "driver": TEXT,
    "id": MAYBE_TEXT,
    "description": MAYBE_TEXT,
    "enabled": MAYBE_BOOL,
}
KINDS = {TEXT: "text", MAYBE_TEXT: "text or null", MAYBE_BOOL: "true, false or null"}


def _config(given: Any) -> dict[str, Any]:
    """The options of a source; the client's command line sends them as the JSON text they are."""
    if isinstance(given, str):
        try:
            given = text_json.loads(given)
        except ValueError as error:
            raise ApiError(400, f"'config' is text, and no JSON: {error}") from error
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ApiError(400, "'config' must be an object")
    return given


def _check(entry: Entry) -> None:
    """Raise ApiError for a driver that there is not, and for options that it does not take."""
    try:
        driver = installed_driver(entry.driver)
    except exceptions.ConfigError as error:
        raise ApiError(400, f"Invalid driver: {entry.driver}: {error}") from error
    every = {o.dest: o for o in driver.options()}
    missing = [n for n, o in every.items() if o.required and entry.config.get(n) in (None, "", [])]
    if missing:
        raise ApiError(400, f"Missing required config options: {', '.join(missing)}")
    unknown = sorted(set(entry.config) - set(every))
    if unknown:
        raise ApiError(400, f"Invalid driver options: {{{', '.join(map(repr, unknown))}}}")
    try:
        catalogue.made(entry)
    except exceptions.ConfigError as error:
        raise ApiError(400, str(error)) from error


def _apply(context: Context, revision: int, entry: Entry) -> None:
    """Tell every engine worker of a change, and wait a little for the one that it concerns."""
    args = {"revision": revision, "name": entry.name}
    try:
        context.bus.ask("engines", "apply", args, APPLY_S)
    except (exceptions.NothingMatched, exceptions.AskTimeout):
        return  # it is kept: who does not hear of it now reads it when it starts


def _spec(context: Context, ds: str, table: str) -> dict[str, Any]:
    entry = asking.found(context, ds)
    found: dict[str, Any] = asking.ask(context, entry, "schema", table=table)["tables"][0]
    return found


def _columns(columns: Any) -> list[dict[str, Any]]:
    return [
        {"name": c, "description": None}
        if isinstance(c, str)
        else {"name": c["name"], "description": c.get("desc")}
        for c in columns
    ]


ACTIONS = {"request-refresh": refresh, "execute": execute}

ACTION = {"action": {"type": "string", "enum": sorted(ACTIONS)}}


SOURCES, SOURCE = "/v1/data-sources", "/v1/data-sources/{ds}"
TABLE = SOURCE + "/tables/{table}"
CREATED = answers(SOURCE_OUT, body=SOURCE_IN, status=201)
EMPTY = {"type": ""}
DONE = {"query": ACTION, "needs": ("action",), "body": OBJECT}
READ = answers(ROWS_OUT, query=PAGE, further=SAME)
ROUTES = [
    Route("GET", "/v1", version_1, "This version.", open=True, about=answers(OBJECT)),
    Route("GET", "/v1/", version_1, "This version.", open=True, about=answers(OBJECT)),
    Route("GET", "/v1/system/drivers", drivers, "Every installed driver.", about=answers(NAMED)),
    Route("GET", "/v1/system/drivers/{name}", driver, "One driver.", about=answers(OBJECT)),
    Route("GET", SOURCES, sources, "Every source.", about=answers(NAMED)),
    Route("POST", SOURCES, create, "Create a source.", about=CREATED),
    Route("GET", SOURCE, source, "One source.", about=answers(SOURCE_OUT)),
    Route("DELETE", SOURCE, delete, "Delete a source.", about=answers({"type": "null"})),
    Route("POST", SOURCE, act, "Refresh or execute.", about=DONE),
    Route("GET", f"{SOURCE}/schema", schema, "Every table's columns.", about=answers(SCHEMA)),
    Route("GET", f"{SOURCE}/status", status, "How a source fares.", about=answers(OBJECT)),
    Route("GET", f"{SOURCE}/actions", actions, "What it can do.", about=answers(NAMED)),
    Route("POST", f"{SOURCE}/webhook", webhook, "A notification.", about={**EMPTY, "body": OBJECT}),
    Route("GET", f"{SOURCE}/tables", tables, "The tables of a source.", about=answers(NAMED)),
    Route("GET", TABLE, table, "One table.", about=answers(OBJECT)),
    Route("GET", f"{TABLE}/spec", spec, "The columns of a table.", about=answers(SPEC)),
    Route("GET", f"{TABLE}/rows", rows.read, "The rows of a table.", about=READ),
    Route(
        "PUT", f"{TABLE}/rows", rows.write, "Replace the rows.", about={**EMPTY, "body": ROWS_IN}
    ),
]
