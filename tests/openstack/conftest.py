"""Real services as fixtures; where they cannot be had, tests skip, or fail under CI."""

import os
from contextlib import ExitStack, contextmanager

import pytest

from tests.openstack.catalog import access
from tests.openstack.kinds import FAMILY
from tests.openstack.services import Services, Unavailable
from tests.support.engine import bus, serve, wait_for

WHOLE = "CONGRESS_DSE_OPENSTACK_ALL"
SCOPES = {"project": {"project_name": "admin"}, "system": {"system_scope": "all"}}


class Live:
    """A source, and what its followers have seen of it."""

    def __init__(self, source, follower):
        self.source = source
        self.follower = follower
        self.columns = {table: source.get_column_map(table) for table in source.get_schema()}
        self.read()

    def read(self):
        """Have the source read now, and wait until it has and the follower knows."""
        before = self.source.number_of_updates
        self.source.request_refresh()
        wait_for(lambda: self.source.number_of_updates > before)
        wait_for(lambda: self.source.at_rest() and self.follower.at_rest())

    def until_stale(self):
        """Wait until a table is stale; its cause, and others', by table."""
        return wait_for(self.follower.causes, 60)

    def until_fresh(self):
        """Wait until no table is stale."""
        wait_for(lambda: not self.follower.causes(), 60)

    def rows(self, table):
        """The rows that the follower has, as dicts."""
        names = list(self.columns[table])
        return [dict(zip(names, row, strict=True)) for row in self.follower.seen[table]]

    def row(self, table, **cells):
        """The one row that has these cells."""
        (found,) = self.having(table, **cells)
        return found

    def having(self, table, **cells):
        """The rows that have these cells."""
        return [row for row in self.rows(table) if cells.items() <= row.items()]


@contextmanager
def running(folder, names):
    """These services while they run."""
    services = Services(folder, names)
    try:
        services.up()
        yield services
    except Unavailable as error:
        if os.environ.get("CI"):
            pytest.fail(f"no services: {error}")
        pytest.skip(f"no services: {error}")
    finally:
        services.stop()


@pytest.fixture(scope="session")
def keystone(tmp_path_factory):
    """A real Keystone, for the whole run."""
    with running(tmp_path_factory.mktemp("keystone"), ["keystone"]) as services:
        yield services


@pytest.fixture(scope="session")
def family(tmp_path_factory):
    """All services of the family, for the whole run; they take minutes where they are new."""
    if not os.environ.get(WHOLE):
        pytest.skip(f"the whole family: `make test-openstack`, which sets {WHOLE}")
    with running(tmp_path_factory.mktemp("family"), FAMILY) as services:
        yield services


@pytest.fixture
def admin(keystone):
    """The options of a driver that reads as the admin."""
    return keystone.admin()


@pytest.fixture
def cloud(family):
    """Clients of the services, by their names in openstacksdk; what a test makes it unmakes."""
    clients = {scope: access(family.admin(**options)) for scope, options in SCOPES.items()}

    def client(service, scope="project"):
        return clients[scope].service(service)

    yield client
    for each in clients.values():
        each.close()


@pytest.fixture
def follow(family):
    """Put a driver on a bus and follow its tables; answers a `Live`, which is ended at the end."""
    with ExitStack() as opened:

        def begin(driver, *tables, **options):
            cage = opened.enter_context(bus())
            scope = SCOPES["system" if driver == "ironic" else "project"]
            args = {**family.admin(**scope), "poll_time": "0", **options}
            return Live(*serve(cage, driver, args, *tables))

        yield begin
