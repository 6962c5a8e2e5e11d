"""A query, a JSON endpoint and a Keystone in one engine: all live, each lost and found alone."""

import json

import pytest

pytest.importorskip("openstack", reason="the extra `openstack` is not installed")
pytest.importorskip("sqlalchemy", reason="the extra `sql` is not installed")

from tests.openstack.catalog import access
from tests.process.harness import ROOT, App, wait_for
from tests.support.http_server import HttpServer
from tests.support.postgres import HOST, PORT, schema
from tests.support.proxy import Proxy

pytestmark = pytest.mark.timeout(300)  # the first test installs Keystone where it is not

TABLES = {"shop": "orders", "web": "servers", "cloud": "projects"}
WITHIN_S = 40.0


@pytest.fixture
def database():
    """A table of orders, and the proxy before its server."""
    proxy = Proxy((HOST, PORT))
    with schema() as execute:
        execute("CREATE TABLE orders (id int, state text)", "INSERT INTO orders VALUES (1, 'new')")
        execute.proxy = proxy
        yield execute
    proxy.down()


@pytest.fixture
def web(tmp_path):
    server = HttpServer(tmp_path / "web")
    server.says("/", {"servers": [{"id": "a", "up": True}]})
    yield server
    server.down()


@pytest.fixture
def identity(keystone):
    cloud = access(keystone.admin())
    yield cloud.service("identity")
    cloud.close()


@pytest.fixture
def engine(database, web, keystone, tmp_path):
    """``congress-dse serve`` with the three, each watched."""
    url = database.url.replace(f"{HOST}:{PORT}", f"{HOST}:{database.proxy.port}")
    sections = {
        "processes": {"workers": 2, "control_socket": tmp_path / "control"},
        "datasource:shop": {
            "driver": "sql",
            "connection": url,
            "query": "orders: SELECT id, state FROM orders",
        },
        "datasource:web": {"driver": "http_json", "url": web.url, "table": "servers: servers[]"},
        "datasource:cloud": {"driver": "keystone", **keystone.admin()},
    }
    for name in TABLES:
        sections[f"datasource:{name}"] |= {"poll_time": 0.3}
    text = ""
    for name, options in sections.items():
        text += f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
    conf = tmp_path / "engine.conf"
    conf.write_text(text)
    watch = [word for pair in TABLES.items() for word in ("--watch", ":".join(pair))]
    main = ROOT / "congress_dse" / "__main__.py"
    app = App(main, "serve", "--config-file", conf, "--json", *watch, control=tmp_path / "control")
    yield Engine(app)
    app.close()


class Engine:
    """What an engine has printed of its tables."""

    def __init__(self, app):
        self.app = app

    def printed(self, source, *kinds):
        lines = [json.loads(line) for line in self.app.lines if line.startswith("{")]
        return [one for one in lines if one["source"] == source and one["kind"] in kinds]

    def rows(self, source):
        """The rows of a source's table, as its updates leave them."""
        rows = set()
        for update in self.printed(source, "snapshot", "delta"):
            if update["kind"] == "snapshot":
                rows = set()
            rows -= set(map(tuple, update["removed"]))
            rows |= set(map(tuple, update["added"]))
        return rows

    def cause(self, source):
        """Why a source is stale; None where it is not."""
        marks = self.printed(source, "stale", "fresh")
        return marks[-1]["cause"] if marks and marks[-1]["kind"] == "stale" else None

    def until(self, condition, what):
        return wait_for(condition, WITHIN_S, f"{what}: {self.app.lines[-15:]}")


@pytest.fixture
def change(database, web, identity):
    """Change what a source has, each time to something new; answers how its new row is known."""
    made = []

    def orders(mark):
        database(f"INSERT INTO orders VALUES (9, '{mark}')")

    def servers(mark):
        web.says("/", {"servers": [{"id": mark, "up": False}]})

    def projects(mark):
        made.append(identity.create_project(name=mark, domain_id="default"))

    changes = {"shop": orders, "web": servers, "cloud": projects}
    marks = iter(range(100))

    def begin(source):
        mark = f"mark-{next(marks)}"
        changes[source](mark)
        return mark

    yield begin
    for each in made:
        identity.delete_project(each)


def live(engine, change, *names):
    """Each of these sources shows a change; none of them is stale."""
    for name in names:
        mark = change(name)
        engine.until(lambda n=name, m=mark: m in str(engine.rows(n)), f"{name} follows")
        assert engine.cause(name) is None


def test_each_of_three_sources_is_lost_and_found_while_the_others_go_on(
    engine, change, database, web, keystone
):
    losses = {
        "shop": (database.proxy.down, database.proxy.up, "refused"),
        "web": (web.down, web.up, "refused"),
        "cloud": (
            lambda: keystone.kill("keystone"),
            lambda: keystone.start("keystone"),
            "unable to establish connection",
        ),
    }
    for name in TABLES:
        engine.until(lambda n=name: engine.rows(n), f"{name} is there")
    live(engine, change, *TABLES)
    for name, (lose, find, says) in losses.items():
        others = [other for other in TABLES if other != name]
        rows = engine.rows(name)
        lose()
        try:
            stale = f"{name} is stale, since: {says}"
            engine.until(lambda n=name, s=says: s in (engine.cause(n) or "").lower(), stale)
            live(engine, change, *others)
            assert engine.rows(name) == rows, "the last rows stay"
        finally:
            find()
        engine.until(lambda n=name: engine.cause(n) is None, f"{name} is back")
        live(engine, change, name, *others)
    code, _ = engine.app.stop()
    assert code == 0, engine.app.lines[-10:]
