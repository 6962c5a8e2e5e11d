"""Free ports of loopback."""

import random
import socket
from contextlib import suppress


def free_ports(count):
    """Ports of loopback that nobody has, all different.

    They are below those that the system gives to whoever connects: one who tries a server that
    is gone again and again would find himself there.
    """
    found = []
    for port in random.sample(range(20000, 32000), 12000):
        with suppress(OSError), socket.socket() as each:
            each.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports")
