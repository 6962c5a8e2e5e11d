"""The control socket: an operator's requests, one JSON line each, answered from native threads.

A Unix socket that only its owner can open. Where there is none, the same path is a file, readable
by its owner alone, that has the loopback address and the token each request must bear. Threads
and sockets are native also in a process that is patched later: they are kept from before.
"""

import contextlib
import errno
import hmac
import json
import logging
import os
import secrets
import socket
import time
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from socket import socket as native_socket
from typing import Any, Protocol

from congress_dse.exceptions import ControlError
from congress_dse.manager import posix
from congress_dse.manager.lines import Lines, Message, encode

LOG = logging.getLogger(__name__)
ANSWER_S = 60.0
LAST_ANSWERS_S = 1.0  # for those who are being answered at the end, as to their wish to stop
PROBE_S = 2.0  # in which a master says that it is there
BACKLOG = 16
MOMENTS = ("started_at", "ready_at", "beat_at")
_native_sleep = time.sleep  # kept before anything patches it


class Awaited(Protocol):
    """What an order will be answered with: a `Future`, or an `Answer`."""

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result, or raise the error."""
        ...


class Control:
    """The server's end: reads are answered from the last snapshot, orders go to the master."""

    def __init__(
        self,
        path: str,
        submit: Callable[[Message], Awaited],
        snapshot: Callable[[], dict[str, Any]],
    ) -> None:
        self.path = path
        self._submit = submit
        self._snapshot = snapshot
        self._token = ""
        self._unanswered: list[None] = []
        try:
            self._listener = self._open()
        except OSError as error:
            raise ControlError(f"control socket {path}: {error}") from error

    def start(self) -> None:
        """Answer from now on, in a native thread."""
        start_new_thread(self._accept, ())

    def close(self) -> None:
        """Take no more, let who asked have the answer, and remove the path."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
        self._listener.close()
        end = time.monotonic() + LAST_ANSWERS_S
        while self._unanswered and time.monotonic() < end:
            _native_sleep(0.002)
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _open(self) -> socket.socket:
        if posix.UNIX:
            return posix.bind_unix(self.path, 0o600, BACKLOG)
        if _somebody_listens(self.path):
            raise OSError(errno.EADDRINUSE, "in use")
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._token = secrets.token_hex(32)
        host, port = listener.getsockname()
        # In one step: who finds the file finds all of it.
        new = f"{self.path}.new"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump({"host": host, "port": port, "token": self._token}, file)
        os.replace(new, self.path)
        return listener

    def _accept(self) -> None:
        while True:
            try:
                # Not by `accept`, which makes a socket of whatever class there is by now.
                fd, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
            except OSError:
                return
            start_new_thread(self._serve, (native_socket(fileno=fd),))

    def _serve(self, connection: socket.socket) -> None:
        lines = Lines()
        with connection, contextlib.suppress(OSError, ValueError):
            while data := connection.recv(65536):
                for request in lines.feed(data):
                    with self._answering():
                        connection.sendall(encode(self._answer(request)))

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        self._unanswered.append(None)
        try:
            yield
        finally:
            self._unanswered.pop()

    def _answer(self, request: Message) -> Message:
        if not hmac.compare_digest(str(request.pop("token", "")), self._token):
            return {"ok": False, "error": "the token is wrong", "kind": "ControlError"}
        limit_s = float(request.get("timeout_s", ANSWER_S))
        try:
            read = READS.get(request.get("command", ""))
            if read:
                return {"ok": True, "result": read(self._snapshot(), time.monotonic())}
            return {"ok": True, "result": self._submit(request).result(limit_s)}
        except TimeoutError:
            return {"ok": False, "error": f"no answer in {limit_s:.1f} s", "kind": "TimeoutError"}
        except Exception as error:  # noqa: BLE001 (the operator is told, whatever it is)
            text = (
                f"{request['command']} is no command" if isinstance(error, KeyError) else str(error)
            )
            return {"ok": False, "error": text, "kind": type(error).__name__}


def _status(snapshot: dict[str, Any], now: float) -> dict[str, Any]:
    ends = [_ended(end, now) for end in snapshot.get("ends", ())]
    return {**snapshot, "workers": _workers(snapshot, now), "ends": ends, "pid": os.getpid()}


def _workers(snapshot: dict[str, Any], now: float) -> list[dict[str, Any]]:
    return [_aged(worker, now) for worker in snapshot.get("workers", ())]


def _ended(end: dict[str, Any], now: float) -> dict[str, Any]:
    told = {key: value for key, value in end.items() if key != "ended_at"}
    return {**told, "ended_s_ago": round(now - end["ended_at"], 3)}


def _aged(worker: dict[str, Any], now: float) -> dict[str, Any]:
    aged = {key: value for key, value in worker.items() if key not in MOMENTS}
    for key in MOMENTS:
        moment = worker[key]
        aged[key.replace("_at", "_s_ago")] = round(now - moment, 3) if moment else None
    return aged


READS: dict[str, Callable[[dict[str, Any], float], Any]] = {
    "status": _status,
    "workers": _workers,
    "parked": lambda snapshot, _now: snapshot.get("parked", []),
}


def ask(path: str, request: Message, timeout_s: float = ANSWER_S) -> Any:
    """Ask the master behind the control socket at `path`; raises ControlError."""
    try:
        with _connect(path, request) as connection:
            connection.settimeout(timeout_s + 1.0)
            connection.sendall(encode({**request, "timeout_s": timeout_s}))
            lines = Lines()
            while data := connection.recv(65536):
                for answer in lines.feed(data):
                    return _result(answer)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise ControlError(f"control socket {path}: nobody listens; does it run?") from error
    except (OSError, ValueError) as error:
        raise ControlError(f"control socket {path}: {error}") from error
    raise ControlError(f"control socket {path}: closed without an answer")


def _somebody_listens(path: str) -> bool:
    """Whether a master answers that the file at `path` names; one that died leaves it behind."""
    try:
        ask(path, {"command": "workers"}, PROBE_S)
    except (ControlError, KeyError):
        return False
    return True


def _connect(path: str, request: Message) -> socket.socket:
    if posix.UNIX:
        return posix.connect_unix(path)
    with open(path, encoding="utf-8") as file:
        where = json.load(file)
    request["token"] = where["token"]
    return socket.create_connection((where["host"], where["port"]))


def _result(answer: Message) -> Any:
    if answer.get("ok"):
        return answer.get("result")
    raise ControlError(f"{answer.get('error')} ({answer.get('kind')})")
