"""d6msg: one message, to every service that its key matches.

``type`` says what is asked of the receiver: ``sub``, ``unsub``, ``pull`` and ``resync`` speak of a
table, ``pub`` and ``rep`` bring a dataObject, ``req`` and ``cmd`` bring their arguments, ``shut``
ends.
"""

import itertools
import uuid
from typing import Any

_next = itertools.count(1).__next__
_HERE = uuid.uuid4().hex  # a process's ids differ from every other's; the count does the rest


def new_id() -> str:
    """An id that no other message of any process has, ten times cheaper than a UUID each."""
    return f"{_HERE}-{_next()}"


class d6msg:
    """A message on the bus; names and arguments are Congress's own.

    `body` travels by reference inside a process: nobody changes it after sending. `deadline` is the
    time of the sender's monotonic clock after which nobody waits for an answer any more, or None.
    """

    __slots__ = (
        "__dict__",
        "attempts",
        "body",
        "correlationId",
        "deadline",
        "header",
        "key",
        "replyTo",
        "type",
    )
    via = ""  # the link that brought the message; it goes to no other
    trace: Any = None  # the trace context that its handling continues; see `tracing`

    def __init__(
        self,
        key: str = "",
        replyTo: str = "",
        correlationId: str = "",
        type: str = "",
        dataindex: str = "",
        body: Any = None,
        srcmsg: "d6msg | None" = None,
    ) -> None:
        if srcmsg:
            key = srcmsg.replyTo
            correlationId = srcmsg.correlationId
            dataindex = srcmsg.header["dataindex"]
        self.key: str = key
        self.replyTo: str = replyTo
        self.correlationId: str = correlationId or new_id()
        self.type: str = type
        self.header: dict[str, Any] = {"dataindex": dataindex}
        self.body: Any = {} if body is None else body
        self.deadline: float | None = None
        self.attempts = 0

    @property
    def dataindex(self) -> str:
        """The table, request or command that the message is about."""
        return str(self.header["dataindex"])

    def __repr__(self) -> str:
        return (
            f"<{self.type} {self.header['dataindex']!r} to {self.key!r} from {self.replyTo!r} "
            f"id {self.correlationId}>"
        )

    def __str__(self) -> str:
        return (
            f"<to:{self.key}, from:{self.replyTo}, corrId:{self.correlationId}, type:{self.type}, "
            f"dataindex:{self.header['dataindex']}, body:{self.body}>"
        )
