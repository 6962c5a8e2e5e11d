"""EngineDesk: where an engine worker is told that the sources have changed.

All of them have the key `KEY`. A request ``apply`` reaches every one, and the one that has, or had,
the source it names answers; the others only do it.
"""

from typing import Any

from congress_dse import deepsix
from congress_dse.d6message import d6msg

KEY = "engines"


class EngineDesk(deepsix.deepSix):
    """A service of each engine worker; what it has applied is its engine's to say."""

    engine: Any = None

    def reqhandler(self, msg: d6msg) -> Any:
        """Apply the sources as they are kept now, up to the revision of the order or further."""
        order = msg.body if isinstance(msg.body, dict) else {}
        name = str(order.get("name", ""))
        had = self.engine.serves(name)
        revision = self.engine.catch_up(int(order.get("revision", 0)))
        if had or self.engine.serves(name):
            return {"revision": revision, "serves": self.engine.serves(name)}
        self.answered_elsewhere(msg)
        return None

    def answered_elsewhere(self, msg: d6msg) -> None:
        """Forget a request that another worker's desk answers."""
        table = self.pubdata.get(msg.dataindex)
        if table is not None:
            table.answered(msg.correlationId, msg.replyTo)
            self._tidy(msg.dataindex)
