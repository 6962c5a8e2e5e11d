"""HTTP clients under which nothing may fail."""

import socket
import threading
import time


class BadAnswer(OSError):
    """An answer, and not that which was asked for."""


class Load:
    """Threads that ask for `path` until told to stop; half of them keep their connection.

    With `again`, a request on a connection that was reset is sent once more, on a new one: what
    HTTP clients do with requests that change nothing.
    """

    def __init__(self, port, clients=8, pause_s=0.0, path="/", again=False):
        self.port = port
        self.path = path
        self.again = again
        self.pause_s = pause_s
        self.counts = [0] * clients
        self.failures = []
        self.over = threading.Event()
        self.bodies = set()
        self.threads = [
            threading.Thread(target=self._client, args=(n, n % 2 == 0), daemon=True)
            for n in range(clients)
        ]

    def __enter__(self):
        self.begin = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(15)
        self.seconds = time.monotonic() - self.begin

    @property
    def total(self):
        return sum(self.counts)

    def _client(self, number, keep):
        file = connection = None
        tried = False
        while not self.over.is_set():
            try:
                if connection is None:
                    connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                    file = connection.makefile("rb")
                close, body = self._ask(connection, file, keep)
                tried = False
                self.counts[number] += 1
                self.bodies.add(body)
                if close:
                    file.close()
                    connection.close()
                    connection = None
            except OSError as error:
                connection = None
                if self.again and not tried and not isinstance(error, BadAnswer):
                    tried = True
                    continue
                self.failures.append(f"client {number} keep={keep}: {error!r}")
            if self.pause_s:
                self.over.wait(self.pause_s)
        if connection is not None:
            file.close()
            connection.close()

    def _ask(self, connection, file, keep):
        word = "keep-alive" if keep else "close"
        head = f"GET {self.path} HTTP/1.1\r\nHost: x\r\nConnection: {word}\r\n\r\n"
        connection.sendall(head.encode())
        status = file.readline()
        if not status:
            raise ConnectionResetError("closed without an answer")
        headers = {}
        while (line := file.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers["content-length"])).decode()
        if not status.startswith(b"HTTP/1.1 200"):
            raise BadAnswer(f"answer {status!r}: {body}")
        return headers.get("connection") == "close", body


class Watch:
    """Counts ready workers all the time, from the control socket."""

    def __init__(self, app):
        self.app = app
        self.least = 99
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.over.wait(0.02):
            self.least = min(self.least, len(self.app.workers()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(10)
