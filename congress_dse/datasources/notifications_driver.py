"""notifications: OpenStack's events as tables, through an oslo.messaging listener.

Tables follow events between the polls of other sources, which stay the truth: an event can have
them read again. An event is acknowledged once it is in this service's mailbox, and comes again
where it was not. The poll of this source is a look at the broker: while that is not to be reached
the tables are stale; when it is back, a new listener makes its queues before they are not.

A listener whose broker is gone ends only when its next try to reach that has failed: it is left to
end by itself, in a thread of its own.
"""

import threading
from collections.abc import Mapping
from typing import Any, ClassVar

import kombu
from oslo_config import cfg

from congress_dse import exceptions
from congress_dse.datasources import oslo_endpoints
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.datasources.events import COLUMNS, EVENTS, Events
from congress_dse.runtime import chosen as runtime

oslo_messaging: Any = oslo_endpoints.messaging()

PUBLISH_S = 0.05  # events that come together are published together
CONNECT_S = 5.0
RABBIT = ("rabbit", "amqp")
END_S = 1.5  # of the end of a service, for its listener
# A listener looks whether it is to stop as often as it looks after the heartbeat, here each 0.3 s
# (its minute, in half, by this rate), and after each try to reach its broker: each second.
LOOKS = {"heartbeat_rate": 100, "rabbit_retry_backoff": 0, "rabbit_interval_max": 1}


class NotificationsDriver(PollingDataSourceDriver):
    """The last events of a cloud, and the state they leave its resources in."""

    DESCRIPTION = "OpenStack notifications: events, instances, ports, networks, images, volumes."
    SCHEMA: ClassVar[dict[str, tuple[Any, ...]]] = COLUMNS
    OPTIONS: ClassVar[list[Any]] = [
        cfg.StrOpt(
            "transport_url",
            required=True,
            secret=True,
            help="Where the broker is, as in rabbit://user:password@host:5672/.",
        ),
        cfg.ListOpt(
            "topics",
            default=["notifications", "versioned_notifications"],
            help="Topics of the notifications.",
        ),
        cfg.ListOpt(
            "exchanges",
            default=["openstack", "nova", "neutron", "glance", "cinder"],
            help="Exchanges that services send them to: their control_exchange.",
        ),
        cfg.StrOpt(
            "pool",
            default="congress_dse",
            help="Listeners of one pool share the events; each pool has all of them.",
        ),
        cfg.IntOpt("events_max", default=1000, min=1, help="Events to keep."),
        cfg.FloatOpt(
            "events_age", default=3600.0, min=0, help="Seconds to keep an event; 0 for ever."
        ),
        cfg.DictOpt(
            "refresh",
            default={},
            help="Sources to read again when an event comes whose type has this prefix, as in "
            "compute.instance:nova,port:neutron.",
        ),
        cfg.FloatOpt(
            "refresh_delay",
            default=1.0,
            min=0,
            help="Seconds to wait for further events before a source is read again.",
        ),
    ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conf = cfg.ConfigOpts()
        self.conf([], project="congress-dse", default_config_files=[], default_config_dirs=[])
        self.url = oslo_messaging.TransportURL.parse(self.conf, self.args["transport_url"])
        self._secrets += [host.password for host in self.url.hosts if host.password]
        self.events = Events(self.args["events_max"], self.args["events_age"])
        self._listener: Any = None
        self._transport: Any = None
        self._changed: set[str] = set(COLUMNS)
        self._publishing: Any = None
        self._expiry: Any = None
        self._refreshing: dict[str, Any] = {}
        self._ender = f"{self.name}-deafen"  # the thread that ends a listener

    @classmethod
    def check(cls, args: dict[str, Any]) -> list[tuple[str, str]]:
        """(option, what is wrong with its value) of every option that cannot work."""
        conf = cfg.ConfigOpts()
        conf([], project="congress-dse", default_config_files=[], default_config_dirs=[])
        try:
            url = oslo_messaging.TransportURL.parse(conf, args["transport_url"])
        except (oslo_messaging.InvalidTransportURL, ValueError):
            return [("transport_url", "is no URL of a transport")]
        return [] if url.transport else [("transport_url", "names no transport")]

    def update_from_datasource(self) -> None:
        """Look whether the broker is there, and listen if we do not yet."""
        if self.url.transport in RABBIT:
            try:
                reach(self.url)
            except exceptions.SourceError:
                # Heard again means that the queues are there again: a new listener makes them.
                self._end_listening()
                raise
        if self._listener is None:
            self._listen()

    def publish_state(self) -> None:
        self._publish_changed()
        self.publish_stale()

    def cleanup(self) -> None:
        super().cleanup()
        if not self._end_listening().wait(END_S):
            self.log_warning(
                "the listener has not ended in %g s: its broker does not answer; thread %s ends it "
                "when it can",
                END_S,
                self._ender,
            )

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event, in this service's own turn."""
        self._changed |= self.events.take(event, runtime.now())
        for prefix, source in self.args["refresh"].items():
            if event["event_type"].startswith(prefix) and source not in self._refreshing:
                timer = self.after(self.args["refresh_delay"], self._refresh_source, source)
                self._refreshing[source] = timer
        if self._changed and self._publishing is None:
            self._publishing = self.after(PUBLISH_S, self._publish_changed)

    def _publish_changed(self) -> None:
        self._publishing = None
        if self.events.expire(runtime.now()):
            self._changed.add(EVENTS)
        changed, self._changed = self._changed, set()
        for table in sorted(changed):
            self.state[table] = self.events.rows(table)
            self.publish(table, self.state[table])
        due = self.events.due()
        if due is not None and self._expiry is None:
            self._expiry = self.after(max(0.0, due - runtime.now()) + PUBLISH_S, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        self._publish_changed()

    def _refresh_source(self, source: str) -> None:
        self._refreshing.pop(source, None)
        found = getattr(self.dataPath, "service_object", lambda _: None)(source)
        if found is None:
            self.log_warning("no source %s to read again", source)
        else:
            found.request_refresh()

    def _listen(self) -> None:
        transport = oslo_messaging.get_notification_transport(self.conf, url=self.url)
        if self.url.transport in RABBIT:
            for option, value in LOOKS.items():
                self.conf.set_override(option, value, "oslo_messaging_rabbit")
        targets = [
            oslo_messaging.Target(topic=topic, exchange=exchange)
            for topic in self.args["topics"]
            for exchange in self.args["exchanges"]
        ]
        self._transport = transport
        self._listener = oslo_messaging.get_notification_listener(
            transport,
            targets,
            [oslo_endpoints.plain(Endpoint(self))],
            executor="threading",  # of the patched kind, where the process is patched
            allow_requeue=True,
            pool=self.args["pool"],
        )
        try:
            self._listener.start(override_pool_size=1)  # one at a time: in their order
        except BaseException:
            self._end_listening()
            raise

    def _end_listening(self) -> runtime.Waiter:
        """Have what is ours to listen end, and be ours no more; answers what waits for that end.

        Its thread is not joined: as a greenlet it is of one hub alone, and the system's own `join`
        would hold up the hub.
        """
        listener, self._listener = self._listener, None
        transport, self._transport = self._transport, None
        ended = runtime.Waiter()

        def end() -> None:
            try:
                deafen(listener, transport)
            finally:
                ended.send()

        threading.Thread(target=end, name=self._ender, daemon=True).start()
        return ended


class Endpoint:
    """What the listener calls with each event, by its priority."""

    def __init__(self, driver: NotificationsDriver) -> None:
        self._driver = driver

    def info(
        self, _ctxt: Any, publisher_id: str, event_type: str, payload: Any, metadata: Any
    ) -> Any:
        """Put one event into the driver's mailbox; it is to come again if that is full."""
        event = {
            **metadata,
            "publisher_id": publisher_id,
            "event_type": event_type,
            "payload": payload,
        }
        try:
            self._driver.do(lambda: self._driver.take(event))
        except exceptions.MailboxFull:
            return oslo_messaging.NotificationResult.REQUEUE
        return oslo_messaging.NotificationResult.HANDLED

    warn = error = critical = info


def deafen(listener: Any, transport: Any) -> None:
    """Stop listening and let go of the broker; waits for a broker that is gone."""
    if listener is not None and listener.listener is not None:
        listener.stop()
        listener.wait()
    if transport is not None:
        transport.cleanup()


def reach(url: Any) -> None:
    """Log in at one of the brokers of `url`; raises SourceError when none lets us."""
    causes = []
    for host in url.hosts:
        broker = kombu.Connection(
            hostname=host.hostname,
            port=host.port,
            userid=host.username,
            password=host.password,
            virtual_host=url.virtual_host or "/",
            ssl=str(url.query.get("ssl", "")).lower() in {"1", "true"},
            connect_timeout=CONNECT_S,
        )
        try:
            broker.connect()
        except (*broker.connection_errors, OSError) as error:
            causes.append(f"{host.hostname}:{host.port}: {error}")
        else:
            return
        finally:
            broker.release()
    raise exceptions.SourceError(f"no broker: {'; '.join(causes) or 'the URL names none'}")


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> NotificationsDriver:
    """Make the service, as a cage asks for it."""
    return NotificationsDriver(name, keys, inbox, datapath, args)
