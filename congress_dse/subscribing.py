"""subscribing: the half of a service that follows tables and asks for things."""

from collections.abc import Callable
from typing import Any

from congress_dse.d6message import d6msg, new_id
from congress_dse.dataobj import dataObject, subData
from congress_dse.endpoint import endpoint

LATE_S = 0.5  # a delta that waited longer leads straight to the table's newest state
RESYNC_S = 1.0  # a snapshot that was asked for and did not come is asked for again

Callback = Callable[[Any], Any]


class subscribing(endpoint):
    """Subscriptions, requests and commands, and what comes of them."""

    subdata: dict[str, subData]

    def __init__(self) -> None:
        super().__init__()
        self.subdata = {}
        self.scheduuids: set[str] = set()
        self._repeats: dict[str, Any] = {}
        self._asked: dict[tuple[str, str], Any] = {}

    def inpubrep(self, msg: d6msg) -> None:
        """Take an update or an answer in its order, and give each state reached to the callback."""
        corrId, sender = msg.correlationId, msg.replyTo
        subscription = self.subdata.get(corrId)
        if subscription is None:
            self._unknown(msg)
            return
        self._stop_repeating(corrId)
        update = msg.body if isinstance(msg.body, dataObject) else dataObject(msg.body)
        if msg.type == "rep":
            states = subscription.pulled(sender, update) if subscription.pull else [update]
        else:
            states = subscription.receive(sender, update, late=self.waited_s > LATE_S)
            self._catch_up(subscription, sender)
        try:
            for state in states:
                self._call_back(subscription, msg, state)
        finally:
            if msg.type == "rep" and not subscription.lasting:
                self.subdata.pop(corrId, None)

    def inmark(self, msg: d6msg) -> None:
        """Learn how far a publisher is, and ask for what was lost."""
        subscription = self.subdata.get(msg.correlationId)
        if subscription is not None and subscription.marked(msg.replyTo, msg.body):
            self._catch_up(subscription, msg.replyTo)

    def inlost(self, msg: d6msg) -> None:
        """Ask for the tables of which the mailbox dropped an update."""
        for corrId, sender in msg.body:
            subscription = self.subdata.get(corrId)
            if subscription is not None:
                self._ask_again(subscription, sender)

    def indown(self, msg: d6msg) -> None:
        """A service ended: subscribe again, so that its next life is followed from the start."""
        for subscription in list(self.subdata.values()):
            if msg.body["name"] in subscription.getSources() and subscription.lasting:
                kind = "pull" if subscription.pull else "sub"
                sub = self._message(kind, subscription.key, subscription.dataindex, "", None)
                sub.correlationId = subscription.corrId
                self.send(sub)
        for call in msg.body.get("watchers", ()):
            self.finish(call(msg.body["name"], msg.body["cause"]))

    def subscribe(
        self,
        key: str,
        dataindex: str,
        corrId: str = "",
        callback: Callback | None = None,
        pull: bool = False,
        interval: float = 30,
        args: Any = None,
    ) -> str:
        """Follow the table `dataindex` of whoever has `key`; return the subscription's id.

        `callback(msg)` gets each state in ``msg.body``. The subscription is repeated every
        `interval` seconds until the first answer: a subscriber may come before its publisher.
        """
        corruuid = corrId or new_id()
        self.subdata[corruuid] = subData(key, dataindex, corruuid, callback, True, pull)
        msg = self._message("pull" if pull else "sub", key, dataindex, corruuid, args)
        self.scheduuids.add(corruuid)
        self.schedule(msg, corruuid, interval)
        return corruuid

    def unsubscribe(self, key: str = "", dataindex: str = "", corrId: str = "") -> None:
        """End one subscription by its id, or all of this table of this key."""
        mine = self.subdata
        ends = (
            [corrId]
            if corrId
            else [c for c, s in mine.items() if (s.key, s.dataindex) == (key, dataindex)]
        )
        for corruuid in ends:
            self._stop_repeating(corruuid)
            subscription = self.subdata.pop(corruuid, None)
            if subscription is not None:
                key, dataindex = subscription.key, subscription.dataindex
                for sender in subscription.getSources():
                    self._asked_no_more(corruuid, sender)
            if key:
                self.send(self._message("unsub", key, dataindex, corruuid, None))

    def request(
        self,
        key: str,
        dataindex: str,
        corrId: str = "",
        callback: Callback | None = None,
        interval: float = 0,
        timer: float = 30,
        args: Any = None,
    ) -> str:
        """Ask whoever has `key`; `callback(msg)` gets the answer. Nobody waits.

        With an `interval` the request is repeated until it is answered; without, it expires after
        `timer` seconds. Returns the request's id.
        """
        msg = self._message("req", key, dataindex, corrId or new_id(), args)
        corruuid = msg.correlationId
        self.subdata[corruuid] = subData(key, dataindex, corruuid, callback)
        if interval:
            self.scheduuids.add(corruuid)
            self.schedule(msg, corruuid, interval)
        else:
            self._expires(corruuid, timer)
            self.send(msg)
        return corruuid

    def command(
        self,
        key: str,
        command: str,
        corrId: str = "",
        callback: Callback | None = None,
        timer: float = 30,
        args: Any = None,
    ) -> str:
        """Order whoever has `key` to do `command`; `callback(msg)` gets the answer, if any."""
        msg = self._message("cmd", key, command, corrId or new_id(), args)
        corruuid = msg.correlationId
        self.subdata[corruuid] = subData(key, command, corruuid, callback)
        self._expires(corruuid, timer)
        self.send(msg)
        return corruuid

    def schedule(self, msg: d6msg, scheduuid: str, interval: float) -> None:
        """Send `msg` now and every `interval` seconds while `scheduuid` is in `scheduuids`."""
        if scheduuid not in self.scheduuids:
            self._repeats.pop(scheduuid, None)
            return
        if msg.type == "pub":
            msg.body = self.pubdata[msg.dataindex].get()
        if interval:
            again = self.after(interval, self.schedule, msg, scheduuid, interval)
            self._repeats[scheduuid] = again
        self.send(msg)

    def reqtimeout(self, corrId: str) -> None:
        """Forget a request that nobody answered in time."""
        self._repeats.pop(corrId, None)
        if self.subdata.pop(corrId, None) is not None:
            self.log_debug("request %s expired", corrId)

    def getSubData(self, corrId: str, sender: str = "") -> Any:
        """What a subscription holds: of one publisher, or of all as a dict; None for none."""
        subscription = self.subdata.get(corrId)
        if subscription is None:
            return None
        return subscription.getData(sender) if sender else subscription.getAllData()

    def subscription_list(self) -> list[tuple[str, str]]:
        """(key, dataindex) of every subscription and open request."""
        return [(sub.key, sub.dataindex) for sub in self.subdata.values()]

    def _call_back(self, subscription: subData, msg: d6msg, state: dataObject) -> None:
        """Give one state to the callback, and keep what it returns if that is anything."""
        if subscription.callback is None:
            return
        if msg.body is not state:
            msg = self._copy(msg, state)
        result = self.finish(subscription.callback(msg))
        if result:
            subscription.update(msg.replyTo, dataObject(result))

    @staticmethod
    def _copy(msg: d6msg, body: dataObject) -> d6msg:
        return d6msg(msg.key, msg.replyTo, msg.correlationId, msg.type, msg.dataindex, body)

    def _unknown(self, msg: d6msg) -> None:
        """An update or answer that nobody here waits for: late, or of a subscription that ended."""
        if msg.type == "rep":
            self._dead(msg, "late")
        elif msg.replyTo:
            key, corrId = msg.replyTo, msg.correlationId
            self.send(self._message("unsub", key, msg.dataindex, corrId, None))

    def _catch_up(self, subscription: subData, sender: str) -> None:
        """While an update is missing, ask for a snapshot, again and again; then no more."""
        if not subscription.behind(sender):
            self._asked_no_more(subscription.corrId, sender)
        elif (subscription.corrId, sender) not in self._asked:
            self._ask_again(subscription, sender)

    def _ask_again(self, subscription: subData, sender: str) -> None:
        if self.subdata.get(subscription.corrId) is not subscription:
            return
        self._asked_no_more(subscription.corrId, sender)
        again = self.after(RESYNC_S, self._ask_again, subscription, sender)
        self._asked[subscription.corrId, sender] = again
        number = subscription.resync(sender)
        args = (sender, subscription.dataindex, subscription.corrId, number)
        self.send(self._message("resync", *args))

    def _asked_no_more(self, corrId: str, sender: str) -> None:
        timer = self._asked.pop((corrId, sender), None)
        if timer is not None:
            timer.cancel()

    def _stop_repeating(self, corrId: str) -> None:
        self.scheduuids.discard(corrId)
        timer = self._repeats.pop(corrId, None)
        if timer is not None:
            timer.cancel()

    def _expires(self, corrId: str, timer_s: float) -> None:
        if timer_s:
            self._repeats[corrId] = self.after(timer_s, self.reqtimeout, corrId)
