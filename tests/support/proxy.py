"""A server of TCP, or of TLS, that stands before another one, and may be cut and be there again."""

import socket
from contextlib import suppress

from congress_dse.runtime import chosen as runtime

HOST = "127.0.0.1"


class Proxy:
    """Stands between a client and a server, so that the server can go down and come back.

    With a `context` its clients speak TLS to it, and it speaks plainly to the server.
    """

    def __init__(self, to, context=None):
        self.to, self.context = to, context
        self.connections, self.passing = [], []
        self.listener = self.port = None
        self.up()

    def up(self):
        """Listen, at the same port each time."""
        self.listener = socket.create_server((HOST, self.port or 0))
        self.port = self.listener.getsockname()[1]
        self.thread = runtime.spawn(self._accept, self.listener)

    def down(self):
        """Cut every connection, and refuse new ones."""
        self.thread.kill()
        self.listener.close()
        for one in self.connections:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for one in self.passing:
            one.wait()
        for one in self.connections:
            one.close()
        self.connections, self.passing = [], []

    def _accept(self, listener):
        while True:
            client, _ = listener.accept()
            self.connections.append(client)  # at once: `down` may come while this waits
            self.passing.append(runtime.spawn(self._serve, client))

    def _serve(self, client):
        try:
            if self.context is not None:
                self.connections.remove(client)
                client = self.context.wrap_socket(
                    client, server_side=True, do_handshake_on_connect=False
                )
                self.connections.append(client)
                client.do_handshake()
            server = socket.create_connection(self.to)
        except OSError:
            client.close()
            return
        self.connections.append(server)
        self.passing.append(runtime.spawn(self._pass_on, client, server))
        self._pass_on(server, client)

    @staticmethod
    def _pass_on(source, target):
        with suppress(OSError, ValueError):  # the latter of TLS that the other way has ended
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
