"""What a running engine of several processes tells of itself, also while a hub is blocked."""

import os
import random
import signal

import pytest

from congress_dse import cli
from congress_dse.exceptions import ControlError
from tests.support.live import Engine, until

WELL = {"ready": True, "reasons": [], "warnings": []}


def never_less(seen, now):
    """No counter is below what it was; note what they are."""
    fallen = {k: (v, now.get(k)) for k, v in seen.items() if now.get(k, -1) < v}
    assert not fallen
    seen.update(now)


@pytest.fixture
def engine(tmp_path):
    one = Engine(tmp_path)
    try:
        one.start()
        yield one
    finally:
        one.stop()


@pytest.mark.timeout(180)
def test_every_node_of_the_bus_answers_and_a_blocked_one_is_shown_as_such(engine):
    workers = {"engine.0", "engine.1", "api.0"}
    assert {s["worker"] for s in engine.get("services")["results"]} == workers
    assert {a["worker"] for a in engine.get("tree")["asked"] if a["answered"]} == workers
    assert {w["name"] for w in engine.get("workers")["results"]} == workers
    assert {link["worker"] for link in engine.get("links")["results"]} == workers
    assert "greenthread" in engine.get("stacks/engine.1")["results"][0]["stack"]

    until(lambda: engine.health() == (200, {**WELL}), "the engine is ready")

    engine.block()

    status, told = engine.health()
    assert status == 503
    assert [(r["kind"], r["subject"]) for r in told["reasons"]] == [("blocked", "engine.0")]
    asked = engine.asked("engine.0")
    assert (asked["answered"], asked["via"]) == (True, "master")
    assert "block_natively" in asked["stack"]
    assert engine.asked("engine.1")["blocked_s"] == 0
    names = {s["source"] for s in engine.get("sources")["results"]}
    assert names == {"free", "blocker"}, "what a blocked worker has is shown all the same"
    assert {t["service"] for t in engine.get("tables")["results"]} >= {"blocker"}
    assert sorted(engine.get("tables/blocker/t/rows")["rows"]) == [[1, "one"], [2, "two"]]
    assert "block_natively" in engine.get("stacks/engine.0")["results"][0]["stack"]
    (told,) = engine.get("stacks/blocker")["results"]
    assert told["running"]
    assert "block_natively" in told["stack"]
    assert engine.get("waits")["circles"] == []
    assert engine.gauge("congress_dse_worker_blocked_seconds", worker="engine.0") > 0
    assert engine.gauge("congress_dse_worker_blocked_seconds", worker="engine.1") == 0
    assert engine.gauge("congress_dse_worker_up", worker="engine.0") == 1
    assert engine.gauge("congress_dse_table_rows", service="blocker", table="t") == 2
    (said,) = [r for r in engine.ask("inquire", what="node") if r["worker"] == "engine.0"]
    assert said["blocked_s"] > 0
    assert said["answer"]["results"][0]["worker"] == "engine.0"


@pytest.mark.skipif(not os.environ.get("CONGRESS_DSE_FULL"), reason="takes minutes")
@pytest.mark.timeout(600)
def test_across_fifty_deaths_no_counter_falls_and_no_file_is_left(engine):
    seen, scrapes, killed = engine.counters(), 0, []
    files = sorted(path.name for path in engine.tmp.iterdir())
    while len(killed) < 50:
        ready = [w for w in engine.ask("workers") if w["state"] == "ready"]
        if len(ready) == 3:
            killed.append(random.choice(ready)["pid"])
            os.kill(killed[-1], signal.SIGKILL)
        try:
            never_less(seen, engine.counters())
            scrapes += 1
        except OSError:  # the API worker was the one
            continue
    assert scrapes > 50
    name = "congress_dse_worker_ends_total"
    assert sum(value for key, value in seen.items() if key[0] == name) >= 49
    assert sorted(path.name for path in engine.tmp.iterdir()) == files


@pytest.mark.timeout(180)
def test_what_happened_is_kept_over_a_restart_and_a_worker_tells_who_was_there_before(
    engine, capsys
):
    first = {w["name"]: w["pid"] for w in engine.get("workers")["results"]}
    seen = engine.counters()
    os.kill(first["engine.1"], signal.SIGKILL)

    def replaced():
        never_less(seen, engine.counters())
        (worker,) = [w for w in engine.get("workers")["results"] if w["name"] == "engine.1"]
        return worker if worker["pid"] != first["engine.1"] and worker["ends"] else None

    (end,) = until(replaced, "engine.1 is replaced")["ends"]
    assert (end["pid"], end["asked"]) == (first["engine.1"], False)
    assert "signal 9" in end["why"]
    assert cli.main(["workers", "--ends", "--config-file", str(engine.conf)]) == 0
    (told,) = [t for t in capsys.readouterr().out.splitlines() if "engine.1" in t]
    assert str(first["engine.1"]) in told
    assert "signal 9" in told
    last = engine.counters()
    never_less(seen, last)
    name, pool = "congress_dse_worker_ends_total", ("pool", "engine")
    assert last[name, ("asked", "no"), pool] == 1
    assert last["congress_dse_source_polls_total", ("source", "blocker")] > 0
    until(lambda: engine.get("timeline?kind=worker-died")["results"], "its death is kept")
    with pytest.raises(ControlError):
        engine.ask("inquire", what="no such thing", pids=[0], within_s="x")

    engine.stop()
    engine.start()

    deaths = engine.get("timeline?kind=worker-died")["results"]
    (died,) = [d for d in deaths if "signal 9" in d["text"]]  # others may be late to stop
    assert (died["subject"], died["node"], died["level"]) == ("engine.1", "testhost", "error")
    kinds = [e["kind"] for e in engine.get("timeline")["results"]]
    assert kinds.count("engine-started") == 2
    assert kinds.count("engine-stopped") == 1
    newest = engine.get("timeline?limit=2")["results"]
    older = engine.get(f"timeline?limit=2&before={newest[-1]['id']}")["results"]
    assert [e["id"] for e in newest + older] == sorted([e["id"] for e in newest + older])[::-1]
