"""A master whose reload hook takes until the file named on the command line is there."""

import os
import sys
import time

from common import manager

from congress_dse.manager import Service


class Idle(Service):
    """Idle."""


def hook():
    print("hook begins", flush=True)
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    print("hook ends", flush=True)


if __name__ == "__main__":
    app = manager()
    app.register_hooks(on_reload=hook)
    app.add(Idle)
    app.run()
