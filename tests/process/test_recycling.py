"""Recycling: workers that grow or age are exchanged, at most so many at once; and the options."""

import pytest

from congress_dse import config
from congress_dse.commands import serve
from congress_dse.manager import options
from congress_dse.manager.roster import Spec
from congress_dse.supervision import Policy

from .harness import wait_for

MB = 1_000_000


def exchanged(app, first, service, count):
    """Wait until none of the workers `first` is left, and every place is filled.

    Meanwhile no place may be empty, nor more than one worker be started beside those that serve.
    """
    seen = {"least": count, "most": 0}

    def all_new():
        found = [w for w in app.ask("workers") if w["service"] == service]
        ready = {w["pid"] for w in found if w["state"] == "ready"}
        seen["least"] = min(seen["least"], len(ready))
        seen["most"] = max(seen["most"], sum(w["state"] == "starting" for w in found))
        return len(ready) == count and not ready & first

    wait_for(all_new, 120, lambda: f"all exchanged: {app.lines[-20:]}")
    assert seen["least"] >= count
    return seen["most"]


def test_workers_that_grow_are_exchanged_one_at_a_time(start):
    app = start("grower.py", "max_rss_b", 150 * MB)
    first = {w["pid"] for w in app.ready(3)}
    assert exchanged(app, first, "Grower", 3) <= 1
    assert sum("bytes of memory, the limit is 150000000" in line for line in app.lines) >= 3
    assert not any("crash" in line or "killed" in line for line in app.lines)


def test_the_memory_of_a_worker_without_a_limit_is_told_too(start, tmp_path):
    app = start("lump.py", "runtime", "plain", "liveness", 2, "trigger", tmp_path / "never")
    app.ready(1)
    wait_for(lambda: app.workers()[0]["rss_b"] > MB, what=app.workers)


@pytest.mark.parametrize("out_max", [1, 2])
def test_workers_that_age_are_exchanged_at_most_so_many_at_once(start, out_max):
    app = start("grower.py", "max_age_s", 1.0, "out_max", out_max)
    first = {w["pid"] for w in app.ready(3)}
    assert exchanged(app, first, "Grower", 3) <= out_max
    assert sum("s of age, the limit is 1)" in line for line in app.lines) >= 3


# Each option of [processes] with a value that is no default, and where it arrives.
ARRIVES = {
    "liveness": (7.0, lambda spec: spec.liveness_s),
    "start_grace": (8.0, lambda spec: spec.start_grace_s),
    "graceful_shutdown_timeout": (9.0, lambda spec: spec.stop_timeout_s),
    "restart_intensity": (3, lambda spec: spec.policy.intensity),
    "restart_period": (11.0, lambda spec: spec.policy.period_s),
    "restart_backoff": (0.5, lambda spec: spec.policy.backoff_s),
    "restart_backoff_max": (12.0, lambda spec: spec.policy.backoff_max_s),
    "max_requests": (13, lambda spec: spec.max_requests),
    "max_age": (14.0, lambda spec: spec.max_age_s),
    "max_rss": (15, lambda spec: spec.max_rss_b),
    "recycle_jitter": (0.25, lambda spec: spec.recycle_jitter),
    "recycle_out_max": (2, lambda spec: spec.out_max),
    "workers": (5, lambda spec: spec.workers),
}
SOURCE = "[api]\nenabled = false\n[datasource:here]\ndriver = host\n"
NOT_OF_A_SPEC = {"control_socket"}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """What `serve` would run with these options of ``[processes]``: the spec, and the manager."""

    def spec_of(**values):
        path = tmp_path / "c.conf"
        values = {"control_socket": tmp_path / "control", **values}
        lines = [f"{name} = {value}\n" for name, value in values.items()]
        path.write_text(SOURCE + "[processes]\n" + "".join(lines))
        managers = []

        def run(manager):
            managers.append(manager)

        monkeypatch.setattr(serve.ServiceManager, "run", run)
        assert serve.run(_arguments(path)) == 0
        (manager,) = managers
        return manager._outfits["engine"].spec, manager

    return spec_of


def _arguments(path):
    parser = serve.argparse.ArgumentParser()
    serve.add_arguments(parser)
    return parser.parse_args(["--config-file", str(path)])


def test_every_option_of_the_processes_arrives_where_it_belongs(made, tmp_path):
    assert ARRIVES.keys() | NOT_OF_A_SPEC == {option.name for option in options.OPTIONS}
    spec, manager = made(**{name: value for name, (value, _) in ARRIVES.items()})
    for name, (value, where) in ARRIVES.items():
        assert where(spec) == value, name
        assert value != next(o.default for o in options.OPTIONS if o.name == name), name
    assert manager.control_path == str(tmp_path / "control")


def test_without_options_the_defaults_arrive(made):
    spec, _ = made()
    for option in options.OPTIONS:
        if option.name in ARRIVES:
            assert ARRIVES[option.name][1](spec) == option.default, option.name
    assert isinstance(spec, Spec)
    assert spec.policy == Policy(restart="always")
    assert not config.faults(config.read([]))
