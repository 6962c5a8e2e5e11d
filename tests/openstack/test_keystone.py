"""The keystone driver against a real Keystone."""

import pytest

pytest.importorskip("openstack", reason="the extra `openstack` is not installed")

from congress_dse.datasources.openstack.access import Access
from tests.support.engine import bus, longest_stall, made, serve, wait_for

# The first test installs Keystone where it is not.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def world(admin):
    """A project and a user with a role in it; gone at the end."""
    source = made("keystone", admin)
    options = source.args
    access = Access(options)
    identity = access.service("identity")
    project = identity.create_project(name="alpha", domain_id="default", description="first")
    user = identity.create_user(name="alice", domain_id="default", password="wonder")
    role = next(identity.roles(name="member"))
    identity.assign_project_role_to_user(project, user, role)
    yield {"project": project.id, "user": user.id, "role": role.id, "identity": identity}
    identity.delete_user(user)
    identity.delete_project(project)
    access.close()


def test_what_keystone_has_is_in_the_tables(admin, world):
    source = made("keystone", admin)
    source.poll()
    assert source.stale == {}
    names = {row[source.get_column_map("users")["name"]] for row in source.state["users"]}
    assert names == {"admin", "alice"}
    assert ("True", "first", "alpha", "default", world["project"]) in source.state["projects"]
    assert {row[1] for row in source.state["roles"]} >= {"admin", "member", "reader"}
    assert {row[2] for row in source.state["domains"]} == {"Default"}
    assert (world["role"], world["user"], "", world["project"], "", "", "") in source.state[
        "assignments"
    ]
    source.cleanup()


def test_a_reader_without_the_right_has_stale_tables_with_the_reason(admin, world):
    alice = {"username": "alice", "password": "wonder", "project_name": "alpha"}
    source = made("keystone", {**admin, **alice})
    source.poll()
    assert set(source.stale) == {"users", "roles", "projects", "domains", "assignments"}
    cause = source.stale["users"].cause
    assert cause.startswith("GET /users: 403 You are not authorized")
    source.cleanup()


def test_keystone_is_killed_and_its_tables_are_stale_until_it_is_back(admin, keystone, world):
    with bus() as cage, longest_stall() as stall_s:
        args = {**admin, "poll_time": "0.5"}
        _, follower = serve(cage, "keystone", args, "users", "assignments")
        wait_for(lambda: len(follower.seen.get("users", ())) == 2)
        assert follower.causes() == {}
        keystone.kill("keystone")
        causes = wait_for(follower.causes)
        assert "Unable to establish connection" in str(causes)
        assert len(follower.seen["users"]) == 2
        keystone.start("keystone")
        wait_for(lambda: not follower.causes())
        world["identity"].update_user(world["user"], email="alice@example.org")
        wait_for(lambda: "alice@example.org" in str(follower.seen["users"]))
    assert stall_s[0] < 1.0


def test_an_action_changes_the_real_thing(admin, world):
    with bus() as cage:
        args = {**admin, "poll_time": "0"}
        source, follower = serve(cage, "keystone", args, "users")
        change = {"positional": [world["user"]], "named": {"email": "a@example.org"}}
        cage.ask("keystone", "users.update", change)
        source.request_refresh()
        wait_for(lambda: "a@example.org" in str(follower.seen.get("users")))
