"""A master whose reload hook takes two seconds."""

import time

from common import manager

from congress_dse.manager import Service


class Idle(Service):
    """Idle."""


def hook():
    print("hook begins", flush=True)
    time.sleep(2)
    print("hook ends", flush=True)


if __name__ == "__main__":
    app = manager()
    app.register_hooks(on_reload=hook)
    app.add(Idle)
    app.run()
