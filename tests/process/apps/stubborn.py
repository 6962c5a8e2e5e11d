"""Workers that take their time to stop: argv has the timeout, 60 s if none is given."""

import sys
import time

from common import manager

from congress_dse.manager import Service


class Stubborn(Service):
    """Goes on."""

    def terminate(self):
        print(f"stubborn {self.worker_id} goes on", flush=True)
        time.sleep(3600)


if __name__ == "__main__":
    timeout_s = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    app = manager(graceful_shutdown_timeout=timeout_s)
    app.add(Stubborn, 2)
    app.run()
