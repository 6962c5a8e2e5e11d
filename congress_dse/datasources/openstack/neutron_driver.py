"""neutron: networks, subnets, ports, routers, security groups, floating IPs of OpenStack."""

from typing import Any, ClassVar

from congress_dse.datasources.openstack.listing import Listing
from congress_dse.datasources.openstack.openstack_driver import OpenStackDriver
from congress_dse.datasources.openstack.words import column, inner, part, table, values

OF_PORT = ("id", "port_id", "id of the port")
OF_SUBNET = ("id", "subnet_id", "id of the subnet")
OF_ROUTER = ("id", "router_id", "id of the router")
OF_GATEWAY = ("router_id", "router_id", "id of the router")
OF_GROUP = ("id", "security_group_id", "id of the security group")

ID = column("id", "id of the object")
PROJECT = column("tenant_id", "project it belongs to")
NAME = column("name", "name of the object")
STATUS = column("status", "ACTIVE, DOWN, ERROR and so on")
ADMIN_STATE_UP = column("admin_state_up", "False where it was switched off")
IP_ADDRESS = column("ip_address", "the address")
ADDRESS_SUBNET = column("subnet_id", "subnet of the address")
NETWORK = column("network_id", "network it is on")


def listing(path: str, key: str = "") -> Listing:
    """A list of Neutron's, which sends the wanted fields alone."""
    return Listing(f"/{path}", key or path.replace("-", "_"), fields="fields")


class NeutronDriver(OpenStackDriver):
    """The tables of OpenStack Networking."""

    DESCRIPTION = "OpenStack Networking (Neutron): networks, ports, routers, security groups."
    SERVICE = "network"
    TRANSLATORS: ClassVar[list[dict[str, Any]]] = [
        table(
            "networks",
            ID,
            PROJECT,
            NAME,
            STATUS,
            ADMIN_STATE_UP,
            column("shared", "True where every project may use it"),
        ),
        table(
            "ports",
            ID,
            PROJECT,
            NAME,
            NETWORK,
            column("mac_address", "MAC address"),
            ADMIN_STATE_UP,
            STATUS,
            column("device_id", "server, router or other that has the port"),
            column("device_owner", "kind of that device, as in compute:nova"),
            inner("fixed_ips", part("fixed_ips", OF_PORT, IP_ADDRESS, ADDRESS_SUBNET)),
            inner(
                "security_groups",
                values(
                    "security_group_port_bindings",
                    OF_PORT,
                    "security_group_id",
                    "security group of the port",
                ),
            ),
        ),
        table(
            "subnets",
            ID,
            PROJECT,
            NAME,
            NETWORK,
            column("ip_version", "4 or 6"),
            column("cidr", "its addresses, as in 10.0.0.0/24"),
            column("gateway_ip", "address of its gateway"),
            column("enable_dhcp", "True where DHCP is served"),
            column("ipv6_ra_mode", "who advertises the router"),
            column("ipv6_address_mode", "how IPv6 addresses are made"),
            inner(
                "allocation_pools",
                part(
                    "allocation_pools",
                    OF_SUBNET,
                    column("start", "first address of the pool"),
                    column("end", "last address of the pool"),
                ),
            ),
            inner(
                "dns_nameservers",
                values("dns_nameservers", OF_SUBNET, "dns_nameserver", "address of the server"),
            ),
            inner(
                "host_routes",
                part(
                    "host_routes",
                    OF_SUBNET,
                    column("destination", "where the route leads"),
                    column("nexthop", "through which address"),
                ),
            ),
        ),
        table(
            "routers",
            ID,
            PROJECT,
            STATUS,
            ADMIN_STATE_UP,
            NAME,
            column("distributed", "True for a distributed router"),
            inner(
                "external_gateway_info",
                part(
                    "external_gateway_infos",
                    OF_ROUTER,
                    column("network_id", "outside network"),
                    column("enable_snat", "True where addresses are translated"),
                    inner(
                        "external_fixed_ips",
                        part("external_fixed_ips", OF_GATEWAY, ADDRESS_SUBNET, IP_ADDRESS),
                    ),
                    many=False,
                ),
            ),
        ),
        table(
            "security_groups",
            ID,
            PROJECT,
            NAME,
            column("description", "what the group is for"),
            inner(
                "security_group_rules",
                part(
                    "security_group_rules",
                    OF_GROUP,
                    ID,
                    PROJECT,
                    column("remote_group_id", "group that the other side is in"),
                    column("direction", "ingress or egress"),
                    column("ethertype", "IPv4 or IPv6"),
                    column("protocol", "protocol, or None for any"),
                    column("port_range_min", "first port"),
                    column("port_range_max", "last port"),
                    column("remote_ip_prefix", "addresses of the other side"),
                ),
            ),
        ),
        table(
            "floating_ips",
            ID,
            column("router_id", "router that translates it"),
            PROJECT,
            column("floating_network_id", "outside network it is on"),
            column("fixed_ip_address", "inside address it stands for"),
            column("floating_ip_address", "the outside address"),
            column("port_id", "port that has the inside address"),
            STATUS,
        ),
    ]
    LISTINGS: ClassVar[dict[str, Listing]] = {
        "networks": listing("networks"),
        "ports": listing("ports"),
        "subnets": listing("subnets"),
        "routers": listing("routers"),
        "security_groups": listing("security-groups"),
        "floating_ips": listing("floatingips"),
    }
    ACTIONS: ClassVar[dict[str, str]] = {
        "add_interface_router": "add_interface_to_router",
        "remove_interface_router": "remove_interface_from_router",
        "delete_floatingip": "delete_ip",
        "update_floatingip": "update_ip",
        "show_network": "get_network",
        "show_port": "get_port",
        "show_subnet": "get_subnet",
        "show_router": "get_router",
        "show_security_group": "get_security_group",
    }


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> NeutronDriver:
    """Make the service, as a cage asks for it."""
    return NeutronDriver(name, keys, inbox, datapath, args)
