"""Loaded by every process of an application under test with the POSIX door shut.

What other systems lack is absent or raises: handlers, fork, process groups, Unix sockets. It is the
nearest thing to Windows that can be tried elsewhere.
"""

import os
import signal
import socket
import sys

import psutil  # noqa: F401 (looks at what this system has when it is loaded, which is before)


def absent(*_args, **_kwargs):
    raise AssertionError("not on this system")


def socketpair(*_args, **_kwargs):
    """As the standard library makes one where there are no Unix sockets: over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    return one, other


# The interpreter's own helper is started anew, and is of another system than the one that is meant.
if "resource_tracker" not in " ".join(sys.orig_argv):
    for module, names in {
        os: "fork forkpty killpg setsid setpgid setpgrp getuid".split(),
        signal: "signal alarm setitimer set_wakeup_fd pthread_kill sigwait".split(),
    }.items():
        for name in names:
            if hasattr(module, name):
                setattr(module, name, absent)
    del os.fork, os.getuid, socket.AF_UNIX
    socket.socketpair = socketpair
    if "AF_UNIX" in socket.__all__:
        socket.__all__.remove("AF_UNIX")
