"""keystone: users, roles, projects and domains of OpenStack Identity, and who has which role."""

from typing import Any, ClassVar

from congress_dse.datasources.openstack.listing import Listing
from congress_dse.datasources.openstack.openstack_driver import OpenStackDriver
from congress_dse.datasources.openstack.words import column, table


def id_in(*path: str) -> Any:
    """A reader of the id of what is at `path` inside a field; empty where there is none."""

    def read(value: Any) -> Any:
        for step in path:
            value = (value or {}).get(step)
        return (value or {}).get("id", "")

    return read


def system_of(scope: Any) -> str:
    """``all`` for a role on the whole system."""
    return "all" if (scope or {}).get("system", {}).get("all") else ""


def heirs_of(scope: Any) -> str:
    """``projects`` for a role that is inherited by the projects below, and not held itself."""
    return str((scope or {}).get("OS-INHERIT:inherited_to", ""))


class KeystoneDriver(OpenStackDriver):
    """The tables of OpenStack Identity."""

    DESCRIPTION = "OpenStack Identity (Keystone): users, roles, projects, domains, assignments."
    SERVICE = "identity"
    TRANSLATORS: ClassVar[list[dict[str, Any]]] = [
        table(
            "users",
            column("id", "id of the user"),
            column("description", "what the user is"),
            column("name", "name, unique in the domain"),
            column("enabled", "True or False"),
            column("default_project_id", "project the user starts in", "project_id"),
            column("domain_id", "domain of the user"),
            column("email", "address of the user"),
        ),
        table("roles", column("id", "id of the role"), column("name", "name of the role")),
        table(
            "projects",
            column("enabled", "True or False"),
            column("description", "what the project is"),
            column("name", "name, unique in the domain"),
            column("domain_id", "domain of the project"),
            column("id", "id of the project"),
        ),
        table(
            "domains",
            column("enabled", "True or False"),
            column("description", "what the domain is"),
            column("name", "name of the domain"),
            column("id", "id of the domain"),
        ),
        table(
            "assignments",
            column("role", "role that is held", "role_id", id_in()),
            column("user", "user who holds it, or empty", "user_id", id_in()),
            column("group", "group whose users hold it, or empty", "group_id", id_in()),
            column("scope", "project it is held in, or empty", "project_id", id_in("project")),
            column("scope", "domain it is held in, or empty", "domain_id", id_in("domain")),
            column("scope", "all where it is held on the system", "system", system_of),
            column("scope", "projects where those below inherit it", "inherited_to", heirs_of),
        ),
    ]
    LISTINGS: ClassVar[dict[str, Listing]] = {
        "users": Listing("/users", "users"),
        # Keystone 30 limits this list, but sends its first page for any marker.
        "roles": Listing("/roles", "roles", paged=False),
        "projects": Listing("/projects", "projects"),
        "domains": Listing("/domains", "domains"),
        "assignments": Listing("/role_assignments", "role_assignments"),
    }
    ACTIONS: ClassVar[dict[str, str]] = {
        "users.delete": "delete_user",
        "users.update": "update_user",
        "projects.delete": "delete_project",
        "projects.update": "update_project",
        "roles.delete": "delete_role",
        "domains.delete": "delete_domain",
        "domains.update": "update_domain",
    }


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> KeystoneDriver:
    """Make the service, as a cage asks for it."""
    return KeystoneDriver(name, keys, inbox, datapath, args)
