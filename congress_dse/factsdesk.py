"""FactsDesk: the service of each node that answers other nodes for it.

All of them have the key `KEY`; that of one node has the name `desk_of` says.
"""

from typing import Any

from congress_dse import deepsix, exceptions
from congress_dse.d6message import d6msg
from congress_dse.inquest import Inquest

KEY = "facts"
REQUEST = "inquire"


class FactsDesk(deepsix.deepSix):
    """Answers for one node, in its own turn."""

    inquest: Inquest

    def reqhandler(self, msg: d6msg) -> Any:
        """Answer ``{"what": name, "args": {...}}`` as `Inquest.answer` does."""
        asked = msg.body if isinstance(msg.body, dict) else {}
        args = asked.get("args")
        try:
            return self.inquest.answer(str(asked.get("what")), args or {})
        except exceptions.NoSuchInquiry as error:
            return {"error": [{"text": str(error)}]}


def desk_of(node: str) -> str:
    """The name of the desk of a node."""
    return f"{KEY}.{node}"


def serve(cage: Any, inquest: Inquest) -> None:
    """Put the desk of a node on its bus, unless it is there."""
    name = desk_of(cage.bus.node)
    if cage.service_object(name) is None:
        cage.createservice(name, [name, KEY], factory=FactsDesk).inquest = inquest
