"""The ironic driver against a real Ironic, whose hardware is fake."""

import pytest

pytest.importorskip("openstack", reason="the extra `openstack` is not installed")

pytestmark = pytest.mark.timeout(900)  # the first test installs what is not

TABLES = ("chassises", "nodes", "node_properties", "ports", "drivers", "active_hosts")


@pytest.fixture
def made(cloud):
    """A chassis with a node, which has a port."""
    metal = cloud("baremetal", "system")
    chassis = metal.create_chassis(description="a rack")
    node = metal.create_node(
        name="n1",
        driver="fake-hardware",
        chassis_id=chassis.id,
        properties={"memory_mb": 4096, "cpu_arch": "x86_64", "local_gb": 10, "cpus": 4},
    )
    port = metal.create_port(
        node_id=node.id, address="52:54:00:00:00:01", extra={"vif_port_id": "a-port"}
    )
    yield {"chassis": chassis, "node": node, "port": port}
    metal.delete_port(port.id, ignore_missing=True)
    metal.delete_node(node.id)
    metal.delete_chassis(chassis.id)


def test_what_ironic_has_is_in_the_tables_and_changes(follow, cloud, made):
    metal = cloud("baremetal", "system")
    ironic = follow("ironic", *TABLES)
    assert ironic.follower.causes() == {}
    assert ironic.row("chassises", id=made["chassis"].id)
    node = ironic.row("nodes", id=made["node"].id)
    assert (node["owner_chassis"], node["driver"]) == (made["chassis"].id, "fake-hardware")
    assert node["maintenance"] == "False"
    properties = ironic.row("node_properties", properties=node["id"])
    assert (properties["memory_mb"], properties["cpu_arch"]) == (4096, "x86_64")
    port = ironic.row("ports", id=made["port"].id)
    assert (port["owner_node"], port["mac_address"]) == (node["id"], "52:54:00:00:00:01")
    assert port["vif_port_id"] == "a-port"
    assert ironic.rows("drivers") == [{"name": "fake-hardware"}]
    assert ironic.rows("active_hosts") == [{"name": "fake-hardware", "hosts": "metal1"}]

    metal.set_node_maintenance(made["node"], "by hand")
    metal.delete_port(made["port"])
    ironic.read()
    assert ironic.row("nodes", id=node["id"])["maintenance"] == "True"
    assert ironic.rows("ports") == []
