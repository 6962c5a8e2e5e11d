"""Metrics and health, on an engine in this process."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from congress_dse.api.metrics import COUNTERS, GAUGES, PREFIX
from congress_dse.deepsix import deepSix
from congress_dse.runtime import chosen as runtime

ROOT = Path(__file__).parents[2]
ROWS = "data-sources/given/tables/alarms/rows"


class Mortal(deepSix):
    """Dies of the command ``die``, and takes all others."""

    def cmdhandler(self, msg):
        if msg.dataindex == "die":
            raise ValueError("as told")


@pytest.fixture
def one(running):
    return running()


def families(one):
    answer = one.client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {f.name: f for f in text_string_to_metric_families(answer.body.decode())}


def value(one, name, **labels):
    """The value of the one sample of this name and these labels."""
    every = [s for f in families(one).values() for s in f.samples if s.name == name]
    (found,) = [s.value for s in every if labels.items() <= s.labels.items()]
    return found


def test_names_and_units_are_those_of_the_conventions(one):
    found = families(one)
    assert len(found) > 20
    for name, family in found.items():
        assert name.startswith("congress_dse_"), name
        assert family.documentation
        assert not any(part in {"ms", "s", "b", "minutes"} for part in name.split("_")), name
        for sample in family.samples:
            if family.type == "counter":
                assert sample.name.endswith("_total"), sample.name


def test_what_a_service_handles_is_counted_over_all_its_lives(one, wait_for):
    cage = one.engine.cage
    cage.createservice("mortal", factory=Mortal, on_failure="restart")
    for _ in range(5):
        cage.tell("mortal", "live")
    wait_for(lambda: cage.service_object("mortal").handled >= 5)
    before = value(one, "congress_dse_messages_handled_total", service="mortal")
    cage.tell("mortal", "die")
    wait_for(lambda: cage.upkeep.restarts()["mortal"] == 3)
    wait_for(lambda: cage.service_object("mortal").running)
    after = value(one, "congress_dse_messages_handled_total", service="mortal")
    assert after >= before + 3
    assert value(one, "congress_dse_messages_failed_total", service="mortal") == 3
    assert value(one, "congress_dse_service_restarts_total", service="mortal") == 3
    cage.deleteservice("mortal")
    assert value(one, "congress_dse_messages_handled_total", service="mortal") >= after
    cage.createservice("mortal", factory=Mortal)
    cage.tell("mortal", "live")
    wait_for(lambda: cage.service_object("mortal").handled)
    assert value(one, "congress_dse_messages_handled_total", service="mortal") > after
    assert value(one, "congress_dse_service_restarts_total", service="mortal") == 3


def test_tables_sources_and_dead_letters_are_measured(one, wait_rows):
    one.client("PUT", ROWS, json=[[1, "a"], [2, "b"]])
    wait_rows("data-sources/files/tables/t")
    one.engine.cage.tell("nobody", "x")
    assert value(one, "congress_dse_table_rows", service="given", table="alarms") == 2
    assert value(one, "congress_dse_source_up", source="files") == 1
    assert value(one, "congress_dse_source_polls_total", source="files") >= 1
    assert value(one, "congress_dse_dead_letters_total", reason="nothing matched") == 1
    assert value(one, "congress_dse_dead_letters_kept") == 1
    assert value(one, "congress_dse_cpu_seconds_total") > 0


def test_requests_are_counted_by_route_and_not_by_path(one):
    for name in ("given", "files", "nobody"):
        one.client.get(f"data-sources/{name}")
    one.client.get("/nowhere/at/all")
    labels = {"method": "GET", "route": "/v1/data-sources/{ds}"}
    assert value(one, "congress_dse_http_requests_total", status="200", **labels) == 2
    assert value(one, "congress_dse_http_requests_total", status="404", **labels) == 1
    assert value(one, "congress_dse_http_requests_total", route="other", status="300") == 1
    name = "congress_dse_http_request_duration_seconds"
    assert value(one, f"{name}_count", route=labels["route"]) == 3
    assert value(one, f"{name}_bucket", route=labels["route"], le="+Inf") == 3
    assert value(one, f"{name}_sum", route=labels["route"]) > 0


def test_who_lives_says_so_to_anybody(running, tmp_path):
    (tmp_path / "tokens").write_text("ops:0123456789\n")
    api = running(f"auth = token\ntokens_file = {tmp_path}/tokens").client
    assert api.get("/healthz").json == {"status": "ok"}
    assert api.get("/readyz").status == 200
    assert api.get("/metrics").status == 401
    assert api.get("/metrics", X_Auth_Token="0123456789").status == 200


def test_a_service_that_was_given_up_makes_the_engine_not_ready(one, wait_for):
    cage, api = one.engine.cage, one.client
    assert api.get("/readyz").json == {"ready": True, "reasons": [], "warnings": []}
    cage.createservice("mortal", factory=Mortal, on_failure="restart")
    for _ in range(3):
        cage.tell("mortal", "die")
    wait_for(lambda: "mortal" in cage.upkeep.failures(), within_s=40)
    while (answer := api.get("/readyz")).status == 200:
        runtime.sleep(0.02)
    assert answer.status == 503
    (reason,) = answer.json["reasons"]
    assert (reason["kind"], reason["subject"]) == ("given up", "mortal")
    assert "as told" in reason["text"]


def test_a_stale_source_is_a_warning(one, wait_rows, tmp_path):
    wait_rows("data-sources/files/tables/t")
    (tmp_path / "tables" / "t.csv").write_text("name,cpus\nbroken\n")
    while not (answer := one.client.get("/readyz")).json["warnings"]:
        assert answer.status == 200
        runtime.sleep(0.02)
    assert answer.status == 200
    assert answer.json["warnings"][0]["subject"] == "files"


def test_the_dashboard_for_grafana_asks_for_metrics_that_there_are(one):
    board = json.loads((ROOT / "etc" / "grafana-dashboard.json").read_text())
    asked = {
        name
        for panel in board["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r"congress_dse_\w+", target["expr"])
    }
    assert len(asked) > 20
    told = {
        *(f"{PREFIX}{about.name}_total" for about in COUNTERS.values()),
        *(f"{PREFIX}{about.name}" for about in GAUGES.values()),
        f"{PREFIX}http_request_duration_seconds_bucket",
    }
    assert asked <= told
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places)
