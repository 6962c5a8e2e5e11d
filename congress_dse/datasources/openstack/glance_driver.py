"""glance: images of OpenStack and their tags."""

from typing import Any, ClassVar

from congress_dse.datasources.openstack.listing import Listing
from congress_dse.datasources.openstack.openstack_driver import OpenStackDriver
from congress_dse.datasources.openstack.words import column, inner, table, values


class GlanceDriver(OpenStackDriver):
    """The tables of OpenStack Image."""

    DESCRIPTION = "OpenStack Image (Glance): images and their tags."
    SERVICE = "image"
    TRANSLATORS: ClassVar[list[dict[str, Any]]] = [
        table(
            "images",
            column("id", "id of the image"),
            column("status", "queued, active, deactivated and so on"),
            column("name", "name of the image"),
            column("container_format", "bare, ovf and so on"),
            column("created_at", "when it was made"),
            column("updated_at", "when it last changed"),
            column("disk_format", "raw, qcow2 and so on"),
            column("owner", "project of the image"),
            column("protected", "True where it cannot be deleted"),
            column("min_ram", "memory in MB that it needs"),
            column("min_disk", "disk in GB that it needs"),
            column("checksum", "MD5 of its data"),
            column("size", "bytes of its data"),
            column("file", "place of its data"),
            column("kernel_id", "image of its kernel"),
            column("ramdisk_id", "image of its first disk"),
            column("schema", "place of its schema"),
            column("visibility", "public, private, shared or community"),
            inner(
                "tags",
                values("tags", ("id", "image_id", "id of the image"), "tag", "a tag of the image"),
            ),
        )
    ]
    LISTINGS: ClassVar[dict[str, Listing]] = {"images": Listing("/images", "images")}
    ACTIONS: ClassVar[dict[str, str]] = {
        "images.delete": "delete_image",
        "images.deactivate": "deactivate_image",
        "images.reactivate": "reactivate_image",
        "images.update": "update_image",
        "image_tags.update": "add_tag",
        "image_tags.delete": "remove_tag",
        "image_members.create": "add_member",
        "image_members.delete": "remove_member",
    }


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> GlanceDriver:
    """Make the service, as a cage asks for it."""
    return GlanceDriver(name, keys, inbox, datapath, args)
