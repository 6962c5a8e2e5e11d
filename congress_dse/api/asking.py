"""Asking sources over the bus: what their desks refuse, or leave open, is told as HTTP has it."""

from itertools import chain
from typing import Any

from congress_dse import exceptions
from congress_dse.api.app import Context
from congress_dse.datasources import desk
from congress_dse.exceptions import ApiError
from congress_dse.runtime import chosen as runtime
from congress_dse.store import Entry

ASK_S = 10.0
WRITE_S = 60.0  # rows may have to be kept before they are acknowledged
BACK_S = 10.0  # in which another worker takes over what a dead one had
LOOK_S = 0.02
PART_B = 700_000  # of rows in one message

REPEATABLE = frozenset({"tables", "schema", "rows", "reads", "status", "actions", "refresh"})

# The status of what a desk refuses, and the code beside it where that is another.
REFUSED = {
    "no-table": (404, 404),
    "no-data": (404, 404),
    "lazy": (400, 400),
    "not-written": (400, 400),
    "no-webhook": (400, 400),
    "bad-rows": (400, 400),
    "no-key": (409, 409),
    "not-held": (410, 410),
    "not-kept": (503, 503),
    "failed": (500, 500),
    "unknown": (501, 501),
}


def found(context: Context, name_or_id: str) -> Entry:
    """The source of this name or id; raises ApiError (404) for none."""
    entry: Entry | None = context.catalogue.find(name_or_id)
    if entry is None:
        raise ApiError(404, f"datasource {name_or_id!r} does not exist")
    return entry


def ask(
    context: Context, entry: Entry, what: str, timeout_s: float = ASK_S, **args: Any
) -> dict[str, Any]:
    """What the desk of a source answers; raises ApiError for what it refuses or leaves open.

    A source whose worker has just gone is waited for a little, while another takes it over; and so
    is what it reads first.
    """
    answer: dict[str, Any] | None = None
    while answer is None:
        answer = _tried(context, entry, {"what": what, **args}, timeout_s)
    context.missing.pop(entry.name, None)
    if "refused" in answer:
        raise refused(answer)
    return answer


def refused(answer: dict[str, Any]) -> ApiError:
    """What a desk refuses, as HTTP has it."""
    status, code = REFUSED[answer["refused"]]
    return ApiError(status, str(answer["text"]), code=code)


def _tried(
    context: Context, entry: Entry, message: dict[str, Any], timeout_s: float
) -> dict[str, Any] | None:
    """The answer, or None where it is worth asking again."""
    try:
        answer: dict[str, Any] = context.bus.ask(entry.name, desk.REQUEST, message, timeout_s)
    except exceptions.AskTimeout as error:
        raise ApiError(504, f"datasource {entry.name!r} does not answer: {error}") from error
    except exceptions.NothingMatched as error:
        if not _comes_back(context, entry):
            why = "does not run at present" if entry.enabled else "is not enabled"
            raise ApiError(503, f"datasource {entry.name!r} {why}", retry_s=1) from error
    except (exceptions.LinkError, exceptions.RequestFailed) as error:
        if message["what"] not in REPEATABLE or not _comes_back(context, entry):
            raise ApiError(503, f"datasource {entry.name!r}: {error}", retry_s=1) from error
    else:
        if not any(part.get("soon") for part in (answer, *answer.get("parts", ()))):
            return answer
        runtime.sleep(LOOK_S)
    return None


def _comes_back(context: Context, entry: Entry) -> bool:
    """Wait for a source that is to run and does not; False where that has lasted for long."""
    since = context.missing.setdefault(entry.name, runtime.now())
    while entry.enabled and not context.bus.stopping and runtime.now() - since < BACK_S:
        runtime.sleep(LOOK_S)
        if context.bus.table.routes(entry.name):
            return True
    return False


def write(
    context: Context, entry: Entry, table: str, rows: list[Any], id_: str, size_b: int
) -> None:
    """Replace a table, in as many messages as its size asks for; as JSON it has `size_b`."""
    parts = [rows] if size_b <= PART_B else parted(rows)
    for number, part in enumerate(parts, 1):
        done = number == len(parts)
        many = {"id": id_, "done": done} if len(parts) > 1 else {}
        ask(context, entry, "write", WRITE_S, table=table, **_written(part), **many)


def _written(rows: list[Any]) -> dict[str, Any]:
    """Rows as they travel: as one list of cells where they are lists of one length."""
    if rows and {list}.issuperset(map(type, rows)):
        width = len(rows[0])
        if width and {width}.issuperset(map(len, rows)):
            return {"cells": list(chain.from_iterable(rows)), "width": width}
    return {"rows": rows}


def parted(rows: list[Any]) -> list[list[Any]]:
    """`rows` in parts that one message takes each; a row that is larger is one of its own."""
    parts: list[list[Any]] = [[]]
    size_b = 0
    for row in rows:
        row_b = len(repr(row).encode("utf-8", "replace"))
        if parts[-1] and size_b + row_b > PART_B:
            parts.append([])
            size_b = 0
        parts[-1].append(row)
        size_b += row_b
    return parts
