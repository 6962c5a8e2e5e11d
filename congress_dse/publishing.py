"""publishing: the half of a service that owns tables and answers for them."""

from inspect import iscoroutinefunction
from typing import Any

from congress_dse.d6message import d6msg
from congress_dse.dataobj import copied, dataObject, pubData
from congress_dse.endpoint import endpoint
from congress_dse.rows import Delta
from congress_dse.runtime import chosen as runtime

RESERVED = frozenset({"routeKeys", "pubdata", "subdata"})
INSIDE = frozenset({"pubdata", "subdata"})  # asked for, they tell what the service holds
COMMANDS_MAX = 1000  # commands remembered at least, so that a repeated one is not executed twice


class publishing(endpoint):
    """Tables, their subscribers, and requests and commands with their answers."""

    pubdata: dict[str, pubData]
    subdata: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.pubdata = {}
        # In two halves: the older is forgotten as a whole when the newer is full.
        self._commands: dict[str, str] = {}
        self._older_commands: dict[str, str] = {}

    def insub(self, msg: d6msg) -> None:
        """Take a subscriber on, and send it the whole table; a repeated one is told the version."""
        dataindex, sender, corrId = msg.dataindex, msg.replyTo, msg.correlationId
        table = self.pubdata.get(dataindex)
        if table is not None and table.followed(corrId):
            self.send(self._message("mark", sender, dataindex, corrId, table.mark()))
            return
        if table is None:
            self.pubdata[dataindex] = pubData(dataindex, msg.body)
        if hasattr(self, "subhandler"):
            self.finish(self.subhandler(msg))
        # The handler may publish, or forget, the very table.
        table = self.pubdata.setdefault(dataindex, pubData(dataindex, msg.body))
        table.addsubscriber(sender, "push", corrId)
        self._snapshot(table, sender, corrId)

    def inresync(self, msg: d6msg) -> None:
        """Send the whole table again to a subscriber that lost an update."""
        table = self.pubdata.get(msg.dataindex)
        if table is None or not table.followed(msg.correlationId):
            self.insub(msg)
        else:
            self._snapshot(table, msg.replyTo, msg.correlationId, answers=msg.body)

    def inunsub(self, msg: d6msg) -> None:
        """Let a subscriber go, and the table too when nothing was ever published in it."""
        table = self.pubdata.get(msg.dataindex)
        if table is None or not table.followed(msg.correlationId):
            return
        # The handler speaks of subscribers: it is asked when a name's last subscription goes.
        last = len(table.followed_by(msg.replyTo)) == 1
        asked = last and hasattr(self, "unsubhandler")
        if not asked or self.finish(self.unsubhandler(msg)):
            table.removesubscriber(msg.replyTo, msg.correlationId)
        self._tidy(msg.dataindex)

    def inpull(self, msg: d6msg) -> None:
        """Answer with the whole table; its later versions are pulled again, not sent."""
        dataindex = msg.dataindex
        if dataindex not in self.pubdata:
            self.pubdata[dataindex] = pubData(dataindex, msg.body)
            if hasattr(self, "subhandler"):
                self.finish(self.subhandler(msg))
        table = self.pubdata.setdefault(dataindex, pubData(dataindex, msg.body))
        table.addsubscriber(msg.replyTo, "pull", msg.correlationId)
        self.send(d6msg(replyTo=self.name, type="rep", body=table.get(), srcmsg=msg))

    def inreq(self, msg: d6msg) -> None:
        """Give the request to ``reqhandler``; what it returns, unless None, is the answer."""
        dataindex, corrId = msg.header["dataindex"], msg.correlationId
        if dataindex in INSIDE:
            own: dict[str, Any] = self.pubdata if dataindex == "pubdata" else self.subdata
            known = {name: copied(kept) for name, kept in own.items()}
            self.send(d6msg(replyTo=self.name, type="rep", body=dataObject(known), srcmsg=msg))
        elif not hasattr(self, "reqhandler"):
            self._no_handler(msg, "requests")
        else:
            table = self.pubdata.get(dataindex)
            if table is None:
                table = self.pubdata[dataindex] = pubData(dataindex, msg.body)
            table.addrequester(msg.replyTo, corrId)
            answer = self.finish(self.reqhandler(msg))
            if answer is not None and table.requested(corrId):
                self._answer(table, corrId, msg.replyTo, dataObject(answer))
                self._tidy(dataindex)

    def incmd(self, msg: d6msg) -> None:
        """Give the command to ``cmdhandler``, once for each correlation id."""
        if not hasattr(self, "cmdhandler"):
            self._no_handler(msg, "commands")
        elif self._commander(msg.correlationId) is None or msg.attempts:
            if len(self._commands) >= COMMANDS_MAX:
                self._older_commands, self._commands = self._commands, {}
            self._commands[msg.correlationId] = msg.replyTo
            self.finish(self.cmdhandler(msg))

    def publish(
        self, dataindex: str, newdata: Any, key: str = "", use_snapshot: bool = False
    ) -> None:
        """Make `newdata` the next state of the table and send it to those who follow it.

        `newdata` is a set of tuples, a `Delta`, or anything else; it is not changed afterwards by
        either side. `key` and `use_snapshot` are Congress's own and mean nothing here.
        """
        table = self.pubdata.get(dataindex)
        if table is None:
            table = self.pubdata[dataindex] = pubData(dataindex)
        if self._own_dialect(dataindex):
            table.hold(newdata)
            self.push(dataindex, type="pub")
        elif not table.awaited() and not isinstance(newdata, Delta):
            table.hold(newdata)
        else:
            update = table.update(newdata)
            if update is not None:
                self._send_out(table, update)
                self._answer_requesters(table)

    def push(self, dataindex: str, key: str = "", type: str | None = None) -> None:
        """Send the table as it is, to one subscriber or requester or to all of them."""
        if self._own_dialect(dataindex) and self._dialect_waits() and not runtime.may_wait():
            self.do(lambda: self.push(dataindex, key, type))  # after the coroutine that publishes
            return
        table = self.pubdata[dataindex]
        if table.followers() and (not key or key in table.subscribers):
            update = self._pushed(table, type)
            if update is not None:
                self._send_out(table, update, key)
        self._answer_requesters(table, key)

    def prepush_processor(self, data: Any, dataindex: str, type: str | None = None) -> Any:
        """Turn `data` into what is sent: a driver that overrides this keeps its own dialect.

        `type` is ``sub`` for a new subscriber and ``pub`` for a change; None means: send nothing.
        It may be a coroutine function.
        """
        return data

    def reserved_dataindex(self, dataindex: str) -> bool:
        """Whether `dataindex` is one of the engine's own."""
        return dataindex in RESERVED

    def reply(self, dataindex: str, newdata: Any = "", delete: bool = True) -> None:
        """Answer everybody who requested `dataindex`, with `newdata` or the table as it is."""
        commander = self._commander(dataindex)
        if commander is not None:
            self._rep(commander, dataindex, dataindex, dataObject(newdata))
            return
        table = self.pubdata[dataindex]
        body = dataObject(newdata) if newdata else table.get()
        for corrId, name in table.requests():
            self._answer(table, corrId, name, body, forget=delete)
        if delete:
            self._tidy(dataindex)

    def subscriber_list(self) -> list[tuple[str, str]]:
        """(name, dataindex) of every subscriber."""
        tables = list(self.pubdata.values())
        return [(name, table.dataindex) for table in tables for name in table.subscribers]

    def _commander(self, corrId: str) -> str | None:
        """Who sent this command, as far as it is remembered."""
        return self._commands.get(corrId) or self._older_commands.get(corrId)

    def _own_dialect(self, dataindex: str) -> bool:
        """Whether the driver sends its own deltas: it overrides ``prepush_processor``."""
        if dataindex in RESERVED:
            return False
        return getattr(self.prepush_processor, "__func__", None) is not _PLAIN

    def _dialect_waits(self) -> bool:
        """Whether the driver's own dialect is made by a coroutine."""
        return iscoroutinefunction(self.prepush_processor)

    def _pushed(self, table: pubData, kind: str | None) -> dataObject | None:
        """The table as it goes out: as a snapshot, or as what the driver's dialect makes of it."""
        if not self._own_dialect(table.dataindex):
            return table.get()
        data = self.finish(self.prepush_processor(table.held(), table.dataindex, type=kind))
        return None if data is None else table.dialect(data, snapshot=kind != "pub")

    def _snapshot(self, table: pubData, sender: str, corrId: str, answers: int = 0) -> None:
        update = self._pushed(table, "sub")
        if update is not None:
            update.answers = answers
            self.send(self._message("pub", sender, table.dataindex, corrId, update))

    def _send_out(self, table: pubData, update: dataObject, name: str = "") -> None:
        """Send one update, by reference, to all who follow the table or to one of them."""
        dataindex = table.dataindex
        for corrId, follower in table.followers():
            if not name or follower == name:
                self.send(self._message("pub", follower, dataindex, corrId, update))

    def _answer_requesters(self, table: pubData, name: str = "") -> None:
        """A table that is published answers those who requested it."""
        for corrId, requester in table.requests():
            if not name or requester == name:
                self._answer(table, corrId, requester, table.get())

    def _answer(
        self, table: pubData, corrId: str, name: str, body: dataObject, forget: bool = True
    ) -> None:
        self._rep(name, corrId, table.dataindex, body)
        if forget:
            table.answered(corrId, name)

    def _tidy(self, dataindex: str) -> None:
        """Drop a table that was never published and that nobody follows or asks for."""
        table = self.pubdata.get(dataindex)
        if table is not None and table.unused():
            del self.pubdata[dataindex]


_PLAIN = publishing.prepush_processor
