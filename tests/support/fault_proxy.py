"""A proxy that stands between a client and a server and does to them what networks do.

It runs in native threads, so it works while the hub of the tests is blocked.
"""

import struct
from contextlib import suppress

from congress_dse.runtime import chosen as runtime

socket = runtime.unpatched("socket")
threading = runtime.unpatched("threading")

HOST = "127.0.0.1"
TURN_S = 0.05  # until a command is seen by all


class FaultProxy:
    """``with FaultProxy(port) as proxy``: connect to `proxy.port`."""

    def __init__(self, to):
        self._to = to
        self._open = threading.Event()
        self._open.set()
        self._left = None  # bytes from the server until it stalls
        self._cuts = 0
        self._ended = False
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(TURN_S)
        self.port = self._listener.getsockname()[1]
        self._threads = []
        self._run(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self._ended = True
        self._open.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def hole(self):
        """Swallow: connections are taken, nothing is passed on in either direction."""
        self._open.clear()

    def truncate(self, count):
        """Pass on `count` more bytes of the server's, then none."""
        self._left = count

    def heal(self):
        self._left = None
        self._open.set()

    def cut(self):
        """Reset all connections."""
        self._cuts += 1

    def _run(self, *call):
        thread = threading.Thread(target=call[0], args=call[1:], daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while not self._ended:
            with suppress(TimeoutError):
                client, _ = self._listener.accept()
                self._run(self._link, client)

    def _link(self, client):
        cuts = self._cuts
        self._open.wait()
        try:
            server = socket.create_connection((HOST, self._to), 5)
        except OSError:
            client.close()
            return
        over = threading.Event()
        for one in (client, server):
            one.settimeout(TURN_S)
        self._run(self._pump, client, server, cuts, over)
        self._pump(server, client, cuts, over)

    def _pump(self, source, target, cuts, over):
        try:
            while not over.is_set():
                with suppress(TimeoutError):
                    data = source.recv(65536)
                    if not data:
                        break
                    self._pass_on(
                        data, target, cuts, from_server=source.getpeername()[1] == self._to
                    )
                if self._cut_off(cuts):
                    source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
        except OSError:
            pass
        finally:
            over.set()
            source.close()

    def _pass_on(self, data, target, cuts, from_server):
        while data and not self._cut_off(cuts):
            if not self._open.wait(TURN_S):
                continue
            part = data if self._left is None or not from_server else data[: self._left]
            while part and not self._cut_off(cuts):
                with suppress(TimeoutError):
                    sent = target.send(part)
                    part, data = part[sent:], data[sent:]
                    if from_server and self._left is not None:
                        self._left -= sent
            if data:
                threading.Event().wait(TURN_S)

    def _cut_off(self, cuts):
        return self._ended or cuts != self._cuts
