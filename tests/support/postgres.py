"""A schema of a test's own in the PostgreSQL of this machine."""

import os
import uuid
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

HOST, PORT = "127.0.0.1", 5432
SERVER = f"postgresql+psycopg://postgres@{HOST}:{PORT}/test"


@contextmanager
def schema():
    """A function that executes statements in a new schema; its ``url`` leads there for drivers.

    Where there is no PostgreSQL the test skips, and fails under CI.
    """
    engine = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    name = f"dse_{uuid.uuid4().hex[:12]}"

    def execute(*texts):
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SET search_path TO {name}")
            for text in texts:
                connection.exec_driver_sql(text)

    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    except sa.exc.OperationalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL at {HOST}:{PORT}: {error.orig}")
    execute.schema, execute.engine = name, engine
    execute.url = f"{SERVER}?options=-csearch_path%3D{name}"
    yield execute
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
