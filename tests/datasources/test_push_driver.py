"""Rows are pushed: whole, as deltas, over the bus; refused ones change nothing; kept ones stay."""

import json
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from congress_dse import deepsix, exceptions, sources
from congress_dse.datasources import rowstore
from congress_dse.datasources.push_driver import PushDriver, declared

from .conftest import wait_for

TABLES = "alarms(id,severity); hosts(name)"


def push(cage, name="monitor", **options):
    args = sources.checked(PushDriver, {"tables": TABLES, **options}, name)
    return cage.createservice(name, factory=PushDriver, args=args)


def rows(driver, table="alarms"):
    return set(driver.pubdata[table].get().data)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "no table is declared"),
        ("alarms", "'alarms' is not of the form TABLE(COLUMN,COLUMN)"),
        ("alarms(id,id)", "alarms: a column is named twice"),
        ("alarms(id); alarms(id)", "alarms: declared twice"),
        ("alarms(id,)", "alarms: '' is no name of a column"),
    ],
)
def test_a_wrong_declaration_is_told_with_its_table(text, wrong):
    with pytest.raises(ValueError, match=wrong.replace("(", r"\(").replace(")", r"\)")):
        declared(text)


def test_a_wrong_declaration_is_an_error_of_the_configuration():
    with pytest.raises(exceptions.ConfigError, match="m tables: 'alarms' is not of the form"):
        sources.checked(PushDriver, {"tables": "alarms"}, "m")


def test_a_table_is_replaced_and_its_followers_get_the_difference(cage):
    driver, seen = push(cage), []
    watcher = cage.createservice("watcher", factory=deepsix.deepSix)
    watcher.subscribe("monitor", "alarms", callback=lambda msg: seen.append(msg.body))
    driver.update_entire_data("alarms", [["a", "high"], {"id": "b", "severity": 3}])
    driver.update_entire_data("alarms", [("b", 3), ("c", None)])
    wait_for(lambda: seen and seen[-1].added == {("c", "None")})
    assert seen[-1].removed == {("a", "high")}
    assert rows(driver) == driver.state["alarms"] == {("b", 3), ("c", "None")}


def test_a_delta_adds_and_removes_over_the_bus(cage):
    driver = push(cage)
    args = {"named": {"table": "alarms", "added": [["a", 1], ["b", 2]]}}
    assert cage.ask("monitor", "update_delta", args)["rows"] == 2
    args = {"positional": ["alarms", [["c", 3], ["a", 1]], [["a", 1], ["b", 2], ["z", 9]]]}
    told = cage.ask("monitor", "update_delta", args)
    assert told == {"table": "alarms", "rows": 2, "added": 1, "removed": 1}
    assert rows(driver) == {("a", 1), ("c", 3)}


def test_the_status_counts_writes_in_text(cage):
    driver = push(cage)
    assert driver.get_status()["last_updated"] == "None"
    driver.update_entire_data("hosts", [["n1"]])
    driver.update_delta("hosts", [["n2"]])
    status = driver.get_status()
    assert (status["number_of_updates"], status["initialized"]) == ("2", "True")
    assert status["last_error"] == "None"
    assert driver.schema() == {"alarms": ("id", "severity"), "hosts": ("name",)}


def test_a_table_has_no_data_before_its_first_write_and_an_empty_one_after_it(cage):
    driver = push(cage)
    assert "alarms" not in driver.pubdata
    driver.update_entire_data("alarms", [])
    assert driver.pubdata["alarms"].published
    assert rows(driver) == set()


@pytest.mark.parametrize(
    ("objs", "wrong"),
    [
        ([["a", 1], ["b"]], "monitor:alarms: row 2: has 1 values; the columns are 2: id, severity"),
        ([["a", [1]]], "monitor:alarms: row 1: severity is a list; allowed: text, number, true"),
        ([{"id": "a", "sev": 1}], "row 1: has no column sev and lacks severity; the columns are"),
        (["ab"], "row 1: is no list of values and no object, but str"),
        ({"id": 1}, "monitor:alarms: not a list of rows but dict"),
    ],
)
def test_refused_rows_are_told_with_table_and_number_and_change_nothing(cage, objs, wrong):
    driver = push(cage)
    driver.update_entire_data("alarms", [["a", 1]])
    with pytest.raises(exceptions.InvalidRows) as caught:
        driver.update_entire_data("alarms", objs)
    assert wrong in str(caught.value)
    with pytest.raises(exceptions.RequestFailed) as refused:
        cage.ask("monitor", "update_delta", {"positional": ["alarms", objs]})
    assert isinstance(refused.value.__cause__, exceptions.InvalidRows)
    assert rows(driver) == {("a", 1)}


def test_an_unknown_table_and_one_row_too_many_are_refused(cage):
    driver = push(cage, max_rows="2")
    with pytest.raises(exceptions.InvalidRows, match="has no table 'x'; it has alarms, hosts"):
        driver.update_entire_data("x", [])
    driver.update_entire_data("hosts", [["a"], ["b"]])
    with pytest.raises(exceptions.InvalidRows, match=r"would have 3 rows; allowed: 2 \(max_rows\)"):
        driver.update_delta("hosts", [["c"]])
    driver.update_delta("hosts", [["c"]], [["a"]])
    assert rows(driver, "hosts") == {("b",), ("c",)}


def test_kept_rows_are_back_after_a_restart_with_their_types(cage, tmp_path):
    path = str(tmp_path / "new" / "rows.db")
    driver = push(cage, persist_path=path)
    driver.update_entire_data("alarms", [["a", 1], ["b", 2.5], ["ü", "1"], ["z", 0.0]])
    driver.update_delta("alarms", [["c", True]], [["b", 2.5], ["z", 0]])
    driver.update_entire_data("hosts", [])
    cage.deleteservice("monitor")
    driver = push(cage, persist_path=path)
    wait_for(lambda: "alarms" in driver.state and "hosts" in driver.state)
    assert sorted(map(repr, rows(driver))) == sorted(
        map(repr, [("a", 1), ("ü", "1"), ("c", "True")])
    )
    assert rows(driver, "hosts") == set()


WRITER = """
import sys
from congress_dse.d6cage import d6Cage
from congress_dse.datasources.push_driver import PushDriver
cage = d6Cage()
args = {"tables": "alarms(id,severity)", "persist_path": sys.argv[1]}
driver = cage.createservice("monitor", factory=PushDriver, args=args)
number = 0
while True:
    driver.update_delta("alarms", [[str(number), number]], [[str(number - 5), number - 5]])
    print(number, flush=True)
    number += 1
"""


def test_what_was_acknowledged_survives_kill_9(cage, tmp_path):
    path = str(tmp_path / "rows.db")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True
    )
    with writer:
        acknowledged = next(int(line) for line in writer.stdout if int(line) >= 50)
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
    assert writer.returncode == -signal.SIGKILL
    driver = push(cage, persist_path=path)
    wait_for(lambda: "alarms" in driver.state)
    whole = [{(str(n), n) for n in range(last - 4, last + 1)} for last in (acknowledged,)]
    whole.append({(str(n), n) for n in range(acknowledged - 3, acknowledged + 2)})
    assert rows(driver) in whole  # a write that was not acknowledged is there whole, or not at all


def test_a_file_that_is_no_store_makes_the_source_stale_and_writes_fail_until_it_is_gone(
    cage, tmp_path
):
    path = tmp_path / "rows.db"
    path.write_bytes(b"not a database " * 100)
    driver = push(cage, persist_path=str(path))
    wait_for(lambda: driver.stale)
    assert f"rows cannot be kept in {path}: file is not a database" in driver.stale["*"].cause
    assert "file is not a database" in driver.get_status()["last_error"]
    with pytest.raises(exceptions.SourceError, match="file is not a database"):
        driver.update_entire_data("alarms", [["a", 1]])
    assert "alarms" not in driver.state
    path.unlink()
    driver.update_entire_data("alarms", [["a", 1]])
    assert driver.stale == {}
    assert driver.get_status()["last_error"] == "None"
    assert rows(driver) == {("a", 1)}


def test_a_second_source_on_the_same_file_is_refused(cage, tmp_path):
    path = str(tmp_path / "rows.db")
    push(cage, persist_path=path).update_entire_data("hosts", [["a"]])
    other = push(cage, "other", persist_path=path)
    with pytest.raises(exceptions.SourceError, match="locked"):
        other.update_entire_data("hosts", [["b"]])


def test_kept_rows_of_other_columns_are_stale_until_the_table_is_written_whole(cage, tmp_path):
    path = str(tmp_path / "rows.db")
    push(cage, persist_path=path).update_entire_data("hosts", [["a"]])
    cage.deleteservice("monitor")
    driver = push(cage, persist_path=path, tables="hosts(name,rack)")
    wait_for(lambda: "hosts" in driver.stale)
    with pytest.raises(exceptions.InvalidRows, match="write the table whole first"):
        driver.update_delta("hosts", [["a", 1]])
    driver.update_entire_data("hosts", [["a", 1]])
    assert driver.stale == {}


def test_a_write_that_cannot_be_kept_is_not_published(cage, tmp_path, monkeypatch):
    driver = push(cage, persist_path=str(tmp_path / "rows.db"))
    driver.update_entire_data("alarms", [["a", 1]])

    def full(*_args):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(rowstore, "_insert", full)
    with pytest.raises(exceptions.SourceError, match="disk is full"):
        driver.update_delta("alarms", [["b", 2]])
    assert rows(driver) == {("a", 1)}
    monkeypatch.undo()
    driver.update_delta("alarms", [["b", 2]])
    assert rows(driver) == {("a", 1), ("b", 2)}


def test_writes_that_come_together_are_all_taken_in_order(cage, tmp_path):
    driver = push(cage, persist_path=str(tmp_path / "rows.db"))
    threads = [
        driver.spawn(driver.update_delta, "hosts", [[f"h{n}"]], [[f"h{n - 1}"]]) for n in range(20)
    ]
    for thread in threads:
        thread.wait()
    assert rows(driver, "hosts") == {("h19",)}


def test_a_write_in_the_service_s_own_turn_does_not_wait_for_itself(cage):
    driver = push(cage)
    driver.do(lambda: driver.update_entire_data("hosts", [["a"]]))
    wait_for(lambda: driver.state.get("hosts") == {("a",)})


def test_the_actions_are_described_for_the_api(cage):
    actions = push(cage).get_actions()["results"]
    assert [action["name"] for action in actions] == ["update_delta", "update_entire_data"]
    assert json.dumps(actions)
