"""Every error we raise on purpose: one class for each thing a caller can do about it."""

from typing import Any


class EngineError(Exception):
    """The root: catches whatever the engine raises on purpose."""


class DataServiceError(EngineError):
    """A service, or its module, cannot be created, found or started. Congress's own name."""


class ReservedName(DataServiceError, TypeError):
    """The class of a service hides what is the engine's own: the text names class and method."""


class NoSuchService(DataServiceError):
    """No service has this name; look at ``cage.getservices()``."""


class InvalidKey(EngineError, ValueError):
    """A routing key that is no key: not text, or over 255 bytes (AMQP 0-9-1, short string)."""


class MessageTooLarge(EngineError, ValueError):
    """A message that no broker takes; publish it in parts."""


class UnknownMessageType(EngineError, ValueError):
    """A message whose type the engine does not speak."""


class MailboxFull(EngineError):
    """The receiver's mailbox is at its capacity and rejects; send later or slower."""


class NothingMatched(EngineError):
    """A request whose key no service has; it was answered at once."""


class AskTimeout(EngineError, TimeoutError):
    """No answer within the deadline; the text says what the receiver was doing."""


class DeadlockError(EngineError):
    """The ask would close a circle of services that wait for each other; the text has every hop."""


class RequestFailed(EngineError):
    """The service that took the request raised; ``__cause__`` is its error where it is at hand."""


class ServiceGivenUp(RequestFailed):
    """Supervision has given the receiver up; the text has the cause. Mend that, and reload it."""


class EngineStopped(DataServiceError):
    """The cage is stopping, or has stopped, and takes nothing new."""


class ConfigError(EngineError):
    """A configuration that cannot be served: one line for each section and option at fault."""


class SourceError(EngineError):
    """An outside system could not be read; its tables keep their last good rows, marked stale."""


class PollTimeout(SourceError):
    """A poll that outlived its deadline and was ended."""


class InvalidTranslator(EngineError, ValueError):
    """A translator that cannot translate: one line for each fault, with its path inside it."""


class InvalidRows(EngineError, ValueError):
    """Rows that a table does not take: the text names table, row and what is wrong with it."""


class NotPlain(EngineError, TypeError):
    """Something that cannot cross to a spawned worker; the text has its attribute path."""


class NoSuchWorker(EngineError, ValueError):
    """No service or worker of the fleet has this name; ``status`` lists them."""


class ReloadFailed(EngineError):
    """The new configuration or generation was not taken; the old one serves on."""


class Poisoned(EngineError):
    """This piece of work ended workers before and is parked; ``replay`` delivers it again."""


class ControlError(EngineError):
    """The control socket cannot be reached or opened, or refused the request."""


class LinkError(EngineError):
    """A link to other nodes cannot be had, or is too far behind to take this."""


class WireError(LinkError, ValueError):
    """What came over a link, or was to go, is no message of ours: the text names the rule."""


class ApiError(EngineError):
    """A request of a client that is answered with an error: its status, its code and the text."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: int = 0,
        data: Any = None,
        retry_s: float | None = None,
        headers: dict[str, str] | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or status
        self.data = data
        self.retry_s = retry_s
        self.headers = headers or {}
        self.body = body


class NoSuchInquiry(EngineError, ValueError):
    """Something was asked of a node that none can be asked."""


class NameTaken(EngineError, ValueError):
    """A source of this name, or id, exists already."""


class StoreError(EngineError):
    """The database of the sources cannot be read or written."""
