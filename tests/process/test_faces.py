"""Programs written for cotyledon and for oslo.service, run with only their imports changed."""

import signal
import threading

import pytest

from congress_dse import service
from congress_dse.exceptions import ConfigError, NoSuchWorker
from congress_dse.manager import Service, ServiceManager, oslo_config_glue

from .harness import PATIENCE_S, ROOT, posix_only, within

EXAMPLES = ROOT / "examples"


def pids(app, pattern, count):
    """The pids that `count` lines like `pattern` end with."""
    app.line(pattern + r".* in (\d+)", count=count)
    return {line.rsplit(" ", 1)[1] for line in app.lines if pattern in line}


def test_the_cotyledon_program_of_the_document_runs(start, tmp_path):
    conf = tmp_path / "app.conf"
    conf.write_text("[DEFAULT]\nother_workers = 1\n")
    app = start(EXAMPLES / "cotyledon_application.py", "--config-file", conf)
    master = app.line(r"master process start in (\d+)")[1]
    assert int(master) == app.pid
    built = pids(app, "service built", 2)
    assert master not in built
    assert pids(app, "child process start task", 2) == built
    app.ready(5)
    conf.write_text("[DEFAULT]\nother_workers = 3\n")
    app.send(signal.SIGHUP)
    app.line(r"master process reload in " + master)
    app.line("child reload 3 in", count=2)
    app.ready(3, "Second Service")
    conf.write_text("[DEFAULT]\nother_workers = many\n")
    app.send(signal.SIGHUP)
    app.line("not valid")
    app.ready(3, "Second Service")
    assert app.stop()[0] == 0
    assert pids(app, "child process stop", 2) == built
    app.line("master process stop in " + master)


@posix_only("a launcher hears signals alone")
def test_the_oslo_service_program_of_the_document_runs(start):
    app = start(EXAMPLES / "oslo_service_application.py")
    first = pids(app, "child process start task", 2)
    assert str(app.pid) not in first
    app.send(signal.SIGHUP)
    assert len(pids(app, "child process start task", 4)) == 4
    assert pids(app, "child process stop", 2) == first
    assert len(pids(app, "third service reset", 2)) == 2
    assert app.stop()[0] == 0
    app.gone(1.0)
    assert not any("master process start" in line for line in app.lines)


@posix_only("a launcher hears signals alone")
@pytest.mark.parametrize("program", ["debug.py", "launched.py"])
def test_without_workers_everything_runs_in_one_process(start, program):
    app = start(program)
    assert int(app.line(r"one runs in (\d+)")[1]) == app.pid
    assert int(app.line(r"two runs in (\d+)")[1]) == app.pid
    app.send(signal.SIGHUP)
    app.line("one reloads")
    assert app.children() == []
    assert app.stop()[0] == 0
    app.line("one ends")
    app.line("two ends")


@posix_only("a launcher hears signals alone")
def test_a_master_in_a_patched_program_still_obeys(start):
    app = start("patched.py")
    app.line("patched runs", count=2)
    app.send(signal.SIGHUP)
    app.line("patched runs", count=4)
    code, took_s = app.stop()
    assert code == 0
    assert took_s < within(3.0)


def test_workers_are_called_and_hooked_as_cotyledon_has_it(start):
    app = start("hooked.py")
    app.line("new worker Hooked 0 Hooked")
    app.send(signal.SIGHUP)
    app.line("reload hook")
    app.line("dead worker Hooked 0 0")
    app.send(signal.SIGTERM)
    app.line("terminate hook")
    assert app.wait() == 0


class One(Service):
    """For the checks below, which start nothing."""


def test_what_cannot_be_run_is_refused_when_it_is_added():
    manager = ServiceManager()
    with pytest.raises(TypeError, match="service must be callable"):
        manager.add("One")
    with pytest.raises(TypeError, match="workers must be a whole number"):
        manager.add(One, workers="2")
    with pytest.raises(ValueError, match="0 or more, not -1"):
        manager.add(One, workers=-1)
    with pytest.raises(
        ConfigError, match="runtime 'gevent' is none of plain, green, mixed, asyncio"
    ):
        manager.add(One, runtime="gevent")
    with pytest.raises(NoSuchWorker, match="no service 'x'"):
        manager.reconfigure("x", 2)
    with pytest.raises(TypeError, match="on_reload must be callable"):
        manager.register_hooks(on_reload=1)
    with pytest.raises(ConfigError, match="is none of reload, mutate"):
        oslo_config_glue.link(manager, None, "restart")


def test_a_service_without_a_name_has_that_of_its_class_and_ids_are_unique():
    class Two(One):
        pass

    class Named(Service):
        name = "fancy"

    class Heir(Named):
        pass

    manager = ServiceManager()
    assert (One.name, Two.name, Heir.name) == ("One", "Two", "fancy")
    assert [manager.add(One), manager.add(One), manager.add(One)] == ["One", "One-2", "One-3"]


def test_launchers_take_what_oslo_service_takes():
    class Plain(service.Service):
        pass

    with pytest.raises(ValueError, match="is none of reload, mutate"):
        service.ProcessLauncher(None, restart_method="restart")
    with pytest.raises(ValueError, match="0 or more"):
        service.launch(None, Plain(), workers=-1)
    with pytest.raises(ConfigError, match="is no service, it lacks start, stop, wait, reset"):
        service.launch(None, object())
    launcher = service.ServiceLauncher(None)
    launcher.launch_service(Plain())
    with pytest.raises(ValueError, match="has one worker, not 2"):
        launcher.launch_service(Plain(), workers=2)


def test_a_thread_group_stops_its_timers_and_joins_its_threads():
    called = threading.Event()
    group = service.Service().tg
    group.add_timer(0.001, called.set)
    group.add_thread(called.wait)
    assert called.wait(PATIENCE_S)
    group.stop(graceful=True)
    assert not any(thread.is_alive() for thread in group._threads)
