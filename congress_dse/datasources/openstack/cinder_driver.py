"""cinder: volumes, snapshots, volume types and services of OpenStack Block Storage."""

from typing import Any, ClassVar

from congress_dse.datasources.openstack.listing import Listing
from congress_dse.datasources.openstack.openstack_driver import OpenStackDriver
from congress_dse.datasources.openstack.words import column, table

EVERY_PROJECT = {"all_tenants": 1}


class CinderDriver(OpenStackDriver):
    """The tables of OpenStack Block Storage."""

    DESCRIPTION = "OpenStack Block Storage (Cinder): volumes, snapshots, types, services."
    SERVICE = "block_storage"
    TRANSLATORS: ClassVar[list[dict[str, Any]]] = [
        table(
            "volumes",
            column("id", "id of the volume"),
            column("size", "size in GB"),
            column("user_id", "user who made it"),
            column("status", "available, in-use, error and so on"),
            column("description", "what the volume is for"),
            column("name", "name of the volume"),
            column("bootable", "true where a server can start from it"),
            column("created_at", "when it was made"),
            column("volume_type", "name of its type"),
        ),
        table(
            "snapshots",
            column("id", "id of the snapshot"),
            column("size", "size in GB"),
            column("status", "available, error and so on"),
            column("volume_id", "volume it was taken of"),
            column("name", "name of the snapshot"),
            column("created_at", "when it was taken"),
        ),
        table(
            "types",
            column("id", "id of the type"),
            column("name", "name of the type"),
            column("description", "what the type is"),
            column("is_public", "True where every project may use it"),
        ),
        table(
            "services",
            column("status", "enabled or disabled"),
            column("binary", "program, as in cinder-volume"),
            column("zone", "availability zone of its host"),
            column("state", "up or down"),
            column("updated_at", "when it was last heard of"),
            column("host", "name of its host"),
            column("disabled_reason", "why it was disabled"),
        ),
    ]
    LISTINGS: ClassVar[dict[str, Listing]] = {
        "volumes": Listing("/volumes/detail", "volumes", every_project=EVERY_PROJECT),
        "snapshots": Listing("/snapshots/detail", "snapshots", every_project=EVERY_PROJECT),
        "types": Listing("/types", "volume_types", {"is_public": "None"}),
        "services": Listing("/os-services", "services", paged=False),
    }
    ACTIONS: ClassVar[dict[str, str]] = {
        "volumes.delete": "delete_volume",
        "volumes.extend": "extend_volume",
        "volumes.retype": "retype_volume",
        "volumes.set_bootable": "set_volume_bootable_status",
        "volumes.update_readonly_flag": "set_volume_readonly",
        "volumes.reset_state": "reset_volume_status",
        "volumes.set_metadata": "set_volume_metadata",
        "volume_snapshots.delete": "delete_snapshot",
        "volume_snapshots.reset_state": "reset_snapshot_status",
        "volume_types.delete": "delete_type",
    }


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> CinderDriver:
    """Make the service, as a cage asks for it."""
    return CinderDriver(name, keys, inbox, datapath, args)
