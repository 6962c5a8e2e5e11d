"""The glance driver against a real Glance."""

import pytest

pytest.importorskip("openstack", reason="the extra `openstack` is not installed")

pytestmark = pytest.mark.timeout(900)  # the first test installs what is not


def test_images_and_their_tags_are_in_the_tables_and_change(follow, cloud):
    image = cloud("image")
    full = image.create_image(
        name="full",
        disk_format="raw",
        container_format="bare",
        visibility="public",
        min_ram=64,
        data=b"\0" * 1024,
        validate_checksum=False,
        allow_duplicates=True,
        tags=["blue", "new"],
    )
    empty = image.create_image(
        name="empty", disk_format="qcow2", container_format="bare", allow_duplicates=True
    )
    glance = follow("glance", "images", "tags")
    assert glance.follower.causes() == {}
    row = glance.row("images", id=full.id)
    assert (row["name"], row["status"], row["visibility"]) == ("full", "active", "public")
    assert (row["size"], row["min_ram"], row["disk_format"]) == (1024, 64, "raw")
    assert row["checksum"] == "0f343b0931126a20f133d67c2b018a3b"
    assert glance.row("images", id=empty.id)["status"] == "queued"
    assert {t["tag"] for t in glance.having("tags", image_id=full.id)} == {"blue", "new"}

    image.remove_tag(full, "new")
    image.add_tag(full, "old")
    image.delete_image(empty)
    image.deactivate_image(full)
    glance.read()
    assert {t["tag"] for t in glance.having("tags", image_id=full.id)} == {"blue", "old"}
    assert glance.having("images", id=empty.id) == []
    assert glance.row("images", id=full.id)["status"] == "deactivated"
    image.delete_image(full)
    glance.read()
    assert glance.having("tags", image_id=full.id) == []
