"""Two healthy services with two workers each, and one that crashes in the way it is told.

Usage: shop.py [crash run|boot|exit|segfault] [runtime plain|green|asyncio] [liveness SECONDS]
"""

import ctypes
import os
import sys
import time

from common import manager

from congress_dse.manager import Service
from congress_dse.supervision import Policy


class Till(Service):
    """Healthy."""

    def run(self):
        print(f"till {self.worker_id} runs as {os.getpid()}", flush=True)
        print("till inherited", os.environ.get("NOTIFY_SOCKET"), flush=True)

    def terminate(self):
        print(f"till {self.worker_id} ends as {os.getpid()}", flush=True)


class Stock(Till):
    """Healthy too."""


class Crash(Service):
    """Crashes at every start."""

    def __init__(self, worker_id, how):
        super().__init__(worker_id)
        self.how = how
        if how == "boot":
            raise ValueError("cannot be built")

    def run(self):
        if self.how == "run":
            raise ValueError("crashed in run")
        if self.how == "exit":
            sys.exit(7)
        if self.how == "segfault":
            ctypes.string_at(0)


class Crawl(Service):
    """Crashes for ever, but slowly enough to be borne."""

    def run(self):
        time.sleep(1.0)
        raise ValueError("crashed in run")


if __name__ == "__main__":
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    shop = manager(liveness_s=float(options.get("liveness", 30)))
    runtime = options.get("runtime", "plain")
    shop.add(Till, 2, runtime=runtime)
    shop.add(Stock, 2, runtime=runtime)
    if options.get("crash") == "slowly":
        shop.add(Crawl, policy=Policy(restart="always", intensity=1000, backoff_max_s=1.0))
    elif "crash" in options:
        shop.add(Crash, args=(options["crash"],))
    shop.run()
