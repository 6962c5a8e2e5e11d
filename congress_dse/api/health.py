"""Health: whether this process lives, and whether the engine is ready, with the reasons.

An engine is ready when all workers that are to serve do, no hub is blocked, no service was given
up, every link is up, and its database can be read; other engines on its bus do not matter. A source
that cannot be read is a warning: its tables keep their last rows, and say so.
"""

from typing import Any

from congress_dse import exceptions
from congress_dse.api.app import Context, Route
from congress_dse.api.http import Request, Response, json
from congress_dse.api.shapes import OBJECT, answers
from congress_dse.inquiries import Inquiries
from congress_dse.runtime import chosen as runtime

FRESH_S = 1.0  # for which an answer is given again: who probes often asks seldom

Reason = dict[str, str]


def healthz(_context: Context, _request: Request) -> Any:
    """This process answers."""
    return {"status": "ok"}


def readyz(context: Context, _request: Request) -> Response:
    """Whether the engine is ready; 503, with the reasons, where it is not."""
    known = context.parts["readiness"]
    if not known or known["until"] < runtime.now():
        reasons, warnings = _looked(context)
        known.update(reasons=reasons, warnings=warnings, until=runtime.now() + FRESH_S)
    body = {"ready": not known["reasons"]}
    told = {**body, "reasons": known["reasons"], "warnings": known["warnings"]}
    response = json(told, 200 if body["ready"] else 503)
    response.headers["cache-control"] = "no-store"
    return response


def _looked(context: Context) -> tuple[list[Reason], list[Reason]]:
    inquiries: Inquiries = context.parts["inquiries"]
    found = {kind: _ours(context, rows) for kind, rows in inquiries.ask("health").items()}
    reasons = [_reason(one) for one in found["results"] if one["level"] == "error"]
    warnings = [_reason(one) for one in found["results"] if one["level"] != "error"]
    reasons += [_about(one["worker"] or one["node"], one) for one in found["asked"] if _silent(one)]
    reasons += _of_the_master(inquiries)
    try:
        context.catalogue.entries()
    except exceptions.StoreError as error:
        reasons.append({"kind": "database", "subject": "database", "text": str(error)})
    return reasons, warnings


def _ours(context: Context, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of this engine: the others of its bus have a readiness of their own."""
    engine = context.bus.bus.node.partition("@")[2]
    return [row for row in rows if row["node"].partition("@")[2] in {engine, ""}]


def _silent(asked: dict[str, Any]) -> bool:
    return not asked["answered"] or bool(asked["blocked_s"])


def _about(name: str, asked: dict[str, Any]) -> Reason:
    if asked["answered"]:
        text = f"its hub has been blocked for {asked['blocked_s']:.1f} s"
        return {"kind": "blocked", "subject": name, "text": text}
    return {"kind": "silent", "subject": name, "text": asked["cause"]}


def _of_the_master(inquiries: Inquiries) -> list[Reason]:
    status = inquiries.master("status")
    if status is None:
        return _no_master() if inquiries.control else []
    reasons = []
    if status["state"] != "running":
        reasons.append({"kind": "state", "subject": "engine", "text": status["state"]})
    for name, service in status["services"].items():
        if service["ready"] < service["wanted"]:
            text = f"{service['ready']} of {service['wanted']} workers are ready"
            reasons.append({"kind": "workers", "subject": name, "text": text})
    return reasons


def _no_master() -> list[Reason]:
    return [{"kind": "master", "subject": "master", "text": "it does not answer"}]


def _reason(one: dict[str, Any]) -> Reason:
    return {"kind": one["kind"], "subject": one["subject"], "text": one["text"]}


READY = answers(OBJECT, further={"503": {"description": "not ready, with the reasons"}})
ROUTES = [
    Route("GET", "/healthz", healthz, "This process answers.", open=True, about=answers(OBJECT)),
    Route("GET", "/readyz", readyz, "Whether the engine is ready.", open=True, about=READY),
]
