"""An application for systems without signals, fork and Unix sockets."""

import signal
import sys

from common import manager

from congress_dse.manager import Service


class Portable(Service):
    """Prints at its end."""

    def terminate(self):
        print("portable ends", flush=True)


if __name__ == "__main__":
    app = manager()
    app.add(Portable, 2, runtime=sys.argv[1])
    app.run()
    handlers = {signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)}
    print("signal handlers:", "none" if handlers == {signal.SIG_DFL} else handlers, flush=True)
