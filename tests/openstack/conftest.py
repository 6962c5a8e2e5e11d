"""Real services as fixtures; where they cannot be had, tests skip, or fail under CI."""

import os

import pytest

from tests.openstack.services import PASSWORD, Services, Unavailable


@pytest.fixture(scope="session")
def keystone(tmp_path_factory):
    """A real Keystone, for the whole run."""
    services = Services(tmp_path_factory.mktemp("openstack"))
    try:
        services.up()
    except Unavailable as error:
        if os.environ.get("CI"):
            pytest.fail(f"no Keystone: {error}")
        pytest.skip(f"no Keystone: {error}")
    yield services
    services.stop()


@pytest.fixture
def admin(keystone):
    """The options of a driver that reads as the admin."""
    return {
        "auth_url": keystone.url("keystone"),
        "username": "admin",
        "password": PASSWORD,
        "project_name": "admin",
    }
