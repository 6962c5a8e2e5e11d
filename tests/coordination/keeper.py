"""One node's keeper in a process without eventlet; a line of JSON for all that it is told.

Run with the service's URL, the node's name and the seconds of a lease. SIGTERM gives everything
back.
"""

import json
import signal
import sys
import time

from congress_dse.keeper import Keeper

NAMES = ["alpha", "beta:x", "gamma/y"]


def main(url, node, lease_s):
    def tell(granted):
        losses = sum(keeper.leases.losses.values())
        print(json.dumps([time.monotonic(), granted, losses]), flush=True)

    keeper = Keeper(url, node, lease_s, tell)
    keeper.want(dict.fromkeys(NAMES, ""))
    keeper.start()
    signal.sigwait({signal.SIGTERM})
    keeper.stop(10)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
