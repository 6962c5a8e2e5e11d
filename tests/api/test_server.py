"""The server: large tables, limits, slow clients, persistence and TLS."""

import json
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from congress_dse import config, exceptions
from congress_dse.api import access
from congress_dse.runtime import chosen as runtime

from .conftest import Client, Running, outside

ROWS = "data-sources/given/tables/alarms/rows"


def sent(port, data, half=False):
    """All that is answered to these bytes, until the server closes."""
    return outside(_sent, port, data, half)


def _sent(port, data, half):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(data)
        if half:
            sock.shutdown(socket.SHUT_WR)
        found = []
        while part := sock.recv(65536):
            found.append(part)
        return b"".join(found)


def asked(connection, path):
    """What is answered to one more request of a connection."""

    def ask():
        connection.request("GET", path)
        response = connection.getresponse()
        response.body = response.read()
        return response

    return outside(ask)


def error_of(answer):
    """The status and the message of an error in the contract's form."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]["message"]


# Large tables.


def test_a_large_table_streams_whole(running):
    api = running("max_body_size = 50000000").client
    rows = [[f"id-{n:06}-{'x' * 40}", n] for n in range(30_000)]
    assert api("PUT", ROWS, json=rows).status == 200
    answer = api.get(ROWS)
    assert answer.headers.get("transfer-encoding") == "chunked"
    assert sorted(row["data"] for row in answer.json["results"]) == rows


def test_a_table_is_read_in_pages_of_one_version(api):
    rows = [[n, "x"] for n in range(1000)]
    api("PUT", ROWS, json=rows)
    found, path = [], f"{ROWS}?limit=300"
    while path:
        page = api.get(path).json
        found += [row["data"] for row in page["results"]]
        if len(found) == 600:
            api("PUT", ROWS, json=[[7, "y"]])  # a change in between
        links = page.get("links", ())
        path = links[0]["href"].partition("/v1/")[2] if links else ""
    assert sorted(found) == rows
    assert api.get(ROWS).json == {"results": [{"data": [7, "y"]}]}


def test_a_page_may_be_larger_than_one_message(api):
    rows = [[n, "x" * 200] for n in range(8000)]
    api("PUT", ROWS, json=rows)
    page = api.get(f"{ROWS}?limit=7000").json
    assert len(page["results"]) == 7000
    rest = api.get(f"{ROWS}?limit=7000&marker={page['marker']}").json
    assert len(rest["results"]) == 1000
    assert "marker" not in rest


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1e3", "99999999999999999999", "%C2%B2"])
def test_a_limit_that_is_none_is_refused(api, limit):
    assert api.get(f"{ROWS}?limit={limit}").status == 400


@pytest.mark.parametrize("marker", ["x", "1.2", "1.2.3", "0.0.-1", "9" * 200])
def test_a_marker_that_was_not_given_out_is_gone(api, marker):
    api("PUT", ROWS, json=[[1, 2]])
    answer = api.get(f"{ROWS}?marker={marker}")
    assert answer.status == 410


def test_what_a_client_has_is_not_sent_again(api):
    api("PUT", ROWS, json=[[1, 2]])
    tag = api.get(ROWS).headers["etag"]
    same = api.get(ROWS, If_None_Match=tag)
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
    api("PUT", ROWS, json=[[1, 3]])
    assert api.get(ROWS, If_None_Match=tag).status == 200
    assert api.get(ROWS, If_None_Match='"nonsense"').status == 200


# Staleness.


def test_rows_that_are_too_old_are_unavailable_with_their_cause(running, tmp_path):
    api = running("max_staleness = 0.2").client
    rows = "data-sources/files/tables/t/rows"
    while api.get(rows).status != 200:
        runtime.sleep(0.01)
    (tmp_path / "tables" / "t.csv").write_text("name,cpus\nbroken\n")
    while (answer := api.get(rows)).status != 503:
        assert answer.status == 200
        runtime.sleep(0.01)
    assert "row 2 has 1 fields" in answer.error[1]
    assert int(answer.headers["retry-after"]) >= 1
    assert "row 2 has 1 fields" in json.dumps(api.get("data-sources/files/status").json["stale"])
    (tmp_path / "tables" / "t.csv").write_text("name,cpus\nhv3,1\n")
    while api.get(rows).status != 200:
        runtime.sleep(0.01)


def test_rows_that_are_a_little_old_come_with_a_warning(running, tmp_path):
    api = running("max_staleness = 3600").client
    rows = "data-sources/files/tables/t/rows"
    while api.get(rows).status != 200:
        runtime.sleep(0.01)
    (tmp_path / "tables" / "t.csv").write_text("name,cpus\nbroken\n")
    while "warning" not in (answer := api.get(rows)).headers:
        runtime.sleep(0.01)
    assert answer.status == 200
    assert "row 2 has 1 fields" in answer.headers["warning"]


HUNG = """
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.runtime import chosen as runtime

class Hung(PollingDataSourceDriver):
    def update_from_datasource(self):
        runtime.sleep(3600)

    def get_schema(self=None):
        return {"t": ("a",)}

def d6service(name, keys, inbox, datapath, args):
    return Hung(name, keys, inbox, datapath, args)
"""


def test_a_source_that_hangs_is_unavailable_and_others_are_not_held_up(running, tmp_path):
    (tmp_path / "hung.py").write_text(HUNG)
    section = f"[datasource:hung]\ndriver = {tmp_path}/hung.py\npoll_deadline = 0.3\n"
    api = running(sources=section).client
    while (answer := api.get("data-sources/hung/tables/t/rows")).status != 503:
        assert answer.status == 404
        assert api("PUT", ROWS, json=[[1, 2]]).status == 200
    assert "poll_deadline" in answer.error[1]
    assert "retry-after" in answer.headers


FIRST = """
from pathlib import Path
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.runtime import chosen as runtime

class First(PollingDataSourceDriver):
    def update_from_datasource(self):
        folder = Path(__file__).parent
        (folder / "begun").touch()
        while not (folder / "over").exists():
            runtime.sleep(0.01)
        self.state = {"t": {(1,)}}
"""


def test_what_a_source_reads_first_is_waited_for(running, tmp_path):
    (tmp_path / "first.py").write_text(FIRST)
    one = running(sources=f"[datasource:first]\ndriver = {tmp_path}/first.py\n")
    found = []
    for path in ("tables/t/rows", "tables/t/spec"):
        runtime.spawn(lambda path=path: found.append(one.client.get(f"data-sources/first/{path}")))
    while not (tmp_path / "begun").exists() or one.api.connections() < 2:
        runtime.sleep(0.01)
    assert not found
    (tmp_path / "over").touch()
    while len(found) < 2:
        runtime.sleep(0.01)
    assert [answer.status for answer in found] == [200, 200]


def test_a_source_that_does_not_run_is_unavailable_not_unknown(running):
    api = running().client
    body = {"name": "off", "driver": "push", "config": {"tables": "a(x)"}, "enabled": False}
    assert api("POST", "data-sources", json=body).status == 201
    answer = api.get("data-sources/off/tables")
    assert answer.status == 503
    assert "not enabled" in answer.error[1]


# Limits.


def test_a_body_that_is_too_large_is_refused_before_it_is_read(running):
    port = running("max_body_size = 2000").port
    head = b"PUT /v1/%s HTTP/1.1\r\nHost: x\r\n" % ROWS.encode()
    answer = sent(port, head + b"Content-Length: 3000000000\r\n\r\n[[1,2]")
    assert error_of(answer) == (413, "the body has over 2000 bytes")
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    answer = sent(port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 2)
    assert error_of(answer)[0] == 413


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 5000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_in_the_contract_s_form(running, head, status):
    port = running("max_header_size = 4096").port
    found, message = error_of(sent(port, head))
    assert found == status
    assert message


def test_a_client_that_dribbles_is_cut_off_and_others_are_served(running):
    one = running("client_timeout = 0.5")
    answers = []

    def dribble(head, rest):
        with socket.create_connection(("127.0.0.1", one.port), timeout=20) as sock:
            sock.sendall(head)
            try:
                for byte in rest:
                    sock.sendall(bytes([byte]))
                    runtime.sleep(0.2)
            except OSError:
                pass
            answers.append(sock.recv(65536))

    slow = [
        (b"GET / HT", b"TP/1.1\r\nHost: x\r\n\r\n"),
        (b"PUT / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n", b"x" * 5000),
    ]
    threads = [threading.Thread(target=dribble, args=parts) for parts in slow]
    for thread in threads:
        thread.start()
    assert one.client.get("/").status == 200
    for thread in threads:
        outside(thread.join, 40)
    assert [error_of(a)[0] for a in answers] == [408, 408]


def test_a_connection_that_says_nothing_is_closed(running):
    one = running("client_timeout = 0.3")
    assert sent(one.port, b"") == b""


def test_a_client_that_goes_away_in_mid_request_leaves_nothing(running):
    one = running()
    assert sent(one.port, b"PUT / HTTP/1.1\r\nContent-Length: 50\r\n\r\nabc", half=True) == b""
    while one.api.connections():
        runtime.sleep(0.01)


def test_with_all_connections_taken_the_longest_idle_gives_way(running):
    one = running("max_connections = 3")
    idle = [one.client.connection() for _ in range(3)]
    for connection in idle:
        asked(connection, "/")
    assert one.client.get("/v1").status == 200
    assert one.api.connections() <= 3
    for connection in idle:
        connection.close()


def test_connections_are_kept_and_each_request_is_counted(running):
    one = running()
    connection = one.client.connection()
    for number in range(1, 4):
        assert asked(connection, "/v1").body
        assert one.requests == number
    connection.close()


SLOW = """
from pathlib import Path
from congress_dse.datasources.datasource_driver import PushedDataSourceDriver
from congress_dse.runtime import chosen as runtime

class Slow(PushedDataSourceDriver):
    def _webhook_handler(self, payload):
        Path(payload["begun"]).touch()
        while not Path(payload["over"]).exists():
            runtime.sleep(0.02)
"""


class Waiting:
    """A request that is answered when it is told to, of a client beside the server."""

    def __init__(self, running, path, api=""):
        (path / "slow.py").write_text(SLOW)
        self._over = path / "over"
        self.one = running(api, f"[datasource:slow]\ndriver = {path}/slow.py\n")
        body = json.dumps({"begun": str(path / "begun"), "over": str(self._over)})
        self._data = (
            "POST /v1/data-sources/slow/webhook HTTP/1.1\r\nHost: x\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()
        while not (path / "begun").exists():
            runtime.sleep(0.01)

    def _ask(self):
        with socket.create_connection(("127.0.0.1", self.one.port), timeout=20) as sock:
            sock.sendall(self._data)
            self._answer = sock.recv(65536)

    def answer(self):
        """Let it be answered; what came, nothing if the server hung up."""
        self._over.touch()
        outside(self.thread.join, 40)
        return self._answer


def test_a_waiting_request_holds_up_no_other(running, tmp_path):
    waiting = Waiting(running, tmp_path)
    for _ in range(5):
        assert waiting.one.client.get("data-sources/given/status").status == 200
    assert waiting.thread.is_alive()
    assert waiting.answer().startswith(b"HTTP/1.1 200")


def test_at_the_end_what_is_in_hand_is_answered(running, tmp_path):
    waiting = Waiting(running, tmp_path, "drain_timeout = 30")
    stopping = runtime.spawn(waiting.one.api.stop)
    runtime.sleep(0.1)
    head = waiting.answer().partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 200")
    assert b"\r\nconnection: close" in head
    stopping.wait()
    assert not waiting.one.api.connections()


def test_who_is_not_done_when_the_drain_is_over_is_cut_off(running, tmp_path, caplog):
    waiting = Waiting(running, tmp_path, "drain_timeout = 0.2")
    waiting.one.api.stop()
    assert "1 clients were cut off" in caplog.text
    outside(waiting.thread.join, 40)
    assert waiting.answer() == b""


def test_a_kept_connection_is_told_to_close_at_the_end(running):
    one = running("drain_timeout = 30")
    connection = one.client.connection()
    assert asked(connection, "/v1").getheader("connection") is None
    stopping = runtime.spawn(one.api.stop)
    while asked(connection, "/v1").getheader("connection") != "close":
        runtime.sleep(0.01)
    stopping.wait()
    connection.close()


def test_bodies_in_chunks_and_requests_before_the_answer(running):
    put = (
        f"PUT /v1/{ROWS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        '4;x=y\r\n[[1,\r\n4\r\n"a"]\r\n1\r\n]\r\n0\r\n\r\n'
    )
    get = f"GET /v1/{ROWS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = sent(running().port, (put + get).encode())
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert b'[1, "a"]' in answer


def test_a_client_of_http_1_0_gets_a_large_table_without_chunks(running):
    one = running("max_body_size = 50000000")
    rows = [[n, "x" * 40] for n in range(10_000)]
    one.client("PUT", ROWS, json=rows)
    head, _, body = sent(one.port, f"GET /v1/{ROWS} HTTP/1.0\r\n\r\n".encode()).partition(
        b"\r\n\r\n"
    )
    assert b"chunked" not in head
    assert sorted(row["data"] for row in json.loads(body)["results"]) == rows


def established(local, remote):
    """Whether the system has this connection open, at the end that is named first."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any(
        line[1].endswith(local) and line[2].endswith(remote) and line[3] == "01" for line in lines
    )


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not tell")
def test_a_client_that_does_not_read_is_let_go_of(running):
    one = running("client_timeout = 0.5\nmax_body_size = 50000000")
    one.client("PUT", ROWS, json=[[n, "x" * 2000] for n in range(10_000)])
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", one.port))
        sock.sendall(f"GET /v1/{ROWS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        ends = (f":{one.port:04X}", f":{sock.getsockname()[1]:04X}")
        while not one.api.connections():
            runtime.sleep(0.01)
        while one.api.connections():
            runtime.sleep(0.01)
        while established(*ends):
            runtime.sleep(0.05)


def test_an_unknown_error_is_logged_and_no_word_of_it_told(running, caplog):
    one = running()

    def broken():
        raise ZeroDivisionError("secret words")

    one.engine.catalogue.entries = broken
    answer = one.client.get("data-sources")
    assert answer.status == 500
    assert "secret" not in answer.error[1]
    assert answer.headers["x-openstack-request-id"] in answer.error[1]
    assert "ZeroDivisionError" in caplog.text


# Persistence.


def test_sources_are_there_after_a_restart(running, tmp_path):
    one = running()
    body = {"name": "kept", "driver": "push", "config": {"tables": "a(x)"}, "description": "d"}
    made = one.client("POST", "data-sources", json=body).json
    one.stop()
    two = Running(tmp_path / "c.conf")
    try:
        assert two.client.get("data-sources/kept").json == made
        assert two.client.get("data-sources/kept/tables").json == {"results": [{"id": "a"}]}
        two.client("DELETE", "data-sources/kept")
    finally:
        two.stop()
    three = Running(tmp_path / "c.conf")
    assert three.client.get("data-sources/kept").status == 404
    three.stop()
    assert (tmp_path / "sources.sqlite").stat().st_mode & 0o077 == 0


def test_a_database_that_is_gone_is_told_and_what_runs_goes_on(running, tmp_path):
    one = running()
    one.client("POST", "data-sources", json={"name": "x", "driver": "host"})
    (tmp_path / "sources.sqlite").write_bytes(b"no database at all" * 100)
    answer = one.client.get("data-sources")
    assert answer.status == 503
    assert "database" in answer.error[1]


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "nodb://x", "postgresql+no://x"])
def test_a_database_that_cannot_be_is_a_fault_of_the_configuration(running, tmp_path, url):
    running()
    text = (tmp_path / "c.conf").read_text()
    path = tmp_path / "wrong.conf"
    path.write_text(text.replace(f"sqlite:///{tmp_path}/sources.sqlite", url))
    with pytest.raises(exceptions.ConfigError, match=r"\[database\] connection"):
        Running(path)


# TLS.


@pytest.fixture
def certificate(tmp_path):
    ca = trustme.CA()
    issued = ca.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


def test_tls(running, certificate, tmp_path):
    one = running(f"tls_cert = {tmp_path}/cert.pem\ntls_key = {tmp_path}/key.pem")
    client = Client(one.port, certificate)
    answer = client.get("/")
    assert answer.status == 200
    assert answer.json["versions"][0]["links"][0]["href"].startswith("https://")
    assert b"200" not in sent(one.port, b"GET / HTTP/1.1\r\n\r\n"), "no plain HTTP beside it"
    assert client.get("/v1").status == 200


def test_a_handshake_that_does_not_come_in_time_ends_the_connection(running, certificate, tmp_path):
    one = running(
        f"tls_cert = {tmp_path}/cert.pem\ntls_key = {tmp_path}/key.pem\nclient_timeout = 0.3"
    )
    assert sent(one.port, b"") == b""
    assert Client(one.port, certificate).get("/").status == 200


@pytest.mark.parametrize("options", ["tls_cert = /no/cert.pem", "tls_key = /no/key.pem"])
def test_a_certificate_that_cannot_be_read_is_a_fault(tmp_path, options):
    path = tmp_path / "c.conf"
    path.write_text(f"[api]\n{options}\n")
    with pytest.raises(exceptions.ConfigError, match=r"\[api\] tls_cert"):
        access.tls(config.read([str(path)]))
