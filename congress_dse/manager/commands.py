"""The operator's commands for a running master; each answers with an exit code.

A result goes to stdout, for people or as JSON; what went wrong goes to stderr, and the code is 1.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from congress_dse.exceptions import ControlError
from congress_dse.manager.control import ask

WAIT_S = 60.0


def status(control: str, *, as_json: bool = False) -> int:
    """Show the master, its services, their workers, the last reload and what is parked."""
    return _run(control, {"command": "status"}, as_json, _status_lines)


def workers(
    control: str,
    *,
    resize: tuple[str, int] | None = None,
    restart: str = "",
    drain: str = "",
    as_json: bool = False,
) -> int:
    """Show the workers, or resize a service, or restart or drain a worker (``service.number``)."""
    if resize:
        request = {"command": "resize", "service": resize[0], "workers": resize[1]}
        return _run(control, request, as_json, _plain)
    if restart:
        request = {"command": "restart", "name": restart, "wait": True}
        return _run(control, request, as_json, _plain)
    if drain:
        return _run(control, {"command": "drain", "name": drain}, as_json, _plain)
    return _run(control, {"command": "workers"}, as_json, _worker_lines)


def reload(
    control: str, *, wait: bool = False, timeout_s: float = WAIT_S, as_json: bool = False
) -> int:
    """Reload; with `wait`, answer when the new configuration serves, or with why it does not."""
    return _run(control, {"command": "reload", "wait": wait}, as_json, _plain, timeout_s)


def stop(control: str, *, now: bool = False, as_json: bool = False) -> int:
    """Stop the master gracefully, or at once."""
    return _run(control, {"command": "stop-now" if now else "stop"}, as_json, _plain)


def level(control: str, name: str, *, as_json: bool = False) -> int:
    """Set the level of the log, in the master and in its workers."""
    return _run(control, {"command": "level", "level": name}, as_json, _plain)


def parked(control: str, *, replay: tuple[str, str] | None = None, as_json: bool = False) -> int:
    """Show work that is parked, or give one piece (service, key) to a worker again."""
    if replay:
        request = {"command": "replay", "service": replay[0], "key": replay[1]}
        return _run(control, request, as_json, _plain)
    return _run(control, {"command": "parked"}, as_json, _parked_lines)


def routes(control: str, *, as_json: bool = False) -> int:
    """Show the links of each worker, and where keys lead."""
    request = {"command": "inquire", "what": "routes"}
    return _run(control, request, as_json, _route_lines)


def _run(
    control: str,
    request: dict[str, Any],
    as_json: bool,
    lines: Callable[[Any], list[str]],
    timeout_s: float = WAIT_S,
) -> int:
    try:
        result = ask(control, request, timeout_s)
    except ControlError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    text = json.dumps(result, indent=2) if as_json else "\n".join(lines(result))
    sys.stdout.write(text + "\n" if text else "")
    cause = result.get("cause") if isinstance(result, dict) else ""
    if cause:
        sys.stderr.write(f"{request['command']}: {cause}\n")
    return 1 if cause else 0


def _plain(result: dict[str, Any]) -> list[str]:
    return [f"{key}: {value}" for key, value in result.items() if value not in {"", None}]


def _status_lines(result: dict[str, Any]) -> list[str]:
    reload_ = result["reload"]
    lines = [f"{result.get('mode', 'master')} {result['pid']} {result['state']}"]
    if reload_["state"] != "none":
        lines.append(f"reload {reload_['count']} {reload_['state']} {reload_['cause']}".rstrip())
    for name, service in result["services"].items():
        held = f", drained {service['held']}" if service["held"] else ""
        lines.append(f"{name}: {service['ready']} of {service['wanted']} ready{held}")
    lines += _worker_lines(result["workers"])
    return lines + _parked_lines(result["parked"])


def _worker_lines(result: list[dict[str, Any]]) -> list[str]:
    return [
        f"{w['name']:<20} {w['pid'] or '-':>8} {w['state']:<9} generation {w['generation']}"
        f" age {w['started_s_ago']:.0f} s requests {w['requests']}"
        for w in result
    ]


def _route_lines(result: list[dict[str, Any]]) -> list[str]:
    links: list[str] = []
    found: dict[tuple[str, str, str], None] = {}
    for worker in result:
        if not worker["answered"]:
            links.append(f"{worker['worker']:<12} {worker['cause']}")
        for link in worker["answer"].get("links", []):
            about = f"{len(link['nodes'])} nodes {link.get('error', '')}".rstrip()
            links.append(f"{worker['worker']:<12} {link['link']:<36} {link['state']:<10} {about}")
        for route in worker["answer"].get("results", []):
            found[route["key"], route["service"], route["node"]] = None
    keys = [f"{key:<32} {service:<24} {node}" for key, service, node in sorted(found)]
    return [*(links or ["no links"]), "", *keys]


def _parked_lines(result: list[dict[str, Any]]) -> list[str]:
    return [f"parked {w['service']} {w['key']} after {w['attempts']} attempts" for w in result]
