"""One node's keeper in a process without eventlet; each thing that it is told is a line of JSON.

Run with the service's URL, the node's name and the seconds of a lease. SIGTERM gives everything
back.
"""

import json
import signal
import sys
import time

from congress_dse.keeper import Keeper

NAMES = ["alpha", "beta:x", "gamma/y"]


def tell(granted):
    print(json.dumps([time.monotonic(), granted]), flush=True)


def main(url, node, lease_s):
    keeper = Keeper(url, node, lease_s, tell)
    keeper.want(dict.fromkeys(NAMES, ""))
    keeper.start()
    signal.sigwait({signal.SIGTERM})
    keeper.stop(10)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
