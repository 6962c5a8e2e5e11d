"""The nova driver against a real Nova, whose hypervisor is a fake."""

import pytest

pytest.importorskip("openstack", reason="the extra `openstack` is not installed")

pytestmark = pytest.mark.timeout(900)  # the first test installs what is not

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f tests"
TABLES = (
    "servers", "server_metadata", "flavors", "hosts", "hypervisors", "services",
    "availability_zones", "keypairs",
)  # fmt: skip


@pytest.fixture
def made(cloud):
    """A server that runs, its flavor and image, and a key."""
    compute, image = cloud("compute"), cloud("image")
    flavor = compute.create_flavor(name="tiny", ram=64, vcpus=1, disk=1)
    hidden = compute.create_flavor(name="hidden", ram=64, vcpus=1, disk=1, is_public=False)
    boot = image.create_image(
        name="boot",
        disk_format="raw",
        container_format="bare",
        data=b"\0" * 64,
        validate_checksum=False,
        allow_duplicates=True,
    )
    key = compute.create_keypair(name="key1", public_key=KEY)
    server = compute.create_server(
        name="vm1",
        flavor_id=flavor.id,
        image_id=boot.id,
        networks="none",
        metadata={"colour": "red"},
    )
    server = compute.wait_for_server(server, wait=120, interval=0.2)
    yield {"server": server, "flavor": flavor, "image": boot}
    compute.delete_server(server, ignore_missing=True)
    compute.wait_for_delete(server, wait=60, interval=0.2)
    compute.delete_keypair(key)
    image.delete_image(boot)
    for each in (flavor, hidden):
        compute.delete_flavor(each)


def test_what_nova_has_is_in_the_tables(follow, made):
    nova = follow("nova", *TABLES)
    assert nova.follower.causes() == {}
    server = nova.row("servers", id=made["server"].id)
    assert (server["name"], server["status"]) == ("vm1", "ACTIVE")
    assert server["flavor_id"] == made["flavor"].id
    assert server["image_id"] == made["image"].id
    assert (server["zone"], server["host_name"]) == ("nova", "compute1")
    meta = {"server_id": server["id"], "key": "colour", "value": "red"}
    assert nova.rows("server_metadata") == [meta]
    assert {row["name"] for row in nova.rows("flavors")} == {"tiny", "hidden"}
    assert nova.row("flavors", name="tiny")["ram"] == 64
    assert nova.row("keypairs", name="key1")["type"] == "ssh"
    binaries = {row["binary"] for row in nova.rows("services")}
    assert binaries == {"nova-compute", "nova-conductor", "nova-scheduler"}
    assert nova.row("services", binary="nova-compute")["state"] == "up"
    assert nova.row("hosts", service="compute")["host_name"] == "compute1"
    hypervisor = nova.row("hypervisors", host_name="compute1")
    assert (hypervisor["hypervisor_type"], hypervisor["state"]) == ("fake", "up")
    assert {row["zone"] for row in nova.rows("availability_zones")} == {"nova"}


def test_tables_follow_a_server_that_is_stopped_and_deleted(follow, cloud, made):
    compute, server = cloud("compute"), made["server"]
    nova = follow("nova", "servers", "server_metadata")
    nova.source.execute("servers.stop", {"positional": [server.id]})
    nova.source.execute("servers_set_meta", {"positional": [server.id, "size", 3]})
    compute.wait_for_server(server, "SHUTOFF", wait=60, interval=0.2)
    nova.read()
    assert nova.row("servers", id=server.id)["status"] == "SHUTOFF"
    meta = {row["key"]: row["value"] for row in nova.having("server_metadata", server_id=server.id)}
    assert meta == {"colour": "red", "size": "3"}
    compute.delete_server(server)
    compute.wait_for_delete(server, wait=60, interval=0.2)
    nova.read()
    assert nova.having("servers", id=server.id) == []
    assert nova.rows("server_metadata") == []


def test_what_a_server_has_outlives_a_crash_of_nova(follow, family, made):
    nova = follow("nova", "servers", poll_time="0.5")
    family.kill("nova")
    cause = str(nova.until_stale())
    assert "GET /servers/detail" in cause
    family.start("nova")
    nova.until_fresh()
    assert nova.row("servers", id=made["server"].id)["status"] == "ACTIVE"
