"""HTTP clients under which nothing may fail."""

import socket
import threading
import time


class Load:
    """Threads that ask for ``/`` until told to stop; half of them keep their connection."""

    def __init__(self, port, clients=8, pause_s=0.0):
        self.port = port
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
        while not self.over.is_set():
            try:
                if connection is None:
                    connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                    file = connection.makefile("rb")
                close, body = self._ask(connection, file, keep)
                self.counts[number] += 1
                self.bodies.add(body)
                if close:
                    file.close()
                    connection.close()
                    connection = None
            except OSError as error:
                self.failures.append(f"client {number} keep={keep}: {error!r}")
                connection = None
            if self.pause_s:
                self.over.wait(self.pause_s)
        if connection is not None:
            file.close()
            connection.close()

    @staticmethod
    def _ask(connection, file, keep):
        word = b"keep-alive" if keep else b"close"
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n" % word)
        status = file.readline()
        if not status.startswith(b"HTTP/1.1 200"):
            raise OSError(f"answer {status!r}")
        headers = {}
        while (line := file.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers["content-length"]))
        return headers["connection"] == "close", body.decode()
