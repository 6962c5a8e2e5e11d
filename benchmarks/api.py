"""The API side by side with gunicorn and oslo.service: requests a second, their times, followers.

``python -m benchmarks.api`` runs, one after the other and with 1, 2 and 4 workers each:

* congress_dse: ``congress-dse serve`` with one engine worker and that many API workers;
* gunicorn (gthread, 8 threads a worker) and oslo.service's ``wsgi`` under its ProcessLauncher, both
  with a WSGI application that has the same answers in its own memory: no bus, no engine, no store.

Three requests are measured, on kept connections: a read whose ``If-None-Match`` matches ("cached
read"), a read of 20 rows, and a PUT of 1,000 rows. Then followers of one table: memory of the API
worker for each, and the delay from the PUT's first byte to the last follower's event. Needs the
extra ``bench``. The client is one process and takes a part of the machine, the same for all.
"""

import argparse
import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

import psutil

ROOT = Path(__file__).parent.parent
ROWS = "/v1/data-sources/given/tables/alarms/rows"
EVENTS = "/v1/data-sources/given/tables/alarms/events"
SMALL = [[f"id-{n}", "low"] for n in range(20)]
LARGE = [[f"id-{n}", "high"] for n in range(1000)]

EQUAL = """
import json

TABLES = {"rows": {(f"id-{n}", "low") for n in range(20)}, "version": 0}


def application(environ, start):
    if environ["REQUEST_METHOD"] == "PUT":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        TABLES["rows"] = {tuple(row) for row in json.loads(body)}
        TABLES["version"] += 1
        start("200 OK", [("Content-Length", "0")])
        return [b""]
    tag = '"1.%d"' % TABLES["version"]
    if environ.get("HTTP_IF_NONE_MATCH") == tag:
        start("304 Not Modified", [("ETag", tag)])
        return [b""]
    body = json.dumps({"results": [{"data": row} for row in TABLES["rows"]]}).encode()
    head = [("Content-Type", "application/json"), ("ETag", tag)]
    start("200 OK", [*head, ("Content-Length", str(len(body)))])
    return [body]
"""
OSLO = """
import sys
import eventlet
eventlet.monkey_patch()
from oslo_config import cfg
from oslo_service import service, wsgi
from equal import application
conf = cfg.ConfigOpts()
wsgi.register_opts(conf)
conf([])
conf.set_override("wsgi_keep_alive", True)
conf.set_override("wsgi_default_pool_size", 200)
server = wsgi.Server(conf, "equal", application, host="127.0.0.1", port=int(sys.argv[1]))
service.launch(conf, server, workers=int(sys.argv[2])).wait()
"""


def main() -> None:
    """Measure all of it, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken over them")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--followers", type=int, default=2000, help="0 measures none")
    args = parser.parse_args()
    print(f"{'server':14} {'workers':>7} {'request':14} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8}")
    rates: dict[tuple[str, int, str], float] = {}
    for workers in args.workers:
        for name, started in SERVERS.items():
            with started(workers) as (port, _pid):
                for what, request in requests(port).items():
                    shares = [load(port, request, args) for _ in range(args.rounds)]
                    rate, p50, p99 = (median(s[k] for s in shares) for k in range(3))
                    rates[name, workers, what] = rate
                    figures = f"{rate:8.0f} {p50 * 1e3:8.2f} {p99 * 1e3:8.2f}"
                    print(f"{name:14} {workers:7} {what:14} {figures}", flush=True)
    for (name, workers, what), rate in rates.items():
        if name != "congress_dse":
            ours = rates["congress_dse", workers, what]
            print(f"{what}, {workers} workers: {ours / rate:.2f} times {name}")
    if args.followers:
        followers(args.followers)


def requests(port: int) -> dict[str, bytes]:
    """The three requests, as bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("PUT", ROWS, json.dumps(SMALL), {"Content-Type": "application/json"})
    connection.getresponse().read()
    connection.request("GET", ROWS)
    answer = connection.getresponse()
    rows = json.loads(answer.read())["results"]
    if len(rows) != len(SMALL):
        raise SystemExit(f"{len(rows)} rows instead of {len(SMALL)}")
    connection.close()
    get = f"GET {ROWS} HTTP/1.1\r\nHost: x\r\n"
    body = json.dumps(LARGE)
    put = f"PUT {ROWS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return {
        "cached read": f"{get}If-None-Match: {answer.headers['ETag']}\r\n\r\n".encode(),
        "20 rows": f"{get}\r\n".encode(),
        "push of 1,000": f"{put}Content-Length: {len(body)}\r\n\r\n{body}".encode(),
    }


# The servers.


@contextmanager
def process(command, folder, port):
    """A server that is up, in a session of its own; its port and pid."""
    path = f"{ROOT}:{folder}"
    with open(f"{folder}/log", "w") as log:
        child = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                if answers(port):
                    break
            except OSError:
                time.sleep(0.1)
            if child.poll() is not None or time.monotonic() > end:
                raise SystemExit(Path(folder, "log").read_text())
        yield port, child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def answers(port):
    """Whether the table is there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("PUT", ROWS, json.dumps(SMALL), {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody has at present."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


@contextmanager
def ours(workers: int, extra: str = ""):
    """``congress-dse serve``."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "c.conf").write_text(
            f"[processes]\nworkers = 1\ncontrol_socket = {folder}/control\n"
            f"[api]\nbind_port = {port}\napi_workers = {workers}\n{extra}"
            f"[database]\nconnection = sqlite:///{folder}/db\n"
            "[datasource:given]\ndriver = push\ntables = alarms(id,severity)\n"
        )
        command = [sys.executable, "-m", "congress_dse", "serve", "--config-file", "c.conf"]
        with process(command, folder, port) as found:
            settled(found[1], workers + 1)
            yield found


def settled(pid: int, count: int) -> None:
    """Wait until all workers have begun: they share the socket."""
    end = time.monotonic() + 60
    while len(workers_of(pid)) < count and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(2)


def workers_of(pid: int, kind: str = "worker") -> list[psutil.Process]:
    """The worker processes of an engine."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if kind in " ".join(child.cmdline())]


@contextmanager
def gunicorn(workers: int):
    """gunicorn with threads."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "equal.py").write_text(EQUAL)
        command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "8"]
        command += ["-w", str(workers), "-b", f"127.0.0.1:{port}", "--keep-alive", "75"]
        with process([*command, "equal:application"], folder, port) as found:
            time.sleep(2)
            yield found


@contextmanager
def oslo(workers: int):
    """oslo.service's WSGI server under its own launcher, which forks."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "equal.py").write_text(EQUAL)
        Path(folder, "server.py").write_text(OSLO)
        command = [sys.executable, "server.py", str(port), str(workers)]
        with process(command, folder, port) as found:
            time.sleep(2)
            yield found


SERVERS = {"congress_dse": ours, "gunicorn": gunicorn, "oslo.service": oslo}


# The client.


class Connection:
    """One connection: a request, its answer, the next request."""

    def __init__(self, port: int, request: bytes, selector: selectors.BaseSelector) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request, self.left = request, b""
        self.times: list[float] = []
        self.began = 0.0
        self.got = b""
        self.selector = selector
        selector.register(self.sock, selectors.EVENT_READ, self)

    def send(self) -> None:
        """Send the request; what does not fit is sent when there is room."""
        self.began, self.got = time.perf_counter(), b""
        self.left = self.request
        self.write()

    def write(self) -> None:
        with suppress(BlockingIOError):
            self.left = self.left[self.sock.send(self.left) :]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.left else 0)
        self.selector.modify(self.sock, events, self)

    def ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE and self.left:
            self.write()
        if events & selectors.EVENT_READ:
            part = self.sock.recv(262144)
            if not part:
                raise SystemExit(f"closed after {self.got[:200]!r}")
            self.got += part
            if self.whole():
                self.times.append(time.perf_counter() - self.began)
                self.send()

    def whole(self) -> bool:
        head, found, body = self.got.partition(b"\r\n\r\n")
        if not found:
            return False
        if head[9:12] not in {b"200", b"304"}:
            raise SystemExit(self.got[:400].decode())
        lines = head.lower().split(b"\r\n")
        for line in lines:
            if line.startswith(b"content-length:"):
                return len(body) >= int(line[15:])
        return head[9:12] == b"304" or body.endswith(b"0\r\n\r\n")


def load(port: int, request: bytes, args: argparse.Namespace) -> tuple[float, float, float]:
    """Requests a second, and the median and the 99th percentile of their times, in seconds."""
    selector = selectors.DefaultSelector()
    connections = [Connection(port, request, selector) for _ in range(args.connections)]
    for connection in connections:
        connection.send()
    begin = time.perf_counter()
    while (took := time.perf_counter() - begin) < args.seconds:
        for key, events in selector.select(0.1):
            key.data.ready(events)
    times = sorted(t for connection in connections for t in connection.times)
    for connection in connections:
        connection.sock.close()
    if not times:
        raise SystemExit("no answer came")
    return len(times) / took, times[len(times) // 2], times[int(len(times) * 0.99)]


# Followers.


def followers(count: int) -> None:
    """Memory for each follower of a table, and when the last of them has a change."""
    with ExitStack() as stack:
        port, pid = stack.enter_context(ours(1))
        (worker,) = workers_of(pid, "api worker")
        selector = selectors.DefaultSelector()
        before = worker.memory_info().rss
        socks = []
        for _ in range(count):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            sock.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            selector.register(sock, selectors.EVENT_READ)
            socks.append(sock)
        drain(selector, set(socks), b"event: snapshot")
        memory = (worker.memory_info().rss - before) / count
        delays = []
        for n in range(5):
            body = json.dumps([[f"change-{n}", "high"]])
            begin = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("PUT", ROWS, body, {"Content-Type": "application/json"})
            connection.getresponse().read()
            drain(selector, set(socks), f"change-{n}".encode())
            delays.append(time.perf_counter() - begin)
            connection.close()
        print(f"{count} followers of one table in one API worker: {memory / 1024:.1f} KiB each")
        print(
            f"a change at the last of them: median {median(delays):.3f} s, {max(delays):.3f} most"
        )


def drain(selector: selectors.BaseSelector, left: set[socket.socket], word: bytes) -> None:
    """Read until every socket has brought `word`."""
    got = dict.fromkeys(left, b"")
    end = time.monotonic() + 60
    while left:
        if time.monotonic() > end:
            raise SystemExit(f"{len(left)} followers have not heard of {word!r}")
        for key, _ in selector.select(1):
            sock = key.fileobj
            got[sock] = (got[sock] + sock.recv(65536))[-65536:]
            if word in got[sock]:
                left.discard(sock)


if __name__ == "__main__":
    main()
