"""The single door to what not every system has: signals, Unix sockets, memory of a process.

``CONGRESS_DSE_PORTABLE=1`` shuts it, so that everything else can be tried without: orders then
come over the control socket and the workers' channels alone, as on Windows.
"""

import contextlib
import os
import signal
import socket
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import FrameType

try:
    import fcntl
except ImportError:  # no POSIX
    fcntl = None  # type: ignore[assignment]

OPEN = not os.environ.get("CONGRESS_DSE_PORTABLE")
UNIX = OPEN and os.name == "posix"
SOCKET_PATH_MAX_B = 107  # of a Unix socket (sun_path of Linux, less the closing zero)

MASTER_SIGNALS = {
    "SIGTERM": "stop",
    "SIGBREAK": "stop",
    "SIGINT": "stop-now",
    "SIGHUP": "reload",
    "SIGALRM": "late",
}
# For what people start at a terminal, where one wish to stop may come as several signals.
GRACEFUL_INTERRUPT = {**MASTER_SIGNALS, "SIGINT": "interrupt", "SIGTERM": "interrupt"}
WORKER_SIGNALS = {"SIGTERM": "leave", "SIGBREAK": "leave"}
WORKER_IGNORES = ("SIGINT", "SIGHUP")  # the terminal sends them to all; the master's word counts


@contextlib.contextmanager
def signals(
    table: Mapping[str, str], caught: Callable[[str, str], object], wake: socket.socket
) -> Iterator[None]:
    """Hand the words of `table` to `caught` as their signals come, and wake who reads `wake`.

    `caught` gets the word and the signal's name, and may append to a deque and wake. Only
    the main thread can have signals; from another one, and with the door shut, nothing is caught.
    """
    numbers: dict[int, str] = {
        n: word for name, word in table.items() if (n := _number(name)) is not None
    }
    if not OPEN or not _in_main_thread():
        yield
        return

    def queue(number: int, _frame: FrameType | None) -> None:
        caught(numbers[number], signal.Signals(number).name)

    before = {number: signal.signal(number, queue) for number in numbers}
    fd_before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd_before)
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _in_main_thread() -> bool:
    # Asked of the signals themselves: a patched `threading` takes every greenthread for another.
    try:
        signal.set_wakeup_fd(signal.set_wakeup_fd(-1))
    except ValueError:
        return False
    return True


def ignore(names: tuple[str, ...]) -> None:
    """Ignore these signals, where they exist."""
    for name in names:
        number = _number(name)
        if OPEN and number is not None:
            signal.signal(number, signal.SIG_IGN)


def _number(name: str) -> signal.Signals | None:
    number = getattr(signal, name, None)
    return number if isinstance(number, signal.Signals) else None


def bind_unix(path: str, mode: int, backlog: int) -> socket.socket:
    """Bind and open a Unix socket that only those whom `mode` names can reach."""
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX)
    umask = os.umask(0o777 & ~mode)
    try:
        sock.bind(path)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(umask)
    sock.listen(backlog)
    return sock


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


def connect_unix(path: str) -> socket.socket:
    """Connect to a Unix socket."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def peer_uid(sock: socket.socket) -> int | None:
    """The user whose process is at the other end of a Unix socket; None where nobody can tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    _pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, option, 12))
    return int(uid)


def lock(fd: int) -> bool:
    """Take the lock of an open file, for as long as it is open; False where that cannot be had."""
    if not OPEN or fcntl is None:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def send_datagram(path: str, data: bytes) -> None:
    """Send one datagram to a Unix socket; a leading @ names the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + path[1:] if path.startswith("@") else path)
        sock.send(data)


def adopt(fd: int) -> socket.socket:
    """The socket behind an inherited descriptor; no worker inherits it by accident."""
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)


def resident_b() -> int:
    """The memory this process has in use."""
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    # Loaded only where it is wanted: most workers have the file.
    rss_b: int = import_module("psutil").Process().memory_info().rss
    return rss_b
