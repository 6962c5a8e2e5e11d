"""Workers, half of them green, on one bound port: something to be stopped while it starts."""

import sys

from common import manager

from congress_dse.manager import Service


class Calm(Service):
    """Does nothing."""


if __name__ == "__main__":
    storm = manager(liveness_s=5.0)
    listener = storm.bind("web", "tcp://127.0.0.1:0")
    print(f"listens on {listener.address[1]}", flush=True)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    storm.add(Calm, count, listeners=("web",))
    storm.add(Calm, count, runtime="green", listeners=("web",), name="Green")
    storm.run()
