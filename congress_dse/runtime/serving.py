"""The HTTP server, loaded when it is wanted: most processes serve none."""

from importlib import import_module
from typing import Any

from congress_dse.runtime.clients import Limits


def http_server(listener: Any, application: Any, limits: dict[str, Any], tls: Any) -> Any:
    """A server of an application on a listening socket; `limits` are the fields of `Limits`.

    See `http_server.Server` for what an application is.
    """
    made = import_module("congress_dse.runtime.http_server")
    return made.Server(listener, application, Limits(**limits), tls)
