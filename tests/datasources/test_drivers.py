"""The drivers host and file, on this machine and on real files."""

import json
import os

import pytest

from congress_dse import exceptions
from congress_dse.datasources import file_driver, host_driver
from congress_dse.runtime import chosen as runtime


@pytest.fixture
def files(host, tmp_path):
    """A file driver of an empty folder; it polls when it is told to."""
    args = {"path": str(tmp_path), "poll_time": 0}
    return host.createservice("files", factory=file_driver.FileDriver, args=args)


@pytest.fixture
def polled(files, wait_for):
    def poll():
        updates = files.number_of_updates
        files.request_refresh()
        wait_for(lambda: files.number_of_updates > updates)
        return files.state

    return poll


def written(path, text, age_s=60):
    """Write a file whose last change was a while ago."""
    path.write_text(text)
    at = os.stat(path).st_mtime - age_s
    os.utime(path, (at, at))


CASES = [
    ("csv", "name,cpus\nhv1,64\n\nhv2,32\n", ("name", "cpus"), {("hv1", "64"), ("hv2", "32")}),
    ("csv", 'a\n"x,\ny"\n', ("a",), {("x,\ny",)}),
    ("csv", "a,b\n", ("a", "b"), set()),
    ("json", '[{"a": 1, "b": 2.5}, {"a": "x"}]', ("a", "b"), {(1, 2.5), ("x", "None")}),
    ("json", "[[1, true], [null, [3]]]", ("c0", "c1"), {(1, "True"), ("None", "[3]")}),
    ("json", "[1, 2]", ("c0",), {(1,), (2,)}),
    ("json", "[]", (), set()),
    ("yaml", "- {a: 1}\n- {a: {b: 2}}\n", ("a",), {(1,), ('{"b": 2}',)}),
    ("yml", "- x\n", ("c0",), {("x",)}),
    (
        "yaml",
        "- [2026-01-02, 2026-01-02T03:04:05+02:00, 2026-01-02 03:04:05]\n",
        ("c0", "c1", "c2"),
        {("2026-01-02", "2026-01-02T03:04:05+02:00", "2026-01-02T03:04:05")},
    ),
    ("yaml", "- {2026-01-02: a, 7: b, null: c}\n", ("2026-01-02", "7", "None"), {("a", "b", "c")}),
    (
        "yaml",
        "- {a: {2026-01-02: [2026-01-03 04:05:06, .nan], 1: !!set {c, b, d}}}\n",
        ("a",),
        {('{"1": ["b", "c", "d"], "2026-01-02": ["2026-01-03T04:05:06", "nan"]}',)},
    ),
]


@pytest.mark.parametrize(("kind", "text", "columns", "rows"), CASES)
def test_a_file_is_a_table(tmp_path, files, polled, kind, text, columns, rows):
    written(tmp_path / f"t.{kind}", text)
    assert polled() == {"t": rows}
    assert files.columns["t"] == columns
    assert files.pubdata["t"].get().data == rows
    assert not files.stale


BAD = [
    ("csv", ""),
    ("csv", "a,b\n1\n"),
    ("csv", 'a\n"never ended\n'),
    ("json", '[{"a": 1}'),
    ("json", '{"a": 1}'),
    ("json", "[[1], [1, 2]]"),
    ("json", "[" * 100_000),
    ("yaml", "a: [\n"),
    ("yaml", "just text\n"),
    ("yaml", "- !!python/object/apply:os.getcwd []\n"),
    ("yaml", "- {? [a, b] : c}\n"),
    ("yaml", "- &a [*a]\n"),
    ("yaml", "[" * 100_000),
]


@pytest.mark.parametrize(("kind", "text"), BAD)
def test_a_malformed_file_keeps_the_last_good_rows_and_recovers(
    tmp_path, files, polled, kind, text
):
    path, good = tmp_path / f"t.{kind}", "a\n1\n" if kind == "csv" else "[1]\n"
    written(tmp_path / "other.csv", "a\n5\n")
    written(path, good)
    rows = set(polled()["t"])
    written(path, text)
    written(tmp_path / "other.csv", "a\n66\n")
    assert polled()["t"] == rows
    assert set(files.stale) == {"t"}
    assert files.state["other"] == {("66",)}
    ((table, cause, _since),) = files.pubdata["_stale"].get().data
    assert table == "t"
    assert cause
    since = files.stale["t"].since
    polled()
    assert files.stale["t"].since == since
    written(path, good + "\n")
    assert polled()["t"] == rows
    assert not files.stale
    assert files.pubdata["_stale"].get().data == set()


def test_a_date_that_is_none_is_told_with_its_file_and_place(tmp_path, files, polled):
    written(tmp_path / "t.yaml", "- day: 2026-01-02\n- day: 2026-02-30\n")
    polled()
    cause = files.stale["t"].cause
    assert cause.startswith("t.yaml: ConstructorError: '2026-02-30' is no date: day ")
    assert "line 2" in cause


def test_a_half_written_file_waits_for_its_end(tmp_path, files, polled):
    path = tmp_path / "t.csv"
    written(path, "a\n1\n")
    polled()
    written(path, "a\n1\n2", age_s=0)
    assert polled()["t"] == {("1",)}
    assert "half written" in files.stale["t"].cause
    written(path, "a\n1\n22", age_s=60)
    assert polled()["t"] == {("1",), ("22",)}
    assert not files.stale


def test_a_change_is_seen_and_a_file_that_is_gone_leaves_an_empty_table(tmp_path, files, polled):
    path = tmp_path / "t.csv"
    written(path, "a\n1\n")
    polled()
    written(path, "a\n2\n")
    assert polled()["t"] == {("2",)}
    path.unlink()
    assert polled() == {}
    assert files.pubdata["t"].get().data == set()
    written(path, "a\n3\n")
    assert polled()["t"] == {("3",)}


def test_a_stale_table_whose_file_goes_is_stale_no_more(tmp_path, files, polled):
    path = tmp_path / "t.json"
    written(path, "[1]\n")
    polled()
    written(path, "[")
    polled()
    path.unlink()
    polled()
    assert not files.stale


def test_a_table_that_was_never_good_is_stale_no_more_when_its_file_goes(tmp_path, files, polled):
    path = tmp_path / "t.json"
    written(path, "[")
    polled()
    assert set(files.stale) == {"t"}
    path.unlink()
    polled()
    assert not files.stale


def test_what_is_no_table_is_left_alone(tmp_path, files, polled):
    for name in (".hidden.csv", "notes.txt", "t.csv~"):
        written(tmp_path / name, "a\n1\n")
    (tmp_path / "folder.csv").mkdir()
    assert polled() == {}
    assert not files.stale


def test_bytes_that_are_no_text_make_the_table_stale(tmp_path, files, polled):
    (tmp_path / "t.csv").write_bytes(b"a\n\xff\xfe\n")
    polled()
    assert set(files.stale) == {"t"}


def test_a_folder_that_is_gone_keeps_every_table(tmp_path, files, polled):
    path = tmp_path / "t.csv"
    written(path, "a\n1\n")
    polled()
    files.path = tmp_path / "gone"
    assert polled() == {"t": {("1",)}}
    assert "gone" in files.stale["*"].cause
    assert isinstance(files.last_error, exceptions.SourceError)
    files.path = tmp_path
    polled()
    assert not files.stale


def test_a_folder_that_does_not_exist_is_seen_before_the_start(tmp_path):
    assert file_driver.FileDriver.check({"path": str(tmp_path)}) == []
    assert file_driver.FileDriver.check({"path": str(tmp_path / "no")})[0][0] == "path"


def test_the_driver_host_reads_this_machine(host, wait_for):
    args = {"poll_time": 0.2}
    source = host.createservice("host", factory=host_driver.HostDriver, args=args)
    wait_for(lambda: source.number_of_updates >= 2)
    assert source.last_error is None
    assert set(source.SCHEMA) == set(source.state) | (set(source.stale) - {"*"})
    me = [row for row in source.state["processes"] if row[0] == os.getpid()]
    assert len(me) == 1
    assert len(source.state["cpus"]) == os.cpu_count()
    for table, rows in source.state.items():
        assert all(len(row) == len(source.SCHEMA[table]) for row in rows)
        assert all(type(v) in {int, float, str} for row in rows for v in row)
    json.dumps(sorted(map(str, source.get_status())))


def test_a_table_of_the_machine_that_cannot_be_read_is_stale_alone(host, wait_for, monkeypatch):
    def refused():
        raise PermissionError("not yours")

    monkeypatch.setitem(host_driver.READERS, "connections", refused)
    source = host.createservice("host", factory=host_driver.HostDriver, args={"poll_time": 3600})
    wait_for(lambda: source.number_of_updates)
    assert set(source.stale) == {"connections"}
    assert "PermissionError: not yours" in source.stale["connections"].cause
    assert "processes" in source.state
    assert runtime.NAME == "green"
