"""Listening sockets: bound once by the master, handed to workers by name."""

import os
import socket
from dataclasses import dataclass
from typing import Any

from congress_dse.exceptions import ConfigError
from congress_dse.manager import posix
from congress_dse.manager.charter import Handed

BACKLOG = 1024
FIRST_INHERITED_FD = 3  # sd_listen_fds(3)


@dataclass
class Way:
    """How a worker comes to a listening socket: it is handed one, or binds its own."""

    address: Any
    handed: Handed | None = None
    backlog: int = BACKLOG

    def open(self) -> socket.socket:
        """The socket, in the worker."""
        if self.handed is not None:
            sock = self.handed.take()
            sock.set_inheritable(False)
            return sock
        sock = _bound(self.address, reuse_port=True)
        sock.listen(self.backlog)
        return sock


@dataclass
class Listener:
    """A bound address, kept by the master for its whole life."""

    name: str
    sock: socket.socket
    way: Way

    @property
    def address(self) -> Any:
        """Where clients connect; the port is known also if 0 was asked for."""
        return self.sock.getsockname()

    def close(self) -> None:
        """Close the master's copy, and remove a Unix socket's path."""
        address = self.address
        self.sock.close()
        if isinstance(address, str) and address and os.path.exists(address):
            os.unlink(address)


def bind(
    name: str,
    address: str,
    *,
    backlog: int = BACKLOG,
    reuse_port: bool = False,
    mode: int = 0o600,
) -> Listener:
    """Bind ``tcp://host:port``, ``unix:///path`` or ``fd://number``; raises ConfigError.

    With `reuse_port` each worker binds its own TCP socket and the kernel spreads connections; the
    master's is bound and never listens, so that the address stays reserved.
    """
    scheme, _, rest = address.partition("://")
    try:
        if scheme == "unix" and posix.UNIX:
            sock = posix.bind_unix(rest, mode, backlog)
        elif scheme == "fd":
            sock = posix.adopt(int(rest))
        elif scheme == "tcp":
            sock = _tcp(rest, backlog, reuse_port)
        else:
            raise ConfigError(f"listener {name}: {address!r} is no tcp://, unix:// or fd:// here")
    except (OSError, ValueError) as error:
        raise ConfigError(f"listener {name}: cannot bind {address}: {error}") from error
    own = reuse_port and scheme == "tcp"
    return Listener(name, sock, Way(sock.getsockname(), None if own else Handed(sock), backlog))


def inherited() -> dict[str, Listener]:
    """What systemd's socket activation hands over, by name; empty if nothing is for us."""
    count, pid = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if not (posix.UNIX and count.isdigit() and pid == str(os.getpid())):
        return {}
    found = {}
    for number in range(int(count)):
        named = names[number] if number < len(names) and names[number] else f"listen-{number}"
        found[named] = bind(named, f"fd://{FIRST_INHERITED_FD + number}")
    return found


def _tcp(rest: str, backlog: int, reuse_port: bool) -> socket.socket:
    host, _, port = rest.rpartition(":")
    sock = _bound((host.strip("[]"), int(port)), reuse_port=reuse_port)
    if not reuse_port:
        sock.listen(backlog)
    return sock


def _bound(address: Any, *, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except (OSError, AttributeError):
        sock.close()
        raise
    return sock
