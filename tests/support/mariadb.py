"""A database of a test's own in the MariaDB of this machine."""

import os
import uuid
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

HOST, PORT = "127.0.0.1", 3306
SERVER = f"root@{HOST}:{PORT}"


@contextmanager
def database():
    """A function that executes statements in a new database; its ``url`` leads there for drivers.

    Where there is no MariaDB the test skips, and fails under CI.
    """
    url = f"mysql+pymysql://{SERVER}"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    name = f"dse_{uuid.uuid4().hex[:12]}"

    def execute(*texts):
        with engine.connect() as connection:
            connection.exec_driver_sql(f"USE {name}")
            for text in texts:
                result = connection.exec_driver_sql(text)
            return result.fetchall() if result.returns_rows else None

    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    except sa.exc.OperationalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no MariaDB at {HOST}:{PORT}: {error.orig}")
    execute.url = f"mysql://{SERVER}/{name}"
    yield execute
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name}")
