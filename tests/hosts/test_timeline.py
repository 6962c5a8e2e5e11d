"""The timeline: what is noted is kept, bounded, and nothing waits for its database."""

import pytest

from congress_dse import timeline
from congress_dse.chronicle import Chronicle
from congress_dse.timeline import Timeline
from tests.support import mariadb, postgres


def noted(number, kind="k"):
    about = {"node": "", "worker": "w", "subject": "s", "level": "info"}
    return {"at": 1000.0 + number, "kind": kind, "text": str(number), **about}


def texts(events):
    return [int(event["text"]) for event in events]


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def line(request, tmp_path):
    """A timeline in an empty database of each kind that is at hand."""
    if request.param == "sqlite":
        yield Timeline(f"sqlite:///{tmp_path}/deep/er/db", "here")
    elif request.param == "postgresql":
        with postgres.schema() as server:
            yield Timeline(server.url, "here")
    else:
        with mariadb.database() as server:
            yield Timeline(server.url.replace("mysql:", "mysql+pymysql:"), "here")


def test_events_are_read_newest_first_by_pages_and_by_kind(line):
    assert line.read(10) == []
    line.write([noted(n) for n in range(3)])
    line.write([noted(n, "other") for n in range(3, 5)])
    every = line.read(10)
    assert texts(every) == [4, 3, 2, 1, 0]
    assert (every[0]["node"], every[0]["at"]) == ("here", "1970-01-01T00:16:44.000+00:00")
    page = line.read(2)
    assert texts(line.read(2, before=page[-1]["id"])) == [2, 1]
    assert texts(line.read(10, kind="other")) == [4, 3]


def test_the_oldest_give_way(line, monkeypatch):
    monkeypatch.setattr(timeline, "KEPT", 50)
    monkeypatch.setattr(timeline, "TRIM_EVERY", 20)
    for begin in range(0, 200, 10):
        line.write([noted(n) for n in range(begin, begin + 10)])
    kept = texts(line.read(1000))
    assert kept[0] == 199
    assert 50 <= len(kept) <= 70


def test_what_is_noted_is_written_in_its_order(tmp_path):
    chronicle = Chronicle(f"sqlite:///{tmp_path}/db", "node")
    for number in range(500):
        chronicle.note({"kind": "k", "subject": "s", "text": str(number)})
    chronicle.close(30)
    assert texts(Timeline(f"sqlite:///{tmp_path}/db").read(1000)) == list(range(500))[::-1]


def test_a_database_that_cannot_be_written_is_a_warning_and_holds_up_nobody(tmp_path, caplog):
    (tmp_path / "file").write_text("no directory")
    chronicle = Chronicle(f"sqlite:///{tmp_path}/file/db", "node")
    for number in range(100):
        chronicle.note({"kind": "k", "subject": "s", "text": str(number)})
    chronicle.close(30)
    assert "are not kept: " in caplog.text


def test_an_event_is_cut_to_what_the_database_takes(tmp_path):
    chronicle = Chronicle(f"sqlite:///{tmp_path}/db", "node")
    chronicle.note({"kind": "k" * 999, "subject": "s" * 999, "text": "t" * 99_999})
    chronicle.close(30)
    (event,) = Timeline(f"sqlite:///{tmp_path}/db").read(1)
    assert [len(event[k]) for k in ("kind", "subject", "text")] == [64, 255, 4000]
