"""Names that a service's class may not take by accident, and those that it may."""

import textwrap

import pytest

from congress_dse import exceptions, sources
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.deepsix import deepSix


def method(self, *args):
    return args


def meant(call):
    """As ``typing.override`` does, which came with Python 3.12."""
    call.__override__ = True
    return call


@pytest.mark.parametrize(
    "name", ["begin", "run", "after", "finish", "release", "spawn", "failed", "_take_turns", "_log"]
)
def test_a_name_of_the_actor_s_is_refused_with_class_and_method(name):
    with pytest.raises(exceptions.ReservedName, match=f"class Mine defines '{name}'"):
        type("Mine", (deepSix,), {name: method})


@pytest.mark.parametrize("value", [method, property(method)])
def test_a_method_that_an_attribute_of_every_service_would_hide_is_refused(value):
    with pytest.raises(exceptions.ReservedName, match=r"defines 'inbox'.*every service"):
        type("Mine", (deepSix,), {"inbox": value})


def test_a_name_that_a_mixin_brings_is_refused_with_the_mixin():
    class Threaded:
        begin = method

    with pytest.raises(exceptions.ReservedName, match=r"Threaded defines 'begin'.*deepSix"):
        type("Mine", (Threaded, PollingDataSourceDriver), {})


def test_a_private_name_of_a_driver_s_base_is_refused():
    with pytest.raises(exceptions.ReservedName, match=r"'_refresh'.*PollingDataSourceDriver"):
        type("Mine", (PollingDataSourceDriver,), {"_refresh": method})


def test_hooks_names_of_congress_and_what_is_meant_are_free():
    free = "receive publish prepush_processor start stop poll execute get_status cleanup check _own"
    names = {**dict.fromkeys(free.split(), method), "name": "a", "begin": meant(lambda self: None)}
    type("Mine", (PollingDataSourceDriver,), names)


def test_a_driver_s_file_with_such_a_name_is_a_fault_of_the_configuration(tmp_path):
    path = tmp_path / "sensor_driver.py"
    path.write_text(
        textwrap.dedent("""
        from congress_dse.datasources.datasource_driver import PollingDataSourceDriver

        class Sensor(PollingDataSourceDriver):
            def begin(self):
                self.serial = open("/dev/null")
        """)
    )
    with pytest.raises(exceptions.ConfigError, match="class Sensor defines 'begin'"):
        sources.driver(str(path))
