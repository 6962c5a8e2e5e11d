"""Three workers that take memory bit by bit; argv has the limits: grower.py FIELD NUMBER ..."""

import sys
import time

from common import manager

from congress_dse.manager import Service

STEP_B = 10_000_000
MOST = 30


class Grower(Service):
    """Grows until it is exchanged, if a limit of memory was given."""

    def __init__(self, worker_id, grows):
        super().__init__(worker_id)
        self.grows = grows
        self.held = []

    def run(self):
        while self.grows and len(self.held) < MOST:
            self.held.append(bytearray(b"x") * STEP_B)
            time.sleep(0.05)


if __name__ == "__main__":
    limits = {key: float(value) for key, value in zip(sys.argv[1::2], sys.argv[2::2], strict=True)}
    app = manager()
    app.add(Grower, 3, args=("max_rss_b" in limits,), **limits)
    app.run()
