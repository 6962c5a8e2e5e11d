"""The HTTP server that fits the runtime, loaded when it is wanted: most processes serve none."""

from importlib import import_module
from typing import Any

from congress_dse.runtime import choice
from congress_dse.runtime.clients import Limits


def http_server(listener: Any, application: Any, limits: dict[str, Any], tls: Any) -> Any:
    """A server of a WSGI application on a listening socket; `limits` are the fields of `Limits`."""
    made = import_module(choice.SERVERS[choice.chosen()])
    return made.Server(listener, application, Limits(**limits), tls)
