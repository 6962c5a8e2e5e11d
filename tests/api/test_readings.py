"""Reads that share a question, bodies that are kept; and neither may ever tell old rows."""

import socket
import sqlite3

import pytest

from congress_dse import config, store
from congress_dse.api.readings import Bodies, Body
from congress_dse.api.server import Api
from congress_dse.exceptions import ApiError, NameTaken, StoreError
from congress_dse.runtime import chosen as runtime
from congress_dse.store import Entry, Store

from .conftest import Client

ROWS = "data-sources/given/tables/alarms/rows"
WHAT = ("alarms", 0)


class Shared:
    """What the reads of an API that runs share, and one of its sources."""

    def __init__(self, one, name="given"):
        self.context = one.api._server.application.app.context
        self.readings = self.context.parts["readings"]
        self.entry = one.engine.catalogue.find(name)
        self.source = one.engine.cage.service_object(name)

    def reads(self, count=1, what=WHAT, known=None):
        """That many reads at once; what each brings is put into a list, when it comes."""
        found = []

        def read():
            try:
                found.append(self.readings.read(self.context, self.entry, what, known))
            except ApiError as error:
                found.append(error)

        for _ in range(count):
            runtime.spawn(read)
        return found

    def open(self):
        """How many questions are open."""
        return sum(self.readings._open.values())


def held_up(source):
    """Have the source stand still; the call that lets it go on."""
    begun, over = runtime.Waiter(), runtime.Waiter()

    def stand():
        begun.send()
        over.wait()

    source.do(stand)
    begun.wait()
    return over.send


def until(condition):
    while not condition():
        runtime.sleep(0.001)


def test_reads_at_the_same_time_are_one_question_and_later_ones_the_next(running, monkeypatch):
    one = running()
    one.client("PUT", ROWS, json=[[1, "a"]])
    shared = Shared(one)
    source, questions, ask = shared.source, [], shared.readings._ask
    monkeypatch.setattr(shared.readings, "_ask", lambda q: questions.append(q) or ask(q))
    go_on = held_up(source)
    first = shared.reads(20)
    until(lambda: shared.open() == 1)
    later = shared.reads(20)  # the first question is under way: it is not theirs
    until(lambda: shared.open() == 2)  # nor do they wait for its answer for ever
    go_on()
    until(lambda: len(first) == len(later) == 20)
    assert len({id(reading) for reading in first}) == len({id(reading) for reading in later}) == 1
    assert first[0] is not later[0]
    assert [len(question.reads) for question in questions] == [20, 20]
    assert first[0].body() is first[7].body()


def test_each_reader_of_one_question_gets_what_he_asked_for(running):
    one = running()
    one.client("PUT", ROWS, json=[[1, "a"]])
    one.client("PUT", "data-sources/given/tables/hosts/rows", json=[["h"]])
    shared = Shared(one)
    mark = shared.readings.read(shared.context, shared.entry, WHAT, None).mark
    go_on = held_up(shared.source)
    asked = [(WHAT, None), (WHAT, mark), (("hosts", 0), None), (("no", 0), None)]
    found = [shared.reads(1, what, known) for what, known in asked]
    until(lambda: shared.open() == 1)
    go_on()
    until(lambda: all(found))
    assert found[0][0].mark == found[1][0].mark == mark
    assert found[0][0].body() == b'{"results": [{"data": [1, "a"]}]}'
    assert found[2][0].body() == b'{"results": [{"data": ["h"]}]}'
    assert found[3][0].status == 404


def test_more_tables_than_one_message_takes_are_all_read(running):
    tables = [f"t{n}" for n in range(20)]
    declared = "; ".join(f"{table}(x)" for table in tables)
    one = running(sources=f"[datasource:many]\ndriver = push\ntables = {declared}\n")
    for table in tables:
        one.client("PUT", f"data-sources/many/tables/{table}/rows", json=[[table]])
    shared = Shared(one, "many")
    found = [shared.reads(1, (table, 0)) for table in tables]
    until(lambda: all(found))
    assert [reading[0].rows for reading in found] == [[(table,)] for table in tables]


def test_whoever_asked_is_killed_and_nobody_waits_for_ever(running):
    one = running()
    shared = Shared(one)
    go_on = held_up(shared.source)
    spawned, runtime_spawn = [], runtime.spawn
    runtime.spawn = lambda *args: spawned.append(runtime_spawn(*args)) or spawned[-1]
    try:
        found = shared.reads(3)
        until(lambda: shared.open() == 1)
    finally:
        runtime.spawn = runtime_spawn
    spawned[-1].kill()
    until(lambda: len(found) == 3)
    go_on()
    assert {error.status for error in found} == {503}


def test_what_has_not_changed_is_not_encoded_again(running):
    one = running()
    one.client("PUT", ROWS, json=[[1, "a"]])
    shared = Shared(one)
    first = one.client.get(ROWS)
    kept = shared.readings.bodies.find(shared.entry.id, WHAT)
    assert kept.data == first.body
    assert shared.readings.read(shared.context, shared.entry, WHAT, None).body() is kept.data
    one.client("PUT", ROWS, json=[[2, "b"]])
    assert one.client.get(ROWS).json == {"results": [{"data": [2, "b"]}]}
    assert len(shared.readings.bodies) == 1


def test_a_read_sees_what_another_api_of_the_bus_accepted_before(running):
    """Each API keeps bodies of its own."""
    one = running()
    listener = socket.create_server(("127.0.0.1", 0))
    conf = config.read([one.path])
    other = Api(conf, one.engine.catalogue, one.engine.cage, listener, lambda: None)
    other.start()
    clients = [one.client, Client(listener.getsockname()[1])]
    try:
        for number in range(20):
            writer, reader = clients[number % 2], clients[(number + 1) % 2]
            writer("PUT", ROWS, json=[[number, "x"]])
            for client in (reader, writer, reader):
                assert client.get(ROWS).json == {"results": [{"data": [number, "x"]}]}
    finally:
        other.stop()
        listener.close()


def test_a_body_is_not_that_of_another_life_of_its_source(running):
    api = running().client
    made = {"name": "again", "driver": "push", "config": {"tables": "t(x)"}}
    rows = "data-sources/again/tables/t/rows"
    tags = set()
    for number in range(3):
        api("POST", "data-sources", json=made)
        assert api("PUT", rows, json=[[number]]).status == 200
        answer = api.get(rows)
        assert answer.json == {"results": [{"data": [number]}]}
        tags.add(answer.headers["etag"])
        assert api("DELETE", "data-sources/again").status == 200
        assert api.get(rows).status == 404
    assert len(tags) == 3
    assert len({tag.partition(".")[2] for tag in tags}) == 1, "it is the epoch that differs"


def test_the_body_of_a_source_that_restarted_is_made_anew(running):
    one = running()
    one.client("PUT", ROWS, json=[[1, "a"]])
    tag = one.client.get(ROWS).headers["etag"]
    cage = one.engine.cage
    cage.upkeep.renew("given", None)
    assert "has no data yet" in one.client.get(ROWS, If_None_Match=tag).error[1]
    assert not len(Shared(one).readings.bodies)
    one.client("PUT", ROWS, json=[[2, "b"]])
    answer = one.client.get(ROWS, If_None_Match=tag)
    assert answer.json == {"results": [{"data": [2, "b"]}]}


def test_the_first_of_many_pages_is_read_anew_since_its_order_is_the_source_s(running):
    one = running()
    one.client("PUT", ROWS, json=[[n, "x"] for n in range(10)])
    for _ in range(2):
        page = one.client.get(f"{ROWS}?limit=6").json
        rest = one.client.get(f"{ROWS}?limit=6&marker={page['marker']}").json
        found = sorted(row["data"][0] for row in page["results"] + rest["results"])
        assert found == list(range(10))
    assert not len(Shared(one).readings.bodies)


def test_kept_bodies_have_a_bound_and_the_least_used_goes():
    bodies = Bodies(10_000)
    for number in range(100):
        bodies.keep("s", (f"t{number}", 0), Body((1, 1), b"x" * 1000))
        assert bodies.find("s", ("t0", 0)) is not None
        assert bodies.held_b <= 10_000
    assert len(bodies) == 6
    assert bodies.find("s", ("t99", 0)) is not None
    bodies.keep("s", ("t0", 0), Body((1, 2), b"x" * 20_000))
    assert bodies.find("s", ("t0", 0)) is None
    for number in range(100):
        bodies.drop("s", (f"t{number}", 0))
    assert (len(bodies), bodies.held_b) == (0, 0)


def test_with_no_room_nothing_is_kept(running):
    one = running("rows_cache = 0")
    one.client("PUT", ROWS, json=[[1, "a"]])
    tag = one.client.get(ROWS).headers["etag"]
    assert one.client.get(ROWS).json == {"results": [{"data": [1, "a"]}]}
    assert one.client.get(ROWS, If_None_Match=tag).status == 304
    assert not len(Shared(one).readings.bodies)


@pytest.mark.parametrize(
    "rows", [{"cells": [1, 2, 3], "width": 2}, {"cells": [1], "width": 0}, {"cells": 5, "width": 1}]
)
def test_cells_that_are_no_rows_are_refused(running, rows):
    one = running()
    message = {"what": "write", "table": "alarms", **rows}
    answer = one.engine.cage.ask("given", "datasource", message)
    assert answer["refused"] == "bad-rows"


# The database of the sources.


@pytest.fixture
def stores(tmp_path):
    """Two of one database, as two processes have them."""
    url = f"sqlite:///{tmp_path}/db"
    return Store(url), Store(url)


def names(one):
    return [entry.name for entry in one.entries()]


def test_what_another_process_wrote_is_read_at_once(stores):
    writer, reader = stores
    assert names(reader) == []
    for number in range(30):
        name = f"s{number:02}"
        writer.add(Entry(name, name, "push"))
        assert names(reader)[-1] == name
        if number % 3 == 0:
            writer.remove(Entry(name, name, "push"))
            assert name not in names(reader)


def counted(one, monkeypatch):
    """A list to which each reading of the database adds something."""
    readings, read = [], one._read
    monkeypatch.setattr(one, "_read", lambda link: readings.append(1) or read(link))
    return readings


def test_a_file_that_nobody_touched_is_not_read_again(stores, monkeypatch):
    writer, reader = stores
    writer.add(Entry("a", "a", "push"))
    readings = counted(reader, monkeypatch)
    assert names(reader) == names(reader) == ["a"]
    assert len(readings) == 2, "a change of this moment could be followed by another one"
    monkeypatch.setattr(store, "SETTLED_NS", -(10**12))
    assert names(reader) == names(reader) == names(reader) == ["a"]
    assert len(readings) == 3
    writer.add(Entry("b", "b", "push"))
    with pytest.raises(NameTaken):
        reader.add(Entry("b", "b", "push"))
    assert names(reader) == ["a", "b"]


def test_a_file_whose_changes_go_beside_it_first_is_always_read(stores, monkeypatch, tmp_path):
    writer, reader = stores
    writer.add(Entry("a", "a", "push"))
    monkeypatch.setattr(store, "SETTLED_NS", -(10**12))
    link = sqlite3.connect(tmp_path / "db")
    try:
        link.execute("PRAGMA journal_mode = wal")
        assert names(reader) == ["a"]
        link.execute("UPDATE datasources SET name = 'b'")
        link.commit()
        assert names(reader) == ["b"]
    finally:
        link.close()


def test_all_who_wait_share_the_reading_that_begins_after_they_came(stores, monkeypatch):
    writer, reader = stores
    writer.add(Entry("a", "a", "push"))
    readings, found = counted(reader, monkeypatch), []
    with reader._one_at_a_time:
        for _ in range(10):
            runtime.spawn(lambda: found.append(names(reader)))
        until(lambda: len(reader._one_at_a_time._waiting) == 10)
        writer.add(Entry("b", "b", "push"))
    until(lambda: len(found) == 10)
    assert found == [["a", "b"]] * 10
    assert len(readings) == 1


def test_a_reading_that_failed_failed_for_all_and_the_next_may_not(stores, tmp_path):
    writer, reader = stores
    writer.add(Entry("a", "a", "push"))
    assert names(reader) == ["a"]
    kept = (tmp_path / "db").read_bytes()
    (tmp_path / "db").write_bytes(b"no database at all" * 100)
    for _ in range(2):
        with pytest.raises(StoreError):
            names(reader)
    (tmp_path / "db").write_bytes(kept)
    assert names(reader) == ["a"]
