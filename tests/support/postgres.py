"""A schema of a test's own in the PostgreSQL of this machine."""

from contextlib import contextmanager

from .databases import own

HOST, PORT = "127.0.0.1", 5432
SERVER = f"postgresql+psycopg://postgres@{HOST}:{PORT}/test"


@contextmanager
def schema():
    """A function that executes statements in a new schema; its ``url`` leads there."""
    with own(SERVER, "SCHEMA", enter="SET search_path TO {}", drop="CASCADE") as execute:
        execute.schema = execute.name
        execute.url = f"{SERVER}?options=-csearch_path%3D{execute.name}"
        yield execute
