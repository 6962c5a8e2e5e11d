"""Register services with a Keystone: their users, and where they are."""

from congress_dse.datasources.openstack.access import Access
from tests.openstack.kinds import KINDS, PASSWORD
from tests.support.engine import made


def access(options):
    """An access to the cloud, with the options of a driver."""
    return Access(made("keystone", options).args)


def register(admin, urls):
    """Make users and endpoints of the services in `urls`, by their names."""
    cloud = access(admin)
    identity = cloud.service("identity")
    project = identity.create_project(name="service", domain_id="default")
    roles = [role for role in identity.roles() if role.name in {"admin", "service"}]
    for name, url in urls.items():
        user = identity.create_user(name=name, password=PASSWORD, domain_id="default")
        for role in roles:
            identity.assign_project_role_to_user(project, user, role)
        service = identity.create_service(name=name, type=KINDS[name].type)
        identity.create_endpoint(
            service_id=service.id, interface="public", region_id="RegionOne", url=url
        )
    cloud.close()


def unregister(admin, name):
    """Take the endpoints of a service out of the catalog; returns how to put them back."""
    cloud = access(admin)
    identity = cloud.service("identity")
    (service,) = identity.services(name=name)
    ends = list(identity.endpoints(service_id=service.id))
    for end in ends:
        identity.update_endpoint(end, is_enabled=False)

    def restore():
        for end in ends:
            identity.update_endpoint(end, is_enabled=True)
        cloud.close()

    return restore
