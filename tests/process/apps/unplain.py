"""Services that cannot cross to a worker: argv names what they hold."""

import os
import socket
import sys
import threading

from common import manager

from congress_dse import service
from congress_dse.manager import Service


class Told(Service):
    """Takes anything."""

    def __init__(self, worker_id, *args, **kwargs):
        super().__init__(worker_id)


class Holder(service.Service):
    """Holds one thing, deep inside."""

    def __init__(self, thing):
        super().__init__()
        self.settings = {"inner": [1, {"thing": thing}]}


def forked(*_args, **_kwargs):
    print("os.fork was called", flush=True)
    raise AssertionError("os.fork was called")


THINGS = {"lambda": lambda: lambda: None, "lock": threading.Lock, "socket": socket.socket}

if __name__ == "__main__":
    os.fork = forked
    thing = THINGS[sys.argv[1]]() if sys.argv[1] in THINGS else None
    if sys.argv[2] == "argument":
        app = manager()
        app.add(Told, 2, args=(1,), kwargs={"callback": thing})
        app.run()
    else:
        launcher = service.launch(None, Holder(thing), workers=2)
        launcher.wait()
