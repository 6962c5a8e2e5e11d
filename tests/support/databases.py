"""A database, or a schema, of a test's own in a server of this machine."""

import os
import uuid
from contextlib import contextmanager

import pytest
import sqlalchemy as sa


@contextmanager
def own(server, kind="DATABASE", enter="SELECT 1", create="", drop=""):
    """A function that executes statements in a new one and answers the last one's rows, if any.

    It has its `name` and its `engine`. `server` is the URL under which it is made, `enter` what
    each connection says first, `create` and `drop` what is added to those words. Where there is no
    server the test skips, and fails under CI.
    """
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    name = f"dse_{uuid.uuid4().hex[:12]}"

    def execute(*texts):
        with engine.connect() as connection:
            connection.exec_driver_sql(enter.format(name))
            for text in texts:
                result = connection.exec_driver_sql(text)
            return result.fetchall() if result.returns_rows else None

    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE {kind} {name} {create}")
    except sa.exc.OperationalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no {engine.name} at {engine.url.host}:{engine.url.port}: {error.orig}")
    execute.name, execute.engine = name, engine
    yield execute
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP {kind} {name} {drop}")
