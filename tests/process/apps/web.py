"""A small HTTP service on one listening socket; every answer names its worker.

Its master reads a JSON file at each reload: ``{"greeting": ..., "workers": N, "fail": ...}``. What
is no JSON is refused; ``fail`` makes new workers fail (``boot``) or never be ready (``mute``).
"""

import json
import os
import sys

import eventlet_free  # noqa: F401 (asserts that the master has no eventlet)
from common import manager

from congress_dse.manager import Service

DRAIN_S = 5.0


class Web(Service):
    """Green HTTP/1.1 with keep-alive; at its end each connection is told with its last answer."""

    runtime = "green"
    announces_ready = True

    def __init__(self, worker_id, path):
        super().__init__(worker_id)
        with open(path) as file:
            self.conf = json.load(file)
        if self.conf.get("fail") == "boot":
            raise ValueError("this generation cannot be built")
        self.draining = False
        self.connections = {}
        self.acceptor = None

    def run(self):
        import eventlet

        listener = eventlet.greenio.GreenSocket(self.place.listeners["web"])
        self.acceptor = eventlet.getcurrent()
        if self.conf.get("fail") == "mute":
            return
        self.place.ready()
        try:
            while True:
                connection, _ = listener.accept()
                self.connections[connection] = eventlet.spawn(self.serve, connection)
        except eventlet.greenlet.GreenletExit:
            pass

    def serve(self, connection):
        try:
            file = connection.makefile("rb")
            while True:
                head = []
                while (line := file.readline()) not in {b"\r\n", b""}:
                    head.append(line)
                if not head:
                    return
                close = self.draining or b"connection: close\r\n" in [h.lower() for h in head]
                body = f"{self.conf['greeting']} {os.getpid()}".encode()
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s"
                    % (len(body), b"close" if close else b"keep-alive", body)
                )
                self.place.served()
                if close:
                    return
        except OSError:
            pass
        finally:
            connection.close()
            self.connections.pop(connection, None)

    def terminate(self):
        import eventlet

        self.draining = True
        eventlet.kill(self.acceptor)
        with eventlet.Timeout(DRAIN_S, False):
            for thread in list(self.connections.values()):
                thread.wait()


if __name__ == "__main__":
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    conf_path = options.pop("conf")
    numbers = {key: float(value) for key, value in options.items() if key != "address"}

    def check():
        with open(conf_path) as file:
            new = json.load(file)
        web.reconfigure("Web", new["workers"])

    web = manager(**numbers)
    web.register_hooks(on_reload=check)
    with open(conf_path) as file:
        count = json.load(file)["workers"]
    listener = web.bind("web", options.get("address", "tcp://127.0.0.1:0"))
    print(f"listens on {listener.address}", flush=True)
    web.add(Web, count, args=(conf_path,), listeners=("web",))
    web.run()
