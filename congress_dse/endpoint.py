"""endpoint: what every service has: a name, a way to the bus, a way in, and its own log."""

import logging
from collections.abc import Callable
from typing import Any

from congress_dse import exceptions
from congress_dse.d6message import d6msg
from congress_dse.dataobj import dataObject
from congress_dse.runtime import chosen as runtime
from congress_dse.tracing import here

LOG = logging.getLogger("congress_dse.deepsix")


class endpoint(runtime.Actor):
    """An actor that can speak; the halves of a service build on it."""

    dataPath: Any

    def send(self, msg: d6msg) -> None:
        """Put `msg` on the bus; waits, or raises MailboxFull, as the receiver's policy says."""
        path = self.dataPath
        route = getattr(path, "routemsg", None)
        if route is not None:
            route(msg)
        elif path is not None:
            path.put_nowait(msg)
        else:
            LOG.debug("%s: %r goes nowhere: the service is on no bus", self.name, msg)

    def do(self, call: Callable[[], Any]) -> None:
        """Have `call` made in this service's own turn: the one safe way in from elsewhere."""
        if self.inbox is None:
            runtime.spawn(call)
            return
        msg = d6msg(type="do", body=call)
        if here.used:
            here.mark(msg)
        self.inbox.put(msg)

    def waiting(self, call: Callable[..., Any], *args: Any) -> Any:
        """``await self.waiting(call, *args)``: what a coroutine does with a call that waits.

        The call is made beside the coroutine, as greenthreads make it, and may ask and sleep. One
        that blocks, as synchronous libraries do, belongs in `blocking` of a driver, or a thread.
        """
        return runtime.beside(call, *args)

    def _message(self, kind: str, key: str, dataindex: str, corrId: str, body: Any) -> d6msg:
        return d6msg(key, self.name, corrId, kind, dataindex, body)

    def _rep(self, key: str, corrId: str, dataindex: str, body: dataObject) -> None:
        self.send(d6msg(key, self.name, corrId, "rep", dataindex, body))

    def _dead(self, msg: d6msg, reason: str) -> None:
        """Hand a message that this service cannot use to the bus's dead letters."""
        bury = getattr(self.dataPath, "bury", None)
        if bury is not None:
            bury(msg, reason, self.name)

    def _refuse(self, msg: d6msg, error: BaseException) -> None:
        """Tell whoever waits for the answer to `msg` that there will be none, and why."""
        if msg.deadline is not None:
            failure = exceptions.RequestFailed(f"{self.name}: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self.send(self._message("rep", msg.replyTo, msg.dataindex, msg.correlationId, failure))

    def _no_handler(self, msg: d6msg, what: str) -> None:
        reason = f"{self.name} takes no {what}"
        self._refuse(msg, exceptions.DataServiceError(reason))
        self._dead(msg, reason)

    def start(self) -> None:
        """Nothing: a service runs from its construction on. Old drivers override and call this."""

    def stop(self) -> None:
        """Nothing: the cage ends a service. Old drivers override and call this."""

    def log(self, msg: str, *args: Any) -> None:
        """Log at DEBUG, under the service's name; so do the others at their levels."""
        self._log(logging.DEBUG, msg, args)

    def log_debug(self, msg: str, *args: Any) -> None:
        self._log(logging.DEBUG, msg, args)

    def log_info(self, msg: str, *args: Any) -> None:
        self._log(logging.INFO, msg, args)

    def log_warning(self, msg: str, *args: Any) -> None:
        self._log(logging.WARNING, msg, args)

    def log_error(self, msg: str, *args: Any) -> None:
        self._log(logging.ERROR, msg, args)

    def log_exception(self, msg: str, *args: Any) -> None:
        self._log(logging.ERROR, msg, args, exc_info=True)

    def _log(self, level: int, msg: str, args: tuple[Any, ...], exc_info: bool = False) -> None:
        if LOG.isEnabledFor(level):
            text = msg % args if args else msg
            LOG.log(level, "%s:: %s", self.name, text, exc_info=exc_info, stacklevel=3)
