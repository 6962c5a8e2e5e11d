"""What each OpenStack service is: its package, how its databases are made, where its API is."""

from dataclasses import dataclass, field

PASSWORD = "secret"
NOWHERE = "http://127.0.0.1:1"  # stands in a made database for where the service will be


@dataclass(frozen=True)
class Kind:
    """How one service is installed and started.

    `prepare` are commands of its environment's bin folder, which make its databases once; the
    columns of `moved` (database, table, column) then hold places of the making, and are changed
    for each start. `after` are services that must answer before it starts.
    """

    package: str
    type: str
    application: str = ""
    path: str = ""
    conf: str = ""
    prepare: tuple[str, ...] = ()
    moved: tuple[tuple[str, str, str], ...] = ()
    folders: tuple[str, ...] = ()
    after: tuple[str, ...] = ("keystone",)
    environment: dict[str, str] = field(default_factory=dict)


NOVA_MANAGE = "nova-manage --config-file {conf}"
SQLITE = "sqlite:///{folder}"

KINDS = {
    "keystone": Kind(
        "keystone",
        "identity",
        "keystone.wsgi.api",
        path="/v3",
        prepare=(
            "keystone-manage --config-file {conf} db_sync",
            (
                "keystone-manage --config-file {conf} bootstrap "
                f"--bootstrap-password {PASSWORD} "
                f"--bootstrap-region-id RegionOne --bootstrap-public-url {NOWHERE}/v3 "
                f"--bootstrap-internal-url {NOWHERE}/v3"
            ),
        ),
        moved=(("keystone.db", "endpoint", "url"),),
        after=(),
    ),
    "glance": Kind(
        "glance",
        "image",
        "glance.wsgi.api",
        conf="glance-api.conf",
        prepare=("glance-manage --config-file {conf} db_sync",),
        folders=("images", "staging", "tasks", "cache"),
    ),
    "neutron": Kind(
        "neutron",
        "network",
        "neutron.wsgi.api",
        prepare=(
            "python {here}/neutron_schema.py " + SQLITE + "/neutron.db",
            "neutron-db-manage --config-file {conf} stamp heads",
        ),
        environment={"OS_NEUTRON_CONFIG_FILES": "neutron.conf"},
    ),
    "placement": Kind(
        "openstack-placement",
        "placement",
        "placement.wsgi.api",
        prepare=("placement-manage --config-file {conf} db sync",),
    ),
    "nova": Kind(
        "nova",
        "compute",
        "nova.wsgi.osapi_compute",
        path="/v2.1",
        prepare=(
            f"{NOVA_MANAGE} api_db sync",
            f"{NOVA_MANAGE} cell_v2 map_cell0 --database_connection {SQLITE}/nova_cell0.db",
            f"{NOVA_MANAGE} db sync",
            (
                f"{NOVA_MANAGE} cell_v2 create_cell --name cell1 --transport-url fake:// "
                f"--database_connection {SQLITE}/nova.db?timeout=30"
            ),
        ),
        moved=(("nova_api.db", "cell_mappings", "database_connection"),),
        after=("keystone", "glance", "neutron", "placement"),
    ),
    "cinder": Kind(
        "cinder",
        "block-storage",
        "cinder.wsgi.api",
        path="/v3",
        prepare=("cinder-manage --config-file {conf} db sync",),
    ),
    "ironic": Kind(
        "ironic",
        "baremetal",
        prepare=("ironic-dbsync --config-file {conf} create_schema",),
    ),
}
FAMILY = tuple(KINDS)
