"""The API of an engine of several processes: one truth, whoever is killed or replaced."""

import http.client
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from .harness import FULL, ROOT, both_doors, posix_only, wait_for
from .load import Load, Watch

MAIN = ROOT / "congress_dse" / "__main__.py"
ROWS = "/v1/data-sources/files/tables/t/rows"
GIVEN = "/v1/data-sources/given/tables/alarms/rows"

PUSHED = "[datasource:given]\ndriver = push\ntables = alarms(id,severity)\n"


class Site:
    """An engine under test, and requests to its API, each on a connection of its own."""

    def __init__(self, app, conf, folder):
        self.app, self.conf, self.folder = app, conf, folder
        self.port = int(app.line(r"the API is at http://127.0.0.1:(\d+)")[1])

    def __call__(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            head = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), head)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def rows(self, path=ROWS):
        status, body = self("GET", path)
        return status, [row["data"] for row in body["results"]] if status == 200 else body

    def owner(self, source):
        """The pid of the worker that serves a source, as the log has it."""
        pids = {w["pid"] for w in self.app.workers("engine")}
        found = None
        for line in self.app.lines:
            _, _, names = line.partition("congress_dse.engine: serving ")
            pid = int(line.split()[3]) if names else 0
            if pid in pids and source in names.split(", "):
                found = pid
        return found


@pytest.fixture
def site(start, tmp_path):
    """Start an engine with `workers` engine workers and `api` API workers."""

    def begin(workers=2, api=2, options=""):
        folder = tmp_path / "tables"
        folder.mkdir()
        (folder / "t.csv").write_text("a\n1\n")
        conf = tmp_path / "engine.conf"
        conf.write_text(
            f"[processes]\nworkers = {workers}\ncontrol_socket = {tmp_path / 'control'}\n"
            f"[api]\nbind_port = 0\napi_workers = {api}\n"
            f"[database]\nconnection = sqlite:///{tmp_path}/db\n"
            f"[datasource:files]\ndriver = file\npath = {folder}\npoll_time = 0.1\n{options}"
        )
        app = start(MAIN, "serve", "--config-file", conf)
        app.ready(workers + api, timeout_s=60)
        made = Site(app, conf, folder)
        wait_for(lambda: made.rows() == (200, [["1"]]))
        return made

    return begin


def created(site, name="given"):
    config = {"tables": "alarms(id,severity)"}
    return site("POST", "/v1/data-sources", {"name": name, "driver": "push", "config": config})


@both_doors
def test_what_one_worker_accepted_every_worker_shows_at_once(site):
    """Each request is a connection of its own, so that any of the workers may get it."""
    engine = site(workers=2, api=3)
    for n in range(10):
        status, made = created(engine, f"given{n}")
        assert status == 201, made
        listed = engine("GET", "/v1/data-sources")[1]["results"]
        assert made["id"] in [d["id"] for d in listed]
        rows = f"/v1/data-sources/{made['id']}/tables/alarms/rows"
        for k in range(5):
            assert engine("PUT", rows, [[k, "low"]])[0] == 200
            assert engine.rows(rows) == (200, [[k, "low"]])
    for n in range(10):
        assert engine("DELETE", f"/v1/data-sources/given{n}") == (200, None)
        assert engine("GET", f"/v1/data-sources/given{n}")[0] == 404


def test_six_simultaneous_creates_of_one_name_make_one_source(site):
    engine = site(workers=2, api=3)
    for n in range(3):
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda name: created(engine, name)[0], [f"same{n}"] * 6))
        assert sorted(found) == [201, 409, 409, 409, 409, 409]


@pytest.mark.timeout(180)
def test_an_engine_worker_killed_while_clients_read_is_not_noticed(site):
    engine = site(workers=2, api=2)
    with Load(engine.port, path=ROWS) as load:
        for _ in range(10 if FULL else 3):
            victim = wait_for(lambda: engine.owner("files"))
            before = load.total
            os.kill(victim, signal.SIGKILL)
            engine.app.replaced(victim, "engine", count=2)
            wait_for(lambda before=before: load.total > before + 50, 30)
    assert load.failures == [], "\n".join(engine.app.lines[-40:])
    assert load.bodies == {'{"results": [{"data": ["1"]}]}'}


@pytest.mark.timeout(180)
def test_what_api_workers_keep_is_not_shown_after_the_engine_worker_died(site):
    """The next life of a source counts its versions anew, and so comes to the same numbers."""
    engine = site(workers=1, api=2, options=PUSHED)
    assert engine("PUT", GIVEN, [["before", "low"]])[0] == 200
    for _ in range(10):  # each a connection, so that both API workers keep it
        assert engine.rows(GIVEN) == (200, [["before", "low"]])
    victim = wait_for(lambda: engine.owner("given"))
    os.kill(victim, signal.SIGKILL)
    assert engine("PUT", GIVEN, [["after", "low"]])[0] in {200, 503}
    wait_for(lambda: engine("PUT", GIVEN, [["after", "low"]])[0] == 200)
    for _ in range(10):
        assert engine.rows(GIVEN) == (200, [["after", "low"]])


@pytest.mark.timeout(180)
def test_an_api_worker_killed_while_clients_read_costs_a_connection_and_no_answer(site):
    """A request whose connection was reset is sent again, as clients do, and is answered."""
    engine = site(workers=2, api=2)
    with Load(engine.port, path=ROWS, again=True) as load:
        for _ in range(10 if FULL else 3):
            victim = engine.app.workers("api")[0]["pid"]
            before = load.total
            os.kill(victim, signal.SIGKILL)
            engine.app.replaced(victim, "api", count=2)
            wait_for(lambda before=before: load.total > before + 50, 30)
    assert load.failures == [], "\n".join(engine.app.lines[-40:])


@both_doors
@pytest.mark.timeout(180)
def test_reloads_under_load_fail_no_request(site):
    engine = site(workers=2, api=2)
    with Load(engine.port, path=ROWS) as load:
        for n in range(10 if FULL else 2):
            done = sum("reload done" in line for line in engine.app.lines)
            engine.app.send(signal.SIGHUP)
            if n == 1:
                engine.app.send(signal.SIGHUP)  # within 10 ms of the other
            engine.app.line("reload done", 60, count=done + 1)
        wait_for(lambda: load.total >= (5000 if FULL else 500), 120)
    assert load.failures == [], "\n".join(engine.app.lines[-40:])
    assert engine.app.stop()[0] == 0


@pytest.mark.skipif(not FULL, reason="recycling rests long between two exchanges")
@pytest.mark.timeout(300)
def test_api_workers_are_recycled_one_at_a_time_and_fail_no_request(site):
    engine = site(api=3, options="[processes]\nmax_requests = 200\n")
    with Load(engine.port, path=ROWS) as load, Watch(engine.app) as watch:
        engine.app.line("recycle", 200, count=3)
        engine.app.ready(5, timeout_s=60)
    assert load.failures == [], "\n".join(engine.app.lines[-40:])
    assert watch.least >= 4


@posix_only("the socket is handed on by its descriptor")
def test_sources_made_over_the_api_are_back_after_a_start(site, start):
    engine = site(workers=2, api=2)
    assert created(engine)[0] == 201
    assert engine("PUT", GIVEN, [["a", "low"]])[0] == 200
    code, _ = engine.app.stop()
    assert code == 0
    app = start(MAIN, "serve", "--config-file", engine.conf)
    app.ready(4)
    again = Site(app, engine.conf, engine.folder)
    names = {d["name"] for d in again("GET", "/v1/data-sources")[1]["results"]}
    assert names == {"files", "given"}
    assert again("GET", "/v1/data-sources/given/tables")[1] == {"results": [{"id": "alarms"}]}


@posix_only("signals")
def test_a_stop_ends_streams_and_answers_what_was_asked(site):
    """A follower sees the end of its stream, with an id to go on from."""
    engine = site(workers=1, api=1)
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=20)
    connection.request("GET", "/v1/data-sources/files/tables/t/events")
    response = connection.getresponse()
    assert response.status == 200
    while not response.readline().startswith(b"event: snapshot"):
        pass
    engine.app.send(signal.SIGTERM)
    text = response.read().decode()
    assert "event: end" in text
    assert "id: " in text
    assert engine.app.wait() == 0
    connection.close()
