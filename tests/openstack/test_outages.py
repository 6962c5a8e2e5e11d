"""What real services do to the tables when they die, come back, or are in no catalog."""

import pytest

pytest.importorskip("openstack", reason="the extra `openstack` is not installed")

from tests.openstack.catalog import access, unregister
from tests.support.engine import made, wait_for

pytestmark = pytest.mark.timeout(900)  # the first test installs what is not

FIRST = {  # a table that has rows in each, of what runs there anyway
    "keystone": "users",
    "glance": "images",
    "neutron": "networks",
    "nova": "services",
    "cinder": "services",
    "ironic": "drivers",
}


@pytest.fixture(scope="module", autouse=True)
def things(family):
    """Three of each of what may be listed in pages."""
    cloud = access(family.admin())
    network, image = cloud.service("network"), cloud.service("image")
    networks = [network.create_network(name=f"n{number}") for number in range(3)]
    images = [image.create_image(name=f"i{number}", allow_duplicates=True) for number in range(3)]
    yield
    for each in networks:
        network.delete_network(each)
    for each in images:
        image.delete_image(each)
    cloud.close()


@pytest.mark.parametrize("name", FIRST)
def test_a_service_is_killed_and_its_tables_alone_are_stale_until_it_is_back(follow, family, name):
    table = FIRST[name]
    other = "glance" if name == "neutron" else "neutron"
    source = follow(name, table, poll_time="0.5")
    beside = follow(other, FIRST[other], poll_time="0.5")
    rows = source.rows(table)
    assert rows
    family.kill(name)
    cause = str(source.until_stale())
    assert "Unable to establish connection" in cause or "Connection" in cause
    assert source.rows(table) == rows
    if name != "keystone":
        beside.read()
        assert beside.follower.causes() == {}
    family.start(name)
    source.until_fresh()
    beside.until_fresh()
    assert len(source.rows(table)) == len(rows)


@pytest.mark.parametrize("name", [name for name in FIRST if name != "keystone"])
def test_a_service_that_leaves_the_catalog_is_a_cause_until_it_is_registered(follow, family, name):
    restore = unregister(family.admin(), name)
    try:
        source = follow(name, FIRST[name], poll_time="0.5")
        causes = source.until_stale()
        assert "no such service in the catalog" in causes[FIRST[name]]
    finally:
        restore()
    source.until_fresh()
    assert source.rows(FIRST[name])


@pytest.mark.parametrize("name", FIRST)
def test_lists_in_pages_are_those_that_come_whole(family, name):
    scope = {"system_scope": "all"} if name == "ironic" else {}
    whole = made(name, family.admin(**scope))
    paged = made(name, {**family.admin(**scope), "page_size": "1"})
    for each in (whole, paged):
        each.poll()
        assert each.stale == {}
    assert whole.state
    changing = {"services"} & set(whole.state)  # says when each service was last heard of
    for table in set(whole.state) - changing:
        assert paged.state[table] == whole.state[table]
    for each in (whole, paged):
        each.cleanup()


def test_nobody_follows_and_nothing_is_asked(follow, family):
    lazy = "volumes,snapshots,types,services"
    source = follow("cinder", lazy_tables=lazy, poll_time="0.1")
    before = family.asked("cinder")
    updates = source.source.number_of_updates
    wait_for(lambda: source.source.number_of_updates >= updates + 3)
    assert family.asked("cinder") == before
