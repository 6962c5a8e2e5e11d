"""The names and signatures that Congress's own code relies on."""

import inspect

import pytest

from congress_dse import amqprouter, d6cage, d6message, dataobj, deepsix
from congress_dse.runtime import chosen as runtime
from tests.support import modes


def names(function):
    return list(inspect.signature(function).parameters)


@pytest.fixture
def alone():
    """A service on no bus and without an inbox, as upstream's unit tests make them."""
    return deepsix.deepSix("alone", ["alone.key"])


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (deepsix.deepSix.__init__, "self name keys inbox dataPath"),
        (
            deepsix.deepSix.subscribe,
            "self key dataindex corrId callback pull interval args",
        ),
        (deepsix.deepSix.unsubscribe, "self key dataindex corrId"),
        (deepsix.deepSix.publish, "self dataindex newdata key use_snapshot"),
        (deepsix.deepSix.request, "self key dataindex corrId callback interval timer args"),
        (deepsix.deepSix.reply, "self dataindex newdata delete"),
        (deepsix.deepSix.command, "self key command corrId callback timer args"),
        (deepsix.deepSix.push, "self dataindex key type"),
        (deepsix.deepSix.prepush_processor, "self data dataindex type"),
        (deepsix.deepSix.getSubData, "self corrId sender"),
        (deepsix.deepSix.reqtimeout, "self corrId"),
        (deepsix.deepSix.reserved_dataindex, "self dataindex"),
        (
            d6cage.d6Cage.createservice,
            "self name keys description moduleName args module_driver type_ id_",
        ),
        (d6cage.d6Cage.getservice, "self id_ type_ name"),
        (d6cage.d6Cage.loadModule, "self name filename"),
        (d6cage.d6Cage.deleteservice, "self name"),
        (d6cage.d6Cage.service_object, "self name"),
        (
            d6message.d6msg.__init__,
            "self key replyTo correlationId type dataindex body srcmsg",
        ),
        (dataobj.pubData.addsubscriber, "self sender type corrId"),
        (dataobj.pubData.removesubscriber, "self sender"),
        (dataobj.subData.__init__, "self key dataindex corrId callback"),
        (amqprouter.routeTable.add, "self pattern destination"),
        (amqprouter.routeTable.remove, "self pattern destination"),
        (amqprouter.routeTable.lookup, "self key"),
    ],
)
def test_a_method_takes_the_arguments_of_old_in_their_order(function, wanted):
    assert names(function)[: len(wanted.split())] == wanted.split()


def test_the_defaults_of_old_are_kept():
    subscribe = inspect.signature(deepsix.deepSix.subscribe).parameters
    request = inspect.signature(deepsix.deepSix.request).parameters
    reply = inspect.signature(deepsix.deepSix.reply).parameters
    assert subscribe["interval"].default == 30
    assert subscribe["pull"].default is False
    assert request["timer"].default == 30
    assert reply["delete"].default is True


@modes.on_eventlet
def test_a_service_is_a_greenthread(host):
    service = host.createservice("s", factory=deepsix.deepSix)
    from eventlet.greenthread import GreenThread

    assert isinstance(service, GreenThread)
    assert isinstance(host, GreenThread)
    assert callable(service.kill)
    assert callable(service.wait)
    assert callable(service.link)


@pytest.mark.parametrize(
    "name",
    "reqhandler subhandler unsubhandler cmdhandler d6run cleanup add_rpc_endpoint "
    "heartbeat_callbacks node".split(),
)
def test_the_base_has_no_hook_that_is_found_by_hasattr(alone, name):
    assert not hasattr(alone, name)


@pytest.mark.parametrize(
    "name",
    "type state prior_state raw_state initialized last_error poll poll_loop poll_time "
    "worker_greenthread execute msg policy".split(),
)
def test_the_base_leaves_the_names_that_drivers_use_to_them(alone, name):
    assert not hasattr(alone, name)
    setattr(alone, name, "theirs")
    assert getattr(alone, name) == "theirs"


@pytest.mark.parametrize(
    "name",
    "name running _running pubdata subdata inbox dataPath keys subscribe unsubscribe publish "
    "request reply command push send schedule receive reqtimeout getSubData subscription_list "
    "subscriber_list log log_debug log_info log_warning log_error log_exception "
    "reserved_dataindex prepush_processor start stop".split(),
)
def test_the_base_has_every_name_of_old(alone, name):
    assert hasattr(alone, name)


@pytest.mark.parametrize(
    "name",
    "loadModule createservice deleteservice service_object getservice getservices newConfig "
    "load_modules_from_config load_services_from_config d6reload d6stop services config "
    "default_service_args".split(),
)
def test_the_bus_has_every_name_of_old(host, name):
    assert hasattr(host, name)


def test_the_module_of_the_bus_has_its_error_and_its_end():
    assert issubclass(d6cage.DataServiceError, Exception)
    assert callable(d6cage.delete_cage)


def test_start_and_stop_do_nothing_however_often_a_driver_calls_super(host, settle):
    class Old(deepsix.deepSix):
        def start(self):
            super().start()

        def stop(self):
            super().stop()

    service = host.createservice("old", factory=Old)
    service.start()
    service.start()
    service.stop()
    settle(host)
    assert service.running
    assert not service.dead


def test_running_and_its_later_name_are_one(alone):
    assert alone.running is alone._running is True
    alone._running = False
    assert alone.running is False


def test_keys_are_doubled_for_local_use_and_everybody_has_allservices(alone):
    assert set(alone.keys) == {
        "alone.key",
        "local.alone.key",
        "allservices",
        "local.allservices",
    }


def test_the_reserved_tables_are_three(alone):
    assert all(alone.reserved_dataindex(i) for i in ("routeKeys", "pubdata", "subdata"))
    assert not alone.reserved_dataindex("p")


def test_a_service_without_inbox_publishes(alone):
    alone.publish("p", {(1,)})
    assert alone.pubdata["p"].get().data == {(1,)}
    alone.publish("p", None)
    assert alone.pubdata["p"].get().data == {}


def test_spawn_service_builds_starts_and_returns(nothing_left):
    cage = deepsix.spawnService(d6cage.d6Cage)
    assert cage is d6cage.d6Cage()
    assert isinstance(cage, runtime.Actor)
    assert cage.d6stop() == []


def test_delete_cage_ends_the_process_s_cage_and_the_next_is_new(nothing_left, settle):
    cage = d6cage.d6Cage()
    service = cage.createservice("s", factory=deepsix.deepSix)
    settle(cage)
    d6cage.delete_cage()
    assert service.dead
    assert cage.dead
    other = d6cage.d6Cage()
    assert other is not cage
    assert list(other.services) == ["d6cage"]
    d6cage.delete_cage()
    d6cage.delete_cage()


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "exception"])
def test_a_log_line_names_the_service_and_is_formatted_late(alone, caplog, level):
    caplog.set_level("DEBUG")
    getattr(alone, f"log_{level}")("%s of %d", "one", 2)
    getattr(alone, f"log_{level}")("100 % sure")
    wanted = {"exception": "ERROR"}.get(level, level.upper())
    lines = [(r.levelname, r.getMessage()) for r in caplog.records]
    assert lines == [(wanted, "alone:: one of 2"), (wanted, "alone:: 100 % sure")]


def test_log_alone_is_debug(alone, caplog):
    caplog.set_level("DEBUG")
    alone.log("%s", "x")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [("DEBUG", "alone:: x")]


def test_what_is_not_logged_is_not_formatted(alone, caplog):
    class Costly:
        def __str__(self):
            raise AssertionError("formatted for nobody")

    caplog.set_level("INFO")
    alone.log_debug("%s", Costly())


def test_log_exception_has_the_traceback(alone, caplog):
    try:
        raise KeyError("k")
    except KeyError:
        alone.log_exception("it %s", "broke")
    assert caplog.records[0].exc_info[0] is KeyError
