"""oslo.messaging in every runtime, and coroutine functions as methods of its endpoints.

oslo.messaging looks at eventlet when it is imported, unless oslo.service has been told before to
use threads; `messaging` sees to that. Its dispatcher calls endpoints from threads of its executor
and knows no coroutines: `plain` makes an endpoint of plain methods, each of which has the coroutine
awaited on the loop of this process and waits, in its thread, for what comes of it. As many calls
run at a time as the executor has threads. Filters, REQUEUE and acknowledgements stay oslo's own.
"""

import functools
import inspect
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

from congress_dse.exceptions import SourceError
from congress_dse.runtime import chosen as runtime


def messaging() -> Any:
    """The package oslo_messaging; in mixed and asyncio it is kept from eventlet."""
    if not runtime.PATCHED:
        backend = import_module("oslo_service.backend")
        try:
            backend.init_backend(backend.BackendType.THREADING)
        except Exception as error:
            raise SourceError(
                f"oslo.messaging without eventlet needs oslo.service's threads: {error}; is the "
                "extra there (pip install 'oslo.service[threading]'), and was oslo.messaging "
                "imported before?"
            ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what it says of its own imports
        return import_module("oslo_messaging")


class plain:  # noqa: N801 - it stands for the endpoint that it is given
    """An endpoint as the dispatcher wants it: its coroutine methods are waited for."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._endpoint, name)
        return _waiting(found) if inspect.iscoroutinefunction(found) else found

    def __dir__(self) -> list[str]:
        return dir(self._endpoint)


def expected_exceptions(*kinds: type[Exception]) -> Callable[[Any], Any]:
    """As oslo.messaging's decorator of this name, which catches nothing of a coroutine function."""

    def decorate(method: Any) -> Any:
        @functools.wraps(method)
        async def called(*args: Any, **named: Any) -> Any:
            try:
                return await method(*args, **named)
            except kinds as error:
                raise messaging().ExpectedException() from error

        return called

    return decorate


def _waiting(method: Callable[..., Any]) -> Callable[..., Any]:
    """A plain method of a coroutine one; what awaits inside is looked at, not declared."""

    @functools.wraps(method)
    def called(*args: Any, **named: Any) -> Any:
        return runtime.finish(method(*args, **named))

    return called
