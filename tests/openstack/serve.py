"""Serve one service's own WSGI application; run by the services' interpreter, not by ours.

One thread: on SQLite these services answer concurrent writes with errors.
"""

import importlib
import sys

import waitress


def main() -> None:
    """Arguments: the application's module, and the port."""
    module, port = sys.argv[1:]
    sys.argv = [module]
    application = importlib.import_module(module).application
    waitress.serve(application, host="127.0.0.1", port=int(port), threads=1, ident=None)


if __name__ == "__main__":
    main()
