"""Local: the cages of one host's processes as one bus, without broker or configuration.

Each cage has a socket in a directory that only its owner can enter; the one that comes later
connects to those that are there. Unix sockets, and the system tells whose process is at the other
end; where there are none, a file in the directory has a loopback address, and both sides prove that
they know the directory's key. Two cages that connect to each other at the same moment keep the
connection that the node of the lesser name made.
"""

import contextlib
import json
import logging
import os
import random
import secrets
import socket
import stat
from pathlib import Path
from typing import Any

from congress_dse.exceptions import EngineError, LinkError
from congress_dse.links.stream import Peer, Stream
from congress_dse.manager import posix
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)
BACKLOG = 64
AGAIN_S = (0.1, 2.0)  # between attempts to reach a cage: the first pause and the longest
CLOSE_S = 3.0
KEY = "key"


class Local:
    """One cage's place in a directory of sockets; serves from its construction until `close`.

    `directory` is made, for the owner alone, where it is not there. Raises LinkError where it
    cannot be had, or is open to others.
    """

    def __init__(self, cage: Any, directory: str, name: str, bus: str = "local") -> None:
        self._cage = cage
        self._home = Path(directory)
        self._bus = bus
        self._peers: dict[str, tuple[Stream, str]] = {}
        self._dialled: set[str] = set()
        self._threads: list[Any] = []
        self.closed = False
        if os.sep in name or not name:
            raise LinkError(f"a cage's name in {directory} is a file's name, {name!r} is none")
        try:
            self._key = _own_directory(self._home)
            self.path = self._home / f"{name}.sock"
            self._listener = self._listen()
        except OSError as error:
            raise LinkError(f"local links in {directory}: {error}") from error
        self._spawn(self._accept)
        for other in self._others():
            self._dial(other)

    def close(self) -> None:
        """End every link, and take the socket away."""
        self.closed = True
        with contextlib.suppress(OSError):
            self.path.unlink()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for stream, _ in list(self._peers.values()):
            stream.leave()
        end = runtime.now() + CLOSE_S
        while self._peers and runtime.now() < end:
            runtime.sleep(0.005)  # each takes its bridge off the bus
        for thread in list(self._threads):
            thread.kill()
        self._listener.close()

    def _spawn(self, call: Any, *args: Any) -> None:
        self._threads = [t for t in self._threads if not t.dead]
        self._threads.append(runtime.spawn(call, *args))

    def _listen(self) -> socket.socket:
        """Bind under another name first: whoever finds the socket can connect to it."""
        temporary = self.path.with_suffix(".new")
        if posix.UNIX:
            if len(os.fsencode(temporary)) > posix.SOCKET_PATH_MAX_B:
                raise LinkError(
                    f"{temporary}: a socket's path has {posix.SOCKET_PATH_MAX_B} bytes at most; "
                    "choose a shorter directory"
                )
            listener = posix.bind_unix(str(temporary), 0o600, BACKLOG)
        else:
            listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
            host, port = listener.getsockname()
            temporary.write_text(json.dumps({"host": host, "port": port}))
        os.replace(temporary, self.path)
        listener.setblocking(False)
        return listener

    def _others(self) -> list[Path]:
        return [path for path in sorted(self._home.glob("*.sock")) if path != self.path]

    def _accept(self) -> None:
        while not self.closed:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                runtime.wait_io(self._listener)
                continue
            except OSError as error:
                if not self.closed:
                    LOG.error("local links: nobody can connect any more: %s", error)
                return
            self._spawn(self._serve, sock, "")

    def _dial(self, path: Path) -> None:
        """Keep a connection to the cage behind `path` for as long as its socket is there."""
        self._spawn(self._keep, path)

    def _keep(self, path: Path) -> None:
        pause_s = AGAIN_S[0]
        while not self.closed and path.exists():
            try:
                sock = _connect(path)
            except ConnectionRefusedError:
                LOG.info("%s: nobody is there any more", path.name)
                path.unlink(missing_ok=True)
                return
            except (OSError, ValueError) as error:
                LOG.debug("%s: %s", path.name, error)
            else:
                if self._serve(sock, self._cage.bus.node):
                    pause_s = AGAIN_S[0]
            runtime.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)
            pause_s = min(AGAIN_S[1], 2 * pause_s)

    def _serve(self, sock: socket.socket, dialler: str) -> bool:
        """Serve one connection to its end; return whether it ever was one."""
        stream = Stream(sock, "local")
        try:
            _check_owner(sock)
            peer = stream.greet(self._cage.bus.node, self._cage.bus.epoch, self._bus, self._key)
            if not self._admit(stream, peer, dialler or peer.node):
                stream.close()
                self._wait_for(peer.node)
                return True
        except (EngineError, OSError) as error:
            stream.close()
            log = LOG.debug if isinstance(error, OSError) else LOG.warning
            log("local links: a connection is refused: %s", error)
            return False
        try:
            stream.run(self._cage)
        finally:
            if self._peers.get(peer.node, (None,))[0] is stream:
                del self._peers[peer.node]
        return True

    def _admit(self, stream: Stream, peer: Peer, dialler: str) -> bool:
        """Whether this is the connection to keep; one that it replaces is ended."""
        known = self._peers.get(peer.node)
        if known is not None and not known[0].ended:
            before, its_dialler = known
            first = min(peer.node, self._cage.bus.node)
            if before.peer.epoch == peer.epoch and (its_dialler == first or dialler != first):
                return False
            before.end("another connection takes its place")
            while self._cage.service_object(f"link.{peer.node}") is not None:
                runtime.sleep(0.01)
        self._peers[peer.node] = (stream, dialler)
        return True

    def _wait_for(self, node: str) -> None:
        """Wait until the connection that was kept to `node` ends."""
        while not self.closed and node in self._peers:
            runtime.sleep(AGAIN_S[1])


def _own_directory(home: Path) -> bytes:
    """See that the directory is there and its owner's alone; return its key, b"" for none."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not posix.UNIX:
        path = home / KEY
        with contextlib.suppress(FileExistsError):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(secrets.token_bytes(32))
        return path.read_bytes()
    about = home.stat()
    if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
        raise LinkError(f"{home} is open to others: it must be its owner's alone, mode 0700")
    return b""


def _check_owner(sock: socket.socket) -> None:
    """See that the process at the other end is our own user's; raises LinkError."""
    if not posix.UNIX:
        return
    uid = posix.peer_uid(sock)
    if uid not in {None, 0, os.getuid()}:
        raise LinkError(f"the process at the other end belongs to user {uid}")


def _connect(path: Path) -> socket.socket:
    if posix.UNIX:
        return posix.connect_unix(str(path))
    where = json.loads(path.read_text())
    return socket.create_connection((where["host"], where["port"]), timeout=5.0)
