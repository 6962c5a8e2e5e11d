"""The cinder driver against a real Cinder."""

import pytest

pytest.importorskip("openstack", reason="the extra `openstack` is not installed")

pytestmark = pytest.mark.timeout(900)  # the first test installs what is not


@pytest.fixture
def made(cloud):
    """A type, a volume of it, and a snapshot of that."""
    storage = cloud("block_storage")
    kind = storage.create_type(name="plain", description="a fake", is_public=True)
    volume = storage.create_volume(name="v1", size=2, volume_type="plain", description="first")
    storage.wait_for_status(volume, "available", ["error"], interval=0.2, wait=60)
    snapshot = storage.create_snapshot(name="s1", volume_id=volume.id)
    storage.wait_for_status(snapshot, "available", ["error"], interval=0.2, wait=60)
    yield {"type": kind, "volume": volume, "snapshot": snapshot}
    for delete, each in (("snapshot", snapshot), ("volume", volume)):
        getattr(storage, f"delete_{delete}")(each, ignore_missing=True)
        storage.wait_for_delete(each, interval=0.2, wait=60)
    storage.delete_type(kind)


def test_what_cinder_has_is_in_the_tables_and_changes(follow, cloud, made):
    storage = cloud("block_storage")
    cinder = follow("cinder", "volumes", "snapshots", "types", "services")
    assert cinder.follower.causes() == {}
    volume = cinder.row("volumes", id=made["volume"].id)
    assert (volume["name"], volume["size"], volume["status"]) == ("v1", 2, "available")
    assert (volume["volume_type"], volume["description"]) == ("plain", "first")
    snapshot = cinder.row("snapshots", id=made["snapshot"].id)
    assert (snapshot["volume_id"], snapshot["size"]) == (volume["id"], 2)
    kind = cinder.row("types", name="plain")
    assert (kind["id"], kind["is_public"]) == (made["type"].id, "True")
    services = {row["binary"]: row for row in cinder.rows("services")}
    assert set(services) == {"cinder-scheduler", "cinder-volume"}
    assert services["cinder-volume"]["host"] == "volumes1@fake"

    storage.delete_snapshot(made["snapshot"])
    storage.wait_for_delete(made["snapshot"], interval=0.2, wait=60)
    storage.update_volume(made["volume"], name="renamed")
    cinder.read()
    assert cinder.rows("snapshots") == []
    assert cinder.row("volumes", id=volume["id"])["name"] == "renamed"


def test_an_action_changes_the_real_thing(follow, made):
    cinder = follow("cinder", "volumes")
    action = {"positional": [made["volume"].id], "named": {"colour": "red"}}
    cinder.source.execute("volumes.set_metadata", action)
    cinder.source.execute("volumes.set_bootable", {"positional": [made["volume"].id, True]})
    cinder.read()
    assert cinder.row("volumes", id=made["volume"].id)["bootable"] == "true"
