"""Workers that tell their pid to whoever connects: argv has the address and the runtime."""

import os
import socket
import sys
import time

from common import manager

from congress_dse.manager import Service


class Echo(Service):
    """Accepts in its own thread or greenthread."""

    def run(self):
        given = self.place.listeners["web"]
        # The class is looked up now: under eventlet it is the green one.
        listener = socket.socket(fileno=given.detach())
        while True:
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                time.sleep(0.005)
                continue
            with client:
                client.sendall(str(os.getpid()).encode())
                time.sleep(0.02)


if __name__ == "__main__":
    address, runtime = sys.argv[1:]
    app = manager()
    reuse = address == "reuse"
    listener = app.bind("web", "tcp://127.0.0.1:0" if reuse else address, reuse_port=reuse)
    print(f"listens on {listener.address}", flush=True)
    app.add(Echo, 2, runtime=runtime, listeners=("web",))
    app.run()
