"""The drivers of OpenStack's services against a small cloud on loopback that speaks real HTTP."""

import logging
import ssl

import pytest
import trustme

pytest.importorskip("openstack", reason="the extra `openstack` is not installed")

from congress_dse import exceptions, sources
from congress_dse.datasources.openstack.listing import Listing, next_link, objects, pages
from congress_dse.runtime import chosen as runtime
from tests.support.cloud import Cloud
from tests.support.engine import bus, longest_stall, made, serve, wait_for
from tests.support.proxy import Proxy

SIX = ("keystone", "nova", "neutron", "glance", "cinder", "ironic")
CONGRESS = {  # the tables and columns of Congress's own drivers, August 2016
    "keystone": {
        "users": "id description name enabled project_id domain_id email",
        "roles": "id name",
        "projects": "enabled description name domain_id id",
        "domains": "enabled description name id",
    },
    "nova": {
        "servers": "id name host_id status tenant_id user_id image_id flavor_id zone host_name",
        "flavors": "id name vcpus ram disk ephemeral rxtx_factor",
        "hosts": "host_name service zone",
        "services": "service_id binary host zone status state updated_at disabled_reason",
        "availability_zones": "zone state",
    },
    "neutron": {
        "networks": "id tenant_id name status admin_state_up shared",
        "ports": "id tenant_id name network_id mac_address admin_state_up status device_id "
        "device_owner",
        "fixed_ips": "port_id ip_address subnet_id",
        "security_group_port_bindings": "port_id security_group_id",
        "subnets": "id tenant_id name network_id ip_version cidr gateway_ip enable_dhcp "
        "ipv6_ra_mode ipv6_address_mode",
        "allocation_pools": "subnet_id start end",
        "dns_nameservers": "subnet_id dns_nameserver",
        "host_routes": "subnet_id destination nexthop",
        "routers": "id tenant_id status admin_state_up name distributed",
        "external_gateway_infos": "router_id network_id enable_snat",
        "external_fixed_ips": "router_id subnet_id ip_address",
        "security_groups": "id tenant_id name description",
        "security_group_rules": "security_group_id id tenant_id remote_group_id direction "
        "ethertype protocol port_range_min port_range_max remote_ip_prefix",
        "floating_ips": "id router_id tenant_id floating_network_id fixed_ip_address "
        "floating_ip_address port_id status",
    },
    "glance": {
        "images": "id status name container_format created_at updated_at disk_format owner "
        "protected min_ram min_disk checksum size file kernel_id ramdisk_id schema visibility",
        "tags": "image_id tag",
    },
    "cinder": {
        "volumes": "id size user_id status description name bootable created_at volume_type",
        "snapshots": "id size status volume_id name created_at",
        "services": "status binary zone state updated_at host disabled_reason",
    },
    "ironic": {
        "chassises": "id created_at updated_at",
        "nodes": "id owner_chassis power_state maintenance driver running_instance created_at "
        "provision_updated_at updated_at",
        "node_properties": "properties memory_mb cpu_arch local_gb cpus",
        "ports": "id owner_node mac_address vif_port_id created_at updated_at",
        "drivers": "name",
        "active_hosts": "name hosts",
    },
}
OURS = {
    "keystone": {
        "assignments": "role_id user_id group_id project_id domain_id system inherited_to"
    },
    "nova": {
        "hypervisors": "id host_name hypervisor_type hypervisor_version host_ip state status",
        "keypairs": "name type fingerprint",
        "server_metadata": "server_id key value",
    },
    "cinder": {"types": "id name description is_public"},
}


@pytest.fixture
def cloud():
    cloud = Cloud()
    yield cloud
    cloud.stop()


@pytest.fixture
def alone():
    """Make drivers that stand alone; they are cleaned up at the end."""
    drivers = []

    def make(driver, args):
        drivers.append(made(driver, args))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.cleanup()


def rows_by_id(driver, table):
    columns = driver.get_column_map(table)
    return {row[columns["id"]]: dict(zip(columns, row, strict=True)) for row in driver.state[table]}


@pytest.mark.parametrize("name", SIX)
def test_tables_and_columns_are_those_of_congress_and_then_ours(cloud, alone, name):
    driver = alone(name, cloud.args())
    driver.poll()
    assert driver.last_error is None
    assert driver.stale == {}
    wanted = {**CONGRESS[name], **OURS.get(name, {})}
    assert {t: list(driver.get_column_map(t)) for t in driver.state} == {
        table: columns.split() for table, columns in wanted.items()
    }
    for table, columns in wanted.items():
        assert driver.state[table], f"{table} is empty"
        assert {len(row) for row in driver.state[table]} == {len(columns.split())}


def test_cells_are_read_from_where_each_service_has_them(cloud, alone):
    nova, keystone, ironic = (alone(name, cloud.args()) for name in ("nova", "keystone", "ironic"))
    for driver in (nova, keystone, ironic):
        driver.poll()
    raw = cloud.lists["compute"]["/servers/detail"]["servers"][0]
    server = rows_by_id(nova, "servers")[raw["id"]]
    assert server["host_id"] == raw["hostId"]
    assert server["flavor_id"] == raw["flavor"]["id"]
    assert server["image_id"] == raw["image"]["id"]
    assert server["zone"] == raw["OS-EXT-AZ:availability_zone"]
    assert ("computehost", "compute", "nova") in nova.state["hosts"]
    assert ("nova", "{'available': True}") in nova.state["availability_zones"]
    kinds = {tuple(bool(cell) for cell in row[1:6]) for row in keystone.state["assignments"]}
    assert kinds == {
        (True, False, True, False, False),
        (False, True, True, False, False),
        (False, True, False, True, False),
        (True, False, False, False, True),
    }
    port = cloud.lists["baremetal"]["/ports"]["ports"][0]
    assert rows_by_id(ironic, "ports")[port["uuid"]]["vif_port_id"] == port["extra"]["vif_port_id"]


@pytest.mark.parametrize("name", SIX)
def test_lists_that_come_in_pages_are_whole(cloud, alone, name):
    whole, paged = alone(name, cloud.args()), alone(name, cloud.args(page_size="1"))
    whole.poll()
    before = len(cloud.requests)
    paged.poll()
    assert paged.stale == {}
    assert paged.state == whole.state
    assert len(cloud.requests) - before > before


def test_only_the_wanted_fields_are_asked_for_and_kept(cloud, alone):
    neutron = alone("neutron", cloud.args(lazy_tables="networks,subnets,routers"))
    kept = {}
    neutron.update_state = lambda root, objects: kept.update({root: objects})
    neutron.poll()
    query = next(query for _, path, query in cloud.requests if path.endswith("/ports"))
    assert set(query["fields"]) == set(kept["ports"][0])
    assert "binding:profile" not in kept["ports"][0]


def test_a_link_that_goes_round_ends_the_list():
    asked = pages(Listing("/things", "things"), {"limit": 1})
    assert next(asked) == {"limit": 1}
    again = {"things": [{}], "next": "/things?marker=a"}
    assert asked.send(again) == {"limit": 1, "marker": ["a"]}
    with pytest.raises(exceptions.SourceError, match="goes round"):
        asked.send(again)


@pytest.mark.parametrize("paged", [True, False])
def test_a_part_of_a_list_without_a_way_to_the_rest_is_a_fault(paged):
    answer = {"things": [{}], "truncated": True}
    if not paged:  # the service has a link, which leads nowhere
        answer["links"] = {"next": "/things?marker=a"}
    with pytest.raises(exceptions.SourceError, match="a part of the list only"):
        objects(Listing("/things", "things", paged=paged), answer, ["id"])


@pytest.mark.parametrize(
    "answer", [{}, [], {"links": {"next": None}}, {"x_links": [{"rel": "previous", "href": "/"}]}]
)
def test_the_last_page_has_no_link(answer):
    assert next_link(answer) is None


def test_a_table_that_may_not_be_read_is_stale_alone_with_its_cause(cloud, alone):
    cloud.refused["/os-hypervisors/detail"] = 403
    nova = alone("nova", cloud.args())
    nova.poll()
    assert list(nova.stale) == ["hypervisors"]
    cause = nova.stale["hypervisors"].cause
    assert cause == ("GET /os-hypervisors/detail: 403 Policy does not allow /os-hypervisors/detail")
    assert nova.state["servers"]
    assert nova.last_error is None
    logins = cloud.asked("/v3/auth/tokens")
    nova.poll()
    assert cloud.asked("/v3/auth/tokens") == logins, "a refusal is no reason to log in again"
    cloud.refused.clear()
    nova.poll()
    assert nova.stale == {}


def test_tables_inside_a_refused_one_are_stale_with_it(cloud, alone):
    cloud.refused["/ports"] = 403
    neutron = alone("neutron", cloud.args())
    neutron.poll()
    assert set(neutron.stale) == {"ports", "fixed_ips", "security_group_port_bindings"}


def test_a_service_missing_from_the_catalog_makes_its_tables_stale_until_it_is_there(cloud, alone):
    cloud.missing.add("baremetal")
    ironic = alone("ironic", cloud.args())
    ironic.poll()
    assert {s.cause for s in ironic.stale.values()} == {
        "GET /chassis: no such service in the catalog",
        "GET /nodes/detail: no such service in the catalog",
        "GET /ports: no such service in the catalog",
        "GET /drivers: no such service in the catalog",
    }
    cloud.missing.clear()
    ironic.poll()
    assert ironic.stale == {}
    assert ironic.state["nodes"]


def test_an_expired_token_is_renewed_in_the_midst_of_a_poll(cloud, alone):
    keystone = alone("keystone", cloud.args())
    keystone.poll()
    cloud.tokens.clear()
    keystone.poll()
    assert keystone.stale == {}
    assert keystone.last_error is None
    assert cloud.asked("/v3/auth/tokens") == 2


def test_while_the_cloud_is_down_its_last_rows_stay_and_it_comes_back_by_itself(cloud):
    with bus() as cage:
        args = cloud.args(poll_time="0.2")
        _, follower = serve(cage, "keystone", args, "users", "projects")
        users = wait_for(lambda: follower.seen.get("users"))
        cloud.stop()
        cause = wait_for(follower.causes)
        assert "Unable to establish connection" in str(cause)
        assert follower.seen["users"] == users
        cloud.lists["identity"]["/users"]["users"].append({"id": "new", "name": "dora"})
        cloud.tokens.clear()
        cloud.start()
        wait_for(lambda: not follower.causes())
        wait_for(lambda: len(follower.seen["users"]) == len(users) + 1)


def test_a_slow_list_fails_in_its_own_time_and_the_others_are_read(cloud, alone):
    cloud.slow["/flavors/detail"] = 5.0
    nova = alone("nova", cloud.args(request_timeout="0.3"))
    nova.poll()
    assert list(nova.stale) == ["flavors"]
    assert "timed out" in nova.stale["flavors"].cause
    assert nova.state["keypairs"]


def test_a_poll_past_its_deadline_ends_and_the_next_one_is_whole(cloud, alone):
    cloud.slow["/roles"] = 5.0
    keystone = alone("keystone", cloud.args(poll_deadline="0.3"))
    keystone.poll()
    assert set(keystone.stale) == {"*", "roles"}
    assert keystone.state == {}, "users were read, but a poll is whole or nothing"
    cloud.slow.clear()
    keystone.poll()
    assert keystone.stale == {}
    assert keystone.state["users"], "what was undone counts as new"


def test_what_is_the_same_as_before_is_not_translated_again(cloud, alone):
    keystone = alone("keystone", cloud.args())
    keystone.poll()
    users = keystone.state["users"]
    keystone.poll()
    assert keystone.state["users"] is users
    cloud.lists["identity"]["/users"]["users"][0]["enabled"] = False
    keystone.poll()
    assert keystone.state["users"] != users


def test_a_lazy_table_is_read_once_somebody_follows_it_or_a_table_inside(cloud):
    with bus() as cage:
        args = cloud.args(poll_time="0", lazy_tables="ports,routers")
        source, _ = serve(cage, "neutron", args, "networks")
        source.request_refresh()
        wait_for(lambda: source.number_of_updates)
        assert not cloud.asked("/network/v2.0/ports")
        _, second = serve(cage, "glance", cloud.args(poll_time="0"), "images")
        second.subscribe("neutron", "fixed_ips", callback=second.take)
        wait_for(lambda: second.seen.get("fixed_ips"))
        assert cloud.asked("/network/v2.0/ports") == 1
        assert not cloud.asked("/network/v2.0/routers")


def test_a_source_whose_tables_nobody_follows_asks_nothing(cloud, alone):
    glance = alone("glance", cloud.args(lazy_tables="images"))
    glance.poll()
    assert cloud.requests == []


def test_a_secret_is_in_no_cause_and_no_log(cloud, alone, caplog):
    caplog.set_level(logging.DEBUG)
    cloud.password = "another"
    keystone = alone("keystone", {**cloud.args(), "password": "hunter2"})
    keystone.poll()
    assert "requires authentication" in keystone.stale["*"].cause
    seen = f"{keystone.get_status()} {caplog.text} {keystone.get_datasource_info()}"
    assert "hunter2" not in seen


def test_an_action_is_done_by_congress_s_name_and_by_openstacksdk_s(cloud):
    with bus() as cage:
        source, _ = serve(cage, "nova", cloud.args(poll_time="0"), "servers")
        for action, args in (
            ("servers.stop", {"positional": ["s1"]}),
            ("pause_server", {"named": {"server": "s1"}}),
        ):
            cage.ask("nova", action, args)
        assert cloud.bodies == [
            ("POST", "/servers/s1/action", {"os-stop": None}),
            ("POST", "/servers/s1/action", {"pause": None}),
        ]
        known = {each["name"]: each for each in source.get_actions()["results"]}
        assert known["servers.stop"]["args"][0]["name"] == "server"
        with pytest.raises(exceptions.RequestFailed, match=r"no action 'servers\.fly'"):
            cage.ask("nova", "servers.fly", {})


def test_the_failure_of_an_action_is_its_answer(cloud):
    cloud.refused["/servers/s1/action"] = 403
    with bus() as cage:
        serve(cage, "nova", cloud.args(poll_time="0"), "servers")
        with pytest.raises(exceptions.RequestFailed, match="403 Policy does not allow"):
            cage.ask("nova", "servers.start", {"positional": ["s1"]})


def test_metadata_is_set_by_names_and_values_in_turn(cloud, alone):
    nova = alone("nova", cloud.args())
    nova.execute("servers_set_meta", {"positional": ["s1", "colour", "red", "size", 3]})
    assert cloud.bodies == [
        ("POST", "/servers/s1/metadata", {"metadata": {"colour": "red", "size": "3"}})
    ]
    with pytest.raises(exceptions.RequestFailed, match="has no value"):
        nova.execute("servers_set_meta", {"positional": ["s1", "colour"]})


@pytest.mark.parametrize("name", SIX)
def test_every_name_of_an_action_leads_to_a_method(cloud, alone, name):
    driver = alone(name, cloud.args())
    assert set(driver.ACTIONS) <= set(driver.executable_methods)
    assert set(driver.ACTIONS.values()) <= set(driver.executable_methods)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, ["auth_url: required without cloud"]),
        ({"auth_url": "keystone:5000"}, ["auth_url: is no http"]),
        (
            {"auth_url": "http://k/v3"},
            ["username: required", "password: required", "project_name: required"],
        ),
        (
            {"auth_url": "http://k/v3", "application_credential_id": "i"},
            ["application_credential_secret: required"],
        ),
        ({"cloud": "nowhere"}, ["cloud: Cloud nowhere was not found"]),
        ({"cloud": "a", "auth_url": "http://k"}, ["auth_url: stands beside cloud"]),
        ({"auth_url": "http://k/v3", "cacert": "/no/such"}, ["cacert: no file at"]),
        ({"interface": "secret"}, ["interface: 'secret' is wrong"]),
    ],
)
def test_wrong_options_are_named_before_anything_starts(given, wrong):
    with pytest.raises(exceptions.ConfigError) as caught:
        sources.checked(sources.driver("keystone"), given, "[datasource:k]")
    for each in wrong:
        assert f"[datasource:k] {each}" in str(caught.value)


def test_an_application_credential_opens_the_cloud(cloud, alone):
    glance = alone(
        "glance",
        {
            "auth_url": f"{cloud.url}/v3",
            "application_credential_id": "id",
            "application_credential_secret": cloud.password,
        },
    )
    glance.poll()
    assert glance.stale == {}


@pytest.fixture
def secure(cloud, tmp_path):
    """The cloud behind real TLS: its URL, and the certificates of who signed for it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    proxy = Proxy(("127.0.0.1", cloud.port), context)
    cloud.url = f"https://127.0.0.1:{proxy.port}"
    yield cloud.args(), str(ca)
    proxy.down()


def test_the_certificates_of_keystone_and_services_are_verified(secure, alone, tmp_path):
    args, ca = secure
    another = tmp_path / "another.pem"
    trustme.CA().cert_pem.write_to_path(str(another))
    for wrong in ({}, {"cacert": str(another)}):
        refused = alone("glance", {**args, **wrong})
        refused.poll()
        assert refused.stale["*"].cause.startswith("image: SSL exception connecting to https:")
        assert "certificate verify failed" in refused.stale["*"].cause
    verified = alone("glance", {**args, "cacert": ca})
    verified.poll()
    assert verified.stale == {}
    assert verified.state["images"]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_are_not_verified_where_the_operator_says_so(secure, alone):
    args, _ = secure
    open_eyed = alone("glance", {**args, "insecure": "true"})
    open_eyed.poll()
    assert open_eyed.stale == {}
    assert open_eyed.state["images"]


def test_a_cloud_of_clouds_yaml_is_opened_and_its_password_hidden(cloud, alone, tmp_path):
    file = tmp_path / "clouds.yaml"
    file.write_text(
        f"""
clouds:
  small:
    auth: {{auth_url: "{cloud.url}/v3", username: reader, password: s3cret, project_name: admin}}
"""
    )
    glance = alone("glance", {"cloud": "small", "clouds_file": str(file)})
    glance.poll()
    assert glance.stale == {}
    assert glance.describe("the password is s3cret") == "the password is <hidden>"


def test_six_drivers_poll_side_by_side_and_none_holds_up_the_others(cloud):
    cloud.delay_s = 0.1
    drivers = {name: made(name, cloud.args()) for name in SIX}
    for driver in drivers.values():
        driver.access.service(driver.SERVICE)  # logged in
    with longest_stall() as stall_s:
        begun = runtime.now()
        polls = [runtime.spawn(driver.poll) for driver in drivers.values()]
        for poll in polls:
            poll.wait()
        took_s = runtime.now() - begun
    requests = sum(len(driver.LISTINGS) for driver in drivers.values())
    for driver in drivers.values():
        assert driver.stale == {}
        driver.cleanup()
    assert took_s < requests * cloud.delay_s / 2
    assert stall_s[0] < 0.5
