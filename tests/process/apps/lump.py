"""Workers that freeze when told to: one line of a pipe named on the command line says how.

Usage: lump.py runtime plain|green|asyncio liveness SECONDS [import SECONDS] [workers N]
"""

import os
import sys
import time

from common import manager

from congress_dse.manager import Service

BUSY_VARIABLE = "LUMP_IMPORT_S"
burn_s = float(os.environ.get(BUSY_VARIABLE, "0"))
if burn_s and __name__ != "__main__":
    end = time.process_time() + burn_s
    while time.process_time() < end:
        pass


class Lump(Service):
    """Blocks its own hub in native code when the file it watches for appears."""

    def __init__(self, worker_id, trigger):
        super().__init__(worker_id)
        self.trigger = trigger

    def run(self):
        native_sleep = time.sleep
        if "eventlet" in sys.modules:
            import eventlet
            from eventlet import patcher

            native_sleep = patcher.original("time").sleep
            eventlet.spawn(idle_greenthread)
            eventlet.sleep(0)
        print(f"lump {self.worker_id} waits as {os.getpid()}", flush=True)
        while not os.path.exists(self.trigger):
            time.sleep(0.02)
        os.unlink(self.trigger)
        print(f"lump {self.worker_id} blocks as {os.getpid()}", flush=True)
        block_the_hub(native_sleep)


def block_the_hub(native_sleep):
    native_sleep(3600)


def idle_greenthread():
    time.sleep(3600)


if __name__ == "__main__":
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    os.environ[BUSY_VARIABLE] = options.get("import", "0")
    lumps = manager(liveness_s=float(options["liveness"]))
    lumps.add(
        Lump,
        int(options.get("workers", "1")),
        args=(options["trigger"],),
        runtime=options["runtime"],
    )
    lumps.run()
