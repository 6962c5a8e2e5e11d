"""A database of a test's own in the MariaDB of this machine."""

from contextlib import contextmanager

from .databases import own

HOST, PORT = "127.0.0.1", 3306
SERVER = f"root@{HOST}:{PORT}"


@contextmanager
def database():
    """A function that executes statements in a new database; its ``url`` leads there."""
    server = f"mysql+pymysql://{SERVER}"
    with own(server, enter="USE {}", create="CHARACTER SET utf8mb4") as execute:
        execute.url = f"mysql://{SERVER}/{execute.name}"
        yield execute
