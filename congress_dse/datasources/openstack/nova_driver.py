"""nova: servers and their metadata, flavors, hosts, services, keypairs of OpenStack Compute."""

from typing import Any, ClassVar

from congress_dse.datasources.openstack.listing import Listing
from congress_dse.datasources.openstack.openstack_driver import OpenStackDriver, pairs
from congress_dse.datasources.openstack.words import column, inner, pairs_of, table

WITH_UUIDS = "2.53"  # the first version whose services and hypervisors have ids of their own


def id_of(value: Any) -> str:
    """The id of an image or flavor; Nova has the empty text where a server has no image."""
    return str(value.get("id", value)) if isinstance(value, dict) else str(value)


def service_of(binary: Any) -> str:
    """The service of a program: ``compute`` of ``nova-compute``."""
    return str(binary).removeprefix("nova-")


class NovaDriver(OpenStackDriver):
    """The tables of OpenStack Compute."""

    DESCRIPTION = "OpenStack Compute (Nova): servers, flavors, hosts, hypervisors, services, zones."
    SERVICE = "compute"
    TRANSLATORS: ClassVar[list[dict[str, Any]]] = [
        table(
            "servers",
            column("id", "id of the server"),
            column("name", "name of the server"),
            column("hostId", "hash of host and project", "host_id"),
            column("status", "ACTIVE, SHUTOFF, ERROR and so on"),
            column("tenant_id", "project of the server"),
            column("user_id", "user who made it"),
            column("image", "image it was made from, or empty", "image_id", id_of),
            column("flavor", "flavor of the server", "flavor_id", id_of),
            column("OS-EXT-AZ:availability_zone", "availability zone of its host", "zone"),
            column("OS-EXT-SRV-ATTR:hypervisor_hostname", "hypervisor it runs on", "host_name"),
            inner("metadata", pairs_of("server_metadata", ("id", "server_id"))),
        ),
        table(
            "flavors",
            column("id", "id of the flavor"),
            column("name", "name of the flavor"),
            column("vcpus", "virtual processors"),
            column("ram", "memory in MB"),
            column("disk", "root disk in GB"),
            column("OS-FLV-EXT-DATA:ephemeral", "second disk in GB", "ephemeral"),
            column("rxtx_factor", "share of the network"),
        ),
        table(
            "hosts",
            column("host", "name of the host", "host_name"),
            column("binary", "service on it, as in compute", "service", service_of),
            column("zone", "availability zone of the host"),
        ),
        table(
            "hypervisors",
            column("id", "id of the hypervisor"),
            column("hypervisor_hostname", "its own name", "host_name"),
            column("hypervisor_type", "what it is, as in QEMU"),
            column("hypervisor_version", "its version"),
            column("host_ip", "address of its host"),
            column("state", "up or down"),
            column("status", "enabled or disabled"),
        ),
        table(
            "services",
            column("id", "id of the service", "service_id"),
            column("binary", "program, as in nova-compute"),
            column("host", "name of the host"),
            column("zone", "availability zone of the host"),
            column("status", "enabled or disabled"),
            column("state", "up or down"),
            column("updated_at", "when it was last heard of"),
            column("disabled_reason", "why it was disabled"),
        ),
        table(
            "availability_zones",
            column("zoneName", "name of the zone", "zone"),
            column("zoneState", "whether it is available, as the text of a dict", "state"),
        ),
        table(
            "keypairs",
            column("name", "name of the key pair"),
            column("type", "ssh or x509"),
            column("fingerprint", "fingerprint of the public key"),
        ),
    ]
    LISTINGS: ClassVar[dict[str, Listing]] = {
        "servers": Listing("/servers/detail", "servers", every_project={"all_tenants": 1}),
        "flavors": Listing("/flavors/detail", "flavors", {"is_public": "None"}),
        "hosts": Listing("/os-services", "services", microversion=WITH_UUIDS, paged=False),
        "hypervisors": Listing("/os-hypervisors/detail", "hypervisors", microversion=WITH_UUIDS),
        "services": Listing("/os-services", "services", microversion=WITH_UUIDS, paged=False),
        "availability_zones": Listing("/os-availability-zone", "availabilityZoneInfo", paged=False),
        "keypairs": Listing("/os-keypairs", "keypairs", microversion="2.35", inside="keypair"),
    }
    ACTIONS: ClassVar[dict[str, str]] = {
        "servers.start": "start_server",
        "servers.stop": "stop_server",
        "servers.pause": "pause_server",
        "servers.unpause": "unpause_server",
        "servers.suspend": "suspend_server",
        "servers.resume": "resume_server",
        "servers.reboot": "reboot_server",
        "servers.delete": "delete_server",
        "servers.force_delete": "delete_server",
        "servers.lock": "lock_server",
        "servers.unlock": "unlock_server",
        "servers.shelve": "shelve_server",
        "servers.unshelve": "unshelve_server",
        "servers.rescue": "rescue_server",
        "servers.unrescue": "unrescue_server",
        "servers.resize": "resize_server",
        "servers.confirm_resize": "confirm_server_resize",
        "servers.revert_resize": "revert_server_resize",
        "servers.migrate": "migrate_server",
        "servers.live_migrate": "live_migrate_server",
        "servers.evacuate": "evacuate_server",
        "servers.create_image": "create_server_image",
        "services.enable": "enable_service",
        "services.disable": "disable_service",
        "flavors.delete": "delete_flavor",
        "keypairs.delete": "delete_keypair",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_executable_method(
            "servers_set_meta",
            [
                {"name": "server", "description": "id of the server"},
                {"name": "meta", "description": "names and values in turn"},
            ],
            "Set metadata of a server.",
        )

    def servers_set_meta(self, server: str, *meta: Any) -> Any:
        """Set metadata of a server: a name, its value, a name, its value."""
        named = {"server": server, **pairs(meta)}
        return self.execute("set_server_metadata", {"named": named})


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> NovaDriver:
    """Make the service, as a cage asks for it."""
    return NovaDriver(name, keys, inbox, datapath, args)
