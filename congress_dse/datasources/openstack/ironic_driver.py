"""ironic: chassis, nodes, ports and drivers of OpenStack Bare Metal."""

from typing import Any, ClassVar

from congress_dse.datasources.openstack.listing import Listing
from congress_dse.datasources.openstack.openstack_driver import OpenStackDriver
from congress_dse.datasources.openstack.words import column, inner, part, table, values

WITH_HARDWARE_TYPES = "1.30"  # the first version that lists these among the drivers

ID = column("uuid", "id of the object", "id")
CREATED_AT = column("created_at", "when it was made")
UPDATED_AT = column("updated_at", "when it last changed")


def vif_of(extra: Any) -> str:
    """The network port that a bare metal port is tied to, or empty."""
    return str((extra or {}).get("vif_port_id", ""))


def listing(path: str) -> Listing:
    """A list of Ironic's that sends the wanted fields alone."""
    version = WITH_HARDWARE_TYPES
    return Listing(f"/{path}", path, microversion=version, fields="fields", joined=True)


class IronicDriver(OpenStackDriver):
    """The tables of OpenStack Bare Metal."""

    DESCRIPTION = "OpenStack Bare Metal (Ironic): chassis, nodes, ports, drivers."
    SERVICE = "baremetal"
    TRANSLATORS: ClassVar[list[dict[str, Any]]] = [
        table("chassises", ID, CREATED_AT, UPDATED_AT),
        table(
            "nodes",
            ID,
            column("chassis_uuid", "chassis it is in", "owner_chassis"),
            column("power_state", "power on, power off or None"),
            column("maintenance", "True while a person works on it"),
            inner(
                "properties",
                part(
                    "node_properties",
                    ("id", "properties", "id of the node"),
                    column("memory_mb", "memory in MB"),
                    column("cpu_arch", "kind of its processors"),
                    column("local_gb", "disk in GB"),
                    column("cpus", "number of its processors"),
                    many=False,
                ),
            ),
            column("driver", "name of its driver"),
            column("instance_uuid", "server that runs on it", "running_instance"),
            CREATED_AT,
            column("provision_updated_at", "when its provision state last changed"),
            UPDATED_AT,
        ),
        table(
            "ports",
            ID,
            column("node_uuid", "node of the port", "owner_node"),
            column("address", "MAC address", "mac_address"),
            column("extra", "network port it is tied to, or empty", "vif_port_id", vif_of),
            CREATED_AT,
            UPDATED_AT,
        ),
        table(
            "drivers",
            column("name", "name of the driver"),
            inner(
                "hosts",
                values(
                    "active_hosts",
                    ("name", "name", "name of the driver"),
                    "hosts",
                    "conductor that has the driver",
                ),
            ),
        ),
    ]
    LISTINGS: ClassVar[dict[str, Listing]] = {
        "chassises": listing("chassis"),
        # Asked for single fields, Ironic 39 fails on chassis_uuid.
        "nodes": Listing("/nodes/detail", "nodes", microversion=WITH_HARDWARE_TYPES),
        "ports": listing("ports"),
        "drivers": Listing("/drivers", "drivers", microversion=WITH_HARDWARE_TYPES, paged=False),
    }
    ACTIONS: ClassVar[dict[str, str]] = {
        "node.delete": "delete_node",
        "node.update": "update_node",
        "node.validate": "validate_node",
        "node.set_power_state": "set_node_power_state",
        "node.set_provision_state": "set_node_provision_state",
        "node.set_boot_device": "set_node_boot_device",
        "port.delete": "delete_port",
        "port.update": "update_port",
        "chassis.delete": "delete_chassis",
        "chassis.update": "update_chassis",
    }


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> IronicDriver:
    """Make the service, as a cage asks for it."""
    return IronicDriver(name, keys, inbox, datapath, args)
