"""The events of a table: a snapshot, then every change; resumed, kept alive, ended."""

import gc
import json
import socket

import pytest

from congress_dse.api import events, feeds
from congress_dse.runtime import chosen as runtime

from .conftest import outside

ROWS = "data-sources/given/tables/alarms/rows"
EVENTS = "/v1/data-sources/given/tables/alarms/events"


class Stream:
    """One event stream, read event by event."""

    def __init__(self, port, path=EVENTS, last="", buffer_b=0):
        outside(self._begin, port, path, last, buffer_b)

    def _begin(self, port, path, last, buffer_b):
        self.sock = socket.socket()
        if buffer_b:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_b)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", port))
        last = f"Last-Event-ID: {last}\r\n" if last else ""
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{last}\r\n".encode())
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(": ")
            self.headers[name.lower()] = value
        self.left = b""

    def block(self):
        """The next block of lines, without the chunks around it; empty at the end."""
        return outside(self._block)

    def _block(self):
        while b"\n\n" not in self.left:
            size = int(self.file.readline() or b"0", 16)
            if not size:
                return ""
            self.left += self.file.read(size)
            self.file.readline()
        block, _, self.left = self.left.partition(b"\n\n")
        return block.decode()

    def event(self):
        """The next event as (kind, id, data)."""
        while True:
            lines = self.block().split("\n")
            fields = {}
            for line in lines:
                name, _, value = line.partition(": ")
                fields[name] = fields[name] + "\n" + value if name in fields else value
            if "event" in fields:
                return fields["event"], fields.get("id", ""), json.loads(fields["data"])

    def close(self):
        self.file.close()
        self.sock.close()


@pytest.fixture
def stream():
    """Open streams; they are closed at the end."""
    opened = []

    def begin(*args, **kwargs):
        opened.append(Stream(*args, **kwargs))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def write(api, *rows):
    assert api("PUT", ROWS, json=[list(row) for row in rows]).status == 200


def test_a_snapshot_then_every_change(api, stream):
    write(api, (1, "a"), (2, "b"))
    one = stream(api.port)
    assert one.status == 200
    assert one.headers["content-type"].startswith("text/event-stream")
    kind, id_, data = one.event()
    assert kind == "snapshot"
    assert id_ == f"{data['epoch']}.{data['version']}"
    assert sorted(data["rows"]) == [[1, "a"], [2, "b"]]
    assert (data["source"], data["table"]) == ("given", "alarms")
    write(api, (1, "a"), (3, None))
    kind, id_, data = one.event()
    assert (kind, data["added"], data["removed"]) == ("delta", [[3, "None"]], [[2, "b"]])
    assert id_ == f"{data['epoch']}.{data['version']}"


def test_a_table_without_data_is_followed_from_its_first(api, stream):
    one = stream(api.port)
    write(api, (1, "a"))
    rows = set()
    while rows != {(1, "a")}:
        _, _, data = one.event()
        rows = {tuple(r) for r in data.get("rows", data.get("added"))}


def test_who_comes_back_gets_what_was_missed(api, stream):
    write(api, (1, "a"))
    one = stream(api.port)
    keeps_it = stream(api.port)
    _, id_, _ = one.event()
    one.close()
    write(api, (1, "a"), (2, "b"))
    write(api, (2, "b"))
    again = stream(api.port, last=id_)
    assert again.event()[2]["added"] == [[2, "b"]]
    assert again.event()[2]["removed"] == [[1, "a"]]
    assert keeps_it.event()[0] == "snapshot"


@pytest.mark.parametrize("last", ["1.1", "nonsense", "9" * 400 + ".1", "-1.2"])
def test_who_comes_back_with_an_unknown_id_gets_a_snapshot(api, stream, last):
    write(api, (1, "a"))
    assert stream(api.port, last=last).event()[0] == "snapshot"


def test_the_same_id_again_brings_only_what_is_new(api, stream):
    write(api, (1, "a"))
    _, id_, _ = stream(api.port).event()
    again = stream(api.port, last=id_)
    write(api, (2, "b"))
    assert again.event()[0] == "delta"


def test_many_changes_more_than_are_kept_end_in_the_same_table(api, stream, monkeypatch):
    monkeypatch.setattr(feeds, "KEPT", 5)
    write(api, (0, "x"))
    first = stream(api.port)
    _, id_, _ = first.event()
    for n in range(1, 20):
        write(api, (n, "x"))
    late = stream(api.port, last=id_)
    kind, _, data = late.event()
    assert (kind, data["rows"]) == ("snapshot", [[19, "x"]])


def test_a_slow_follower_gets_a_snapshot_and_costs_no_backlog(running, stream, monkeypatch):
    monkeypatch.setattr(feeds, "KEPT_B", 200_000)
    one = running("client_timeout = 20")
    api = one.client
    text = "x" * 20_000
    write(api, (0, text))
    slow = stream(api.port, buffer_b=4096)
    for n in range(400):
        write(api, (n, text + str(n)))
    feed = one.api.feeds().feeds()["given", "alarms"]
    assert feed.kept_b() <= 250_000
    rows, kinds = set(), []
    while rows != {(399, text + "399")}:
        kind, _, data = slow.event()
        kinds.append(kind)
        if kind == "snapshot":
            rows = set()
        rows -= {tuple(row) for row in data.get("removed", ())}
        rows |= {tuple(row) for row in data.get("rows", data.get("added", ()))}
    assert "snapshot" in kinds[1:]
    assert len(kinds) < 400


def test_a_large_snapshot_is_whole(running, stream):
    api = running("max_body_size = 50000000").client
    write(api, *((n, "y") for n in range(7001)))
    _, _, data = stream(api.port).event()
    assert sorted(row[0] for row in data["rows"]) == list(range(7001))


def test_a_silent_stream_is_kept_alive(running, stream, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.1)
    one = running()
    follower = stream(one.port)
    assert follower.block() == "retry: 1000"
    assert follower.block() == ": heartbeat"
    assert follower.block() == ": heartbeat"


def test_the_end_of_the_server_ends_each_stream_with_an_id_to_come_back_with(running, stream):
    one = running()
    write(one.client, (1, "a"))
    follower = stream(one.port)
    _, id_, _ = follower.event()
    stopping = runtime.spawn(one.api.stop)
    kind, last, data = follower.event()
    assert (kind, last) == ("end", id_)
    assert "stops" in data["reason"]
    assert follower.block() == ""
    stopping.wait()


def test_a_deleted_source_ends_its_streams(running, stream, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.1)
    api = running().client
    api("POST", "data-sources", json={"name": "p", "driver": "push", "config": {"tables": "a(x)"}})
    follower = stream(api.port, "/v1/data-sources/p/tables/a/events")
    api("DELETE", "data-sources/p")
    kind, _, data = follower.event()
    assert (kind, "deleted" in data["reason"]) == ("end", True)


def test_a_table_is_subscribed_to_once_and_let_go_when_nobody_follows(
    running, stream, monkeypatch, caplog
):
    monkeypatch.setattr(feeds, "LINGER_S", 0.05)
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    one = running()
    write(one.client, (1, "a"))
    several = [stream(one.port) for _ in range(20)]
    assert all(s.event()[0] == "snapshot" for s in several)
    table = one.engine.cage.service_object("given").pubdata["alarms"]
    assert len(table.subscribers) == 1
    for follower in several:
        follower.close()
    while table.subscribers or one.api.connections():
        runtime.sleep(0.01)
    assert not one.api.feeds().feeds()
    gc.collect()
    assert "never retrieved" not in caplog.text, "what the task of a client ended with"


def test_a_source_that_starts_anew_is_followed_on(running, stream):
    one = running()
    write(one.client, (1, "a"))
    follower = stream(one.port)
    assert follower.event()[0] == "snapshot"
    cage = one.engine.cage
    source = one.engine.catalogue.configured()[1]
    cage.deleteservice("given")
    cage.createservice("given", factory=source.driver, args=source.args)
    write(one.client, (2, "b"))
    rows = None
    while rows != [[2, "b"]]:
        kind, _, data = follower.event()
        rows = data["rows"] if kind == "snapshot" else data["added"]


def test_head_of_a_stream_leaves_no_follower(running):
    one = running()
    assert one.client("HEAD", EVENTS).status == 200
    assert all(not feed.followers for feed in one.api.feeds().feeds().values())
