"""The control socket: an operator's requests, one JSON line each, answered from native threads.

A Unix socket that only its owner can open. Where there is none, the same path is a file, readable
by its owner alone, that has the loopback address and the token each request must bear.
"""

import contextlib
import hmac
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError as FutureTimeout
from typing import Any

from congress_dse.exceptions import ControlError
from congress_dse.manager import posix
from congress_dse.manager.lines import Lines, Message, encode

LOG = logging.getLogger(__name__)
ANSWER_S = 60.0
BACKLOG = 16
MOMENTS = ("started_at", "ready_at", "beat_at")


class Control:
    """The server's end: reads are answered from the last snapshot, orders go to the master."""

    def __init__(
        self,
        path: str,
        submit: Callable[[Message], "Future[Any]"],
        snapshot: Callable[[], dict[str, Any]],
    ) -> None:
        self.path = path
        self._submit = submit
        self._snapshot = snapshot
        self._token = ""
        try:
            self._listener = self._open()
        except OSError as error:
            raise ControlError(f"control socket {path}: {error}") from error

    def start(self) -> None:
        """Answer from now on, in a native thread."""
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def close(self) -> None:
        """Answer no more, and remove the path."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
        self._listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _open(self) -> socket.socket:
        if posix.UNIX:
            return posix.bind_unix(self.path, 0o600, BACKLOG)
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._token = secrets.token_hex(32)
        host, port = listener.getsockname()
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump({"host": host, "port": port, "token": self._token}, file)
        return listener

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        lines = Lines()
        with connection, contextlib.suppress(OSError, ValueError):
            while data := connection.recv(65536):
                for request in lines.feed(data):
                    connection.sendall(encode(self._answer(request)))

    def _answer(self, request: Message) -> Message:
        if not hmac.compare_digest(str(request.pop("token", "")), self._token):
            return {"ok": False, "error": "the token is wrong", "kind": "ControlError"}
        limit_s = float(request.get("timeout_s", ANSWER_S))
        try:
            read = READS.get(request.get("command", ""))
            if read:
                return {"ok": True, "result": read(self._snapshot(), time.monotonic())}
            return {"ok": True, "result": self._submit(request).result(limit_s)}
        except FutureTimeout:
            return {"ok": False, "error": f"no answer in {limit_s:.1f} s", "kind": "TimeoutError"}
        except Exception as error:  # noqa: BLE001 (the operator is told, whatever it is)
            text = (
                f"{request['command']} is no command" if isinstance(error, KeyError) else str(error)
            )
            return {"ok": False, "error": text, "kind": type(error).__name__}


def _status(snapshot: dict[str, Any], now: float) -> dict[str, Any]:
    return {**snapshot, "workers": _workers(snapshot, now), "pid": os.getpid()}


def _workers(snapshot: dict[str, Any], now: float) -> list[dict[str, Any]]:
    return [_aged(worker, now) for worker in snapshot.get("workers", ())]


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
    except (OSError, ValueError) as error:
        raise ControlError(f"control socket {path}: {error}") from error
    raise ControlError(f"control socket {path}: closed without an answer")


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
