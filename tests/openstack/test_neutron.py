"""The neutron driver against a real Neutron."""

import pytest

pytest.importorskip("openstack", reason="the extra `openstack` is not installed")

pytestmark = pytest.mark.timeout(900)  # the first test installs what is not

TABLES = (
    "networks", "subnets", "allocation_pools", "dns_nameservers", "host_routes", "ports",
    "fixed_ips", "security_group_port_bindings", "routers", "external_gateway_infos",
    "external_fixed_ips", "security_groups", "security_group_rules", "floating_ips",
)  # fmt: skip


@pytest.fixture
def made(cloud):
    """An inside and an outside network, a router between them, a port with a floating IP."""
    network = cloud("network")
    inside = network.create_network(name="inside")
    outside = network.create_network(
        name="outside",
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="physical1",
    )
    subnet = network.create_subnet(
        network_id=inside.id,
        name="inside-4",
        ip_version=4,
        cidr="10.1.0.0/24",
        is_dhcp_enabled=False,
        dns_nameservers=["10.1.0.53"],
        host_routes=[{"destination": "10.9.0.0/16", "nexthop": "10.1.0.9"}],
        allocation_pools=[{"start": "10.1.0.10", "end": "10.1.0.20"}],
    )
    outer = network.create_subnet(
        network_id=outside.id, ip_version=4, cidr="192.0.2.0/24", is_dhcp_enabled=False
    )
    group = network.create_security_group(name="web", description="web servers")
    rule = network.create_security_group_rule(
        security_group_id=group.id,
        direction="ingress",
        ether_type="IPv4",
        protocol="tcp",
        port_range_min=80,
        port_range_max=81,
        remote_ip_prefix="10.0.0.0/8",
    )
    port = network.create_port(network_id=inside.id, name="web-1", security_groups=[group.id])
    router = network.create_router(name="r1", external_gateway_info={"network_id": outside.id})
    network.add_interface_to_router(router, subnet=subnet.id)
    floating = network.create_ip(floating_network_id=outside.id, port_id=port.id)
    yield {
        "inside": inside, "outside": outside, "subnet": subnet, "outer": outer, "group": group,
        "rule": rule, "port": port, "router": router, "floating": floating,
    }  # fmt: skip
    network.delete_ip(floating)
    network.remove_interface_from_router(router, subnet=subnet.id)
    network.delete_router(router)
    network.delete_port(port)
    network.delete_security_group(group)
    for each in (inside, outside):
        network.delete_network(each)


def test_what_neutron_has_is_in_the_tables(follow, made):
    neutron = follow("neutron", *TABLES)
    assert neutron.follower.causes() == {}
    project = made["inside"].project_id
    inside = neutron.row("networks", name="inside")
    assert inside == {
        "id": made["inside"].id,
        "tenant_id": project,
        "name": "inside",
        "status": "ACTIVE",
        "admin_state_up": "True",
        "shared": "False",
    }
    subnet = neutron.row("subnets", id=made["subnet"].id)
    assert subnet["network_id"] == inside["id"]
    assert (subnet["cidr"], subnet["gateway_ip"]) == ("10.1.0.0/24", "10.1.0.1")
    assert (subnet["ip_version"], subnet["enable_dhcp"]) == (4, "False")
    of_subnet = {"subnet_id": subnet["id"]}
    assert neutron.row("dns_nameservers", **of_subnet)["dns_nameserver"] == "10.1.0.53"
    assert neutron.row("allocation_pools", **of_subnet)["start"] == "10.1.0.10"
    assert neutron.row("host_routes", **of_subnet)["nexthop"] == "10.1.0.9"


def test_ports_and_groups_and_routers_are_tied_together(follow, made):
    neutron = follow("neutron", *TABLES)
    port = neutron.row("ports", name="web-1")
    assert port["mac_address"] == made["port"].mac_address
    fixed = neutron.row("fixed_ips", port_id=port["id"])
    assert fixed["ip_address"] == made["port"].fixed_ips[0]["ip_address"]
    binding = neutron.row("security_group_port_bindings", port_id=port["id"])
    group = neutron.row("security_groups", id=binding["security_group_id"])
    assert (group["name"], group["description"]) == ("web", "web servers")
    rule = neutron.row("security_group_rules", id=made["rule"].id)
    assert rule["security_group_id"] == group["id"]
    assert (rule["protocol"], rule["port_range_min"], rule["port_range_max"]) == ("tcp", 80, 81)
    assert (rule["remote_ip_prefix"], rule["remote_group_id"]) == ("10.0.0.0/8", "None")
    router = neutron.row("routers", name="r1")
    gateway = neutron.row("external_gateway_infos", router_id=router["id"])
    assert gateway["network_id"] == made["outside"].id
    address = neutron.row("external_fixed_ips", router_id=router["id"])
    assert address["subnet_id"] == made["outer"].id
    owners = {row["device_owner"] for row in neutron.having("ports", device_id=router["id"])}
    assert owners == {"network:router_gateway", "network:router_interface"}
    floating = neutron.row("floating_ips", id=made["floating"].id)
    assert (floating["port_id"], floating["router_id"]) == (port["id"], router["id"])
    assert floating["fixed_ip_address"] == fixed["ip_address"]


def test_tables_follow_what_is_made_changed_and_deleted(follow, made, cloud):
    neutron, network = follow("neutron", *TABLES), cloud("network")
    assert neutron.having("ports", name="late") == []
    port = network.create_port(network_id=made["inside"].id, name="late")
    network.update_ip(made["floating"], port_id=None)
    neutron.read()
    assert neutron.row("fixed_ips", port_id=port.id)
    assert neutron.row("floating_ips", id=made["floating"].id)["port_id"] == "None"
    network.delete_port(port)
    neutron.read()
    assert neutron.having("ports", name="late") == []
    assert neutron.having("fixed_ips", port_id=port.id) == []


def test_a_lazy_table_is_not_asked_for_until_somebody_follows_a_table_in_it(follow, made, family):
    lazy = "routers,ports,security_groups"
    neutron = follow("neutron", "networks", lazy_tables=lazy)
    for name in ("ports", "routers", "security-groups"):
        before = family.asked("neutron", f"/{name}")
        neutron.read()
        assert family.asked("neutron", f"/{name}") == before
    networks = family.asked("neutron", "/networks")
    neutron.follower.subscribe("neutron", "fixed_ips", callback=neutron.follower.take)
    neutron.read()
    assert neutron.row("fixed_ips", port_id=made["port"].id)
    assert family.asked("neutron", "/networks") > networks
    routers = family.asked("neutron", "/routers")
    neutron.read()
    assert family.asked("neutron", "/routers") == routers
