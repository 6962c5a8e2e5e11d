"""What Congress's own code expects of the bus: its services, modules and their end."""

import itertools
import sys
import textwrap

import pytest

from congress_dse import d6cage, deepsix, exceptions
from congress_dse.d6message import d6msg
from congress_dse.runtime import chosen as runtime

MODULE = """
    from congress_dse import deepsix

    LOADED = []

    class Service(deepsix.deepSix):
        pass

    def d6service(name, keys, inbox, datapath, args):
        return Service(name, keys, inbox, datapath, args)
"""
_number = itertools.count()


@pytest.fixture
def module(tmp_path):
    """Write a module file; returns its name and path."""
    made = []

    def write(text=MODULE):
        name = f"legacy_module_{next(_number)}"
        made.append(name)
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text))
        return name, str(path)

    yield write
    for name in made:
        sys.modules.pop(name, None)


def test_a_service_is_made_of_a_loaded_module(host, module):
    name, path = module()
    host.loadModule(name, path)
    service = host.createservice(
        name="s", keys=["k"], description="what", moduleName=name, args={"x": 1}, type_="t", id_="i"
    )
    entry = host.services["s"]
    assert entry["object"] is service is host.service_object("s")
    assert entry["inbox"] is service.inbox
    assert {k: entry[k] for k in "name description moduleName args type id keys".split()} == {
        "name": "s",
        "description": "what",
        "moduleName": name,
        "args": {"x": 1},
        "type": "t",
        "id": "i",
        "keys": ["k"],
    }


def test_a_module_is_loaded_once(host, module):
    name, path = module()
    host.loadModule(name, path)
    sys.modules[name].LOADED.append("once")
    host.loadModule(name, path)
    assert sys.modules[name].LOADED == ["once"]


@pytest.mark.parametrize("text", ["def d6service(:", "raise KeyError('x')", "import no.such.thing"])
def test_a_module_that_does_not_load_is_an_error_that_leaves_nothing(host, module, text):
    name, path = module(text)
    with pytest.raises(d6cage.DataServiceError, match=name):
        host.loadModule(name, path)
    assert name not in sys.modules
    host.createservice("s", factory=deepsix.deepSix)


def test_a_module_file_that_does_not_exist_is_an_error(host):
    with pytest.raises(d6cage.DataServiceError, match="nowhere"):
        host.loadModule("nowhere", "/no/such/nowhere.py")


def test_a_module_that_is_not_loaded_is_an_error(host):
    with pytest.raises(d6cage.DataServiceError, match=r"never\.loaded"):
        host.createservice("s", moduleName="never.loaded")
    assert list(host.services) == [host.name]


def test_a_module_without_d6service_is_an_error(host, module):
    name, path = module("x = 1")
    host.loadModule(name, path)
    with pytest.raises(d6cage.DataServiceError, match="d6service"):
        host.createservice("s", moduleName=name)


def test_the_bus_is_among_its_services_without_type_and_object(host):
    entry = host.getservices()[host.name]
    assert entry["type"] is None
    assert "object" not in entry
    assert entry["name"] == host.name
    assert entry["inbox"] is host.inbox


def test_service_object_of_a_name_that_is_none_is_none(host):
    assert host.service_object("nobody") is None


def test_getservice_finds_the_first_that_has_all_that_is_given(host):
    for name, kind, id_ in (("a", "x", "1"), ("b", "x", "2"), ("c", "y", "3")):
        host.createservice(name, factory=deepsix.deepSix, type_=kind, id_=id_)
    assert host.getservice("2")["name"] == "b"
    assert host.getservice(id_="3")["name"] == "c"
    assert host.getservice(type_="x")["name"] == "a"
    assert host.getservice(type_="x", id_="2")["name"] == "b"
    assert host.getservice(name="c")["id"] == "3"
    assert host.getservice(name="c", type_="x") is None
    assert host.getservice("9") is None


def test_a_duplicate_name_is_refused_and_the_first_lives_on(host, settle):
    first = host.createservice("s", factory=deepsix.deepSix)
    for name in ("s", host.name):
        with pytest.raises(d6cage.DataServiceError, match="already in use"):
            host.createservice(name, factory=deepsix.deepSix)
    settle(host)
    assert host.service_object("s") is first
    assert not first.dead


def test_a_service_may_be_a_plain_object(host, settle):
    class Plain:
        def __init__(self, name, keys, inbox, datapath, args):
            self.inbox = inbox
            self.ended = 0

        def cleanup(self):
            self.ended += 1

    plain = host.createservice("plain", ["k"], factory=Plain)
    host.tell("plain", "x")
    settle_on = plain.inbox
    assert [settle_on.take()[1].type for _ in range(len(settle_on))] == ["cmd"]
    host.statistics()
    host.deleteservice("plain")
    assert plain.ended == 1
    assert host.table.lookup("plain") == set()


def test_default_args_are_copied_and_never_changed(host):
    host.default_service_args["s"] = {"a": 1, "b": [2]}
    given = {"a": 5}
    service = host.createservice("s", factory=deepsix.deepSix, args=given)
    assert service.args == {"a": 5, "b": [2]}
    service.args["c"] = 9
    service.args["b"].append(3)
    assert host.default_service_args == {"s": {"a": 1, "b": [2]}}
    assert given == {"a": 5}


class Half(deepsix.deepSix):
    """Begins all sorts of things in its constructor, and then fails."""

    def __init__(self, name, keys, inbox, dataPath, args):
        super().__init__(name, keys, inbox, dataPath, args)
        self.subscribe("pub", "p")
        self.after(3600, print)
        self.spawn(runtime.sleep, 3600)
        raise KeyError("no such thing")


def test_a_constructor_that_fails_is_an_error_that_leaves_nothing(host, settle):
    pub = host.createservice("pub", factory=deepsix.deepSix)
    settle(host)
    bindings = len(host.table)
    with pytest.raises(d6cage.DataServiceError, match=r"'half'.*KeyError.*no such thing"):
        host.createservice("half", ["k"], factory=Half)
    settle(host)
    assert "half" not in host.services
    assert len(host.table) == bindings
    assert pub.subscriber_list() == [(host.name, "routeKeys")]
    host.createservice("half", ["k"], factory=deepsix.deepSix)


@pytest.mark.parametrize("keys", [["k" * 300], [5]])
def test_a_service_with_a_key_that_is_none_is_an_error_that_leaves_nothing(host, keys):
    with pytest.raises(d6cage.DataServiceError, match="'s'"):
        host.createservice("s", ["fine", *keys], factory=deepsix.deepSix)
    assert list(host.services) == [host.name]
    assert host.table.lookup("fine") == host.table.lookup("s") == set()
    host.createservice("s", ["fine"], factory=deepsix.deepSix)


@pytest.mark.parametrize("name", ["", None, 5, "n" * 300])
def test_a_name_that_is_none_is_an_error(host, name):
    with pytest.raises(d6cage.DataServiceError):
        host.createservice(name, factory=deepsix.deepSix)
    assert list(host.services) == [host.name]


def test_module_driver_imports_the_module_of_a_class(host, module, tmp_path, monkeypatch):
    name, _ = module()
    monkeypatch.syspath_prepend(tmp_path)
    service = host.createservice("s", moduleName=f"{name}.Service", module_driver=True)
    assert type(service).__name__ == "Service"
    with pytest.raises(d6cage.DataServiceError, match=r"no\.such"):
        host.createservice("t", moduleName="no.such.Driver", module_driver=True)


def test_module_driver_ends_the_service_it_replaces(host, settle, module, tmp_path, monkeypatch):
    name, _ = module()
    monkeypatch.syspath_prepend(tmp_path)
    first = host.createservice("s", ["old.key"], factory=deepsix.deepSix)
    settle(host)
    second = host.createservice("s", moduleName=f"{name}.Service", module_driver=True)
    assert first.dead
    assert host.service_object("s") is second
    assert host.table.lookup("old.key") == set()
    assert host.table.lookup("s") == {second.inbox}


def test_a_delete_cleans_up_first_and_takes_everything(host, settle):
    seen = []

    class Neat(deepsix.deepSix):
        def cleanup(self):
            seen.append((not self.dead, self.name in host.services, len(host.table.lookup("k"))))

    service = host.createservice("s", ["k", "more"], factory=Neat)
    pub = host.createservice("pub", factory=deepsix.deepSix)
    service.subscribe("pub", "p")
    settle(host)
    before = len(host.subdata)
    host.deleteservice("s")
    settle(host)
    assert seen == [(True, True, 1)]
    assert service.dead
    assert "s" not in host.services
    assert all(host.table.lookup(k) == set() for k in ("k", "more", "s", "local.s", "local.k"))
    assert service.inbox not in host.table.lookup("allservices")
    assert len(host.subdata) == before - 1
    assert pub.subscriber_list() == [(host.name, "routeKeys")]
    assert service.due() is None
    with pytest.raises(exceptions.NoSuchService, match="'s'"):
        host.deleteservice("s")


def test_a_cleanup_that_fails_or_hangs_does_not_stop_a_delete(host, monkeypatch):
    monkeypatch.setattr("congress_dse.endings.CLEANUP_S", 0.05)

    class Failing(deepsix.deepSix):
        def cleanup(self):
            raise KeyError("cleanup")

    class Hanging(deepsix.deepSix):
        def cleanup(self):
            runtime.sleep(3600)

    for kind in (Failing, Hanging):
        host.createservice("s", factory=kind)
        host.deleteservice("s")
        assert "s" not in host.services


def test_the_bus_is_no_service_to_delete(host):
    with pytest.raises(exceptions.NoSuchService):
        host.deleteservice(host.name)


def test_two_deletes_at_once_are_one(host, settle, wait_for):
    class Slow(deepsix.deepSix):
        def cleanup(self):
            runtime.sleep(0.05)

    host.createservice("s", factory=Slow)
    others = [runtime.spawn(host.deleteservice, "s") for _ in range(2)]
    wait_for(lambda: "s" not in host.services)
    for other in others:
        other.wait()


def test_a_reload_puts_new_code_in_place_and_keeps_the_mailbox(host, module, settle):
    name, path = module()
    host.loadModule(name, path)
    old = host.createservice("s", ["k"], moduleName=name)
    settle(host)
    with open(path, "a") as file:
        file.write("\nService.new_code = True\n")
    host.tell(host.name, "reload", {"service": "s"})
    settle(host)
    new = host.service_object("s")
    assert new is not old
    assert old.dead
    assert new.new_code
    assert new.inbox is old.inbox
    assert host.table.lookup("k") == {new.inbox}
    host.tell(host.name, "reload", {"service": "s"})
    settle(host)
    assert host.service_object("s") is not new


def test_a_reload_of_broken_code_leaves_the_old_service(host, module, settle):
    name, path = module()
    host.loadModule(name, path)
    old = host.createservice("s", moduleName=name)
    with open(path, "a") as file:
        file.write("\nraise KeyError('broken')\n")
    host.tell(host.name, "reload", {"service": "s"})
    host.tell(host.name, "reload", {"service": "nobody"})
    settle(host)
    assert host.service_object("s") is old
    assert not old.dead
    assert not host.dead


def test_a_new_configuration_adds_what_is_lacking_and_a_fault_in_it_ends_nothing(host, module):
    name, path = module()
    config = {
        "modules": {name: {"filename": path}, "bad": {"filename": "/no/such.py"}},
        "services": {
            "bad": {"moduleName": "bad"},
            "good": {"moduleName": name, "keys": ["k"]},
        },
    }
    host.newConfig(d6msg(body=config))
    good = host.service_object("good")
    assert set(host.services) == {host.name, "good"}
    host.newConfig(d6msg(body=config))
    assert host.service_object("good") is good


def test_modules_and_services_of_the_configuration_are_loaded(host, module):
    name, path = module()
    host.config = {
        "modules": {name: {"filename": path}},
        "services": {"s": {"moduleName": name}},
    }
    host.load_modules_from_config()
    host.load_services_from_config()
    assert type(host.service_object("s")).__module__ == name


def test_nothing_new_is_taken_once_the_bus_stops(host):
    host.d6stop()
    with pytest.raises(exceptions.EngineStopped):
        host.createservice("s", factory=deepsix.deepSix)
    with pytest.raises(exceptions.EngineStopped):
        host.ask("s", "x")
