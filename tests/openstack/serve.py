"""Serve one service's own WSGI application; run by the services' interpreter, not by ours.

One thread: on SQLite these services answer concurrent writes with errors. It ends with whoever
started it, whose end closes the pipe that it reads.
"""

import importlib
import os
import sys
import threading

import waitress


def main() -> None:
    """Arguments: the application's module, and the port."""
    module, port = sys.argv[1:]
    sys.argv = [module]
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    application = importlib.import_module(module).application
    waitress.serve(application, host="127.0.0.1", port=int(port), threads=1, ident=None)


def _end_with_the_starter() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
