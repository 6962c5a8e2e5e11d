"""Queries become tables: of SQLite files, and of a real PostgreSQL that goes and comes back."""

import datetime as dt
import sqlite3

import pytest
import sqlalchemy as sa

from congress_dse import config, exceptions, sources
from congress_dse.datasources import statements
from congress_dse.datasources.sql_driver import SqlDriver
from congress_dse.runtime import chosen as runtime
from tests.support.postgres import HOST, PORT, schema
from tests.support.proxy import Proxy

from .conftest import wait_for

# A cursor whose connection was lost at the wrong moment cannot be closed, and psycopg says so.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <function ServerCursorMixin")


def checked(**options):
    return sources.checked(SqlDriver, options, "shop")


@pytest.fixture
def alone():
    """Makes a driver on no bus: it polls when it is told to."""
    made = []

    def make(**options):
        made.append(SqlDriver("shop", args=checked(**options)))
        return made[-1]

    yield make
    for driver in made:
        driver.cleanup()


def polled(driver):
    driver.poll()
    assert driver.last_error is None, driver.last_error
    return driver.state


def stale(driver):
    return {table: held.cause for table, held in driver.stale.items()}


@pytest.fixture
def lite(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT, changed INTEGER)")
        made.execute("INSERT INTO orders VALUES (1, 'new', 10), (2, NULL, 20)")
    made.close()
    return path


def write(path, *texts):
    made = sqlite3.connect(path)
    with made:
        for text in texts:
            made.execute(text)
    made.close()


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("SELECT 1", ""),
        ("  -- all\n WITH a AS (SELECT 1) SELECT * FROM a;", ""),
        ("(SELECT 1) UNION (SELECT 2)", ""),
        ("SELECT 'drop; table', \"update\", replace(a, 'x', 'y'), created FROM t", ""),
        ("SELECT $x$ delete; $x$ AS text", ""),
        ("SELECT 1; SELECT 2", "is more than one statement"),
        ("DELETE FROM t", "begins with DELETE; allowed: SELECT, WITH, VALUES, TABLE, SHOW"),
        ("", "begins with nothing"),
        ("WITH gone AS (delete from t returning *) SELECT * FROM gone", "has the word DELETE"),
        ("SELECT * INTO copy FROM t", "has the word INTO"),
        ("SET x = 1", "begins with SET"),
    ],
)
def test_a_statement_that_writes_is_recognised(statement, wrong):
    found = statements.writes(statement)
    assert found.startswith(wrong)
    assert bool(found) == bool(wrong)


def test_all_that_is_wrong_is_told_at_once_and_no_secret_with_it():
    with pytest.raises(exceptions.ConfigError) as caught:
        checked(
            connection="nonsense hunter2",
            query=["a: DELETE FROM t", "b: SELECT 1"],
            primary_key="x: id",
            change_column="b: id",
        )
    assert str(caught.value).splitlines() == [
        "shop query: a: begins with DELETE; allowed: SELECT, WITH, VALUES, TABLE, SHOW",
        "shop primary_key: x: no query makes this table",
        "shop primary_key: b: needed with change_column",
        "shop connection: not a URL such as postgresql://user:password@host/database",
    ]


def test_a_section_of_a_file_gives_each_query_in_a_line_of_its_own(tmp_path, lite):
    file = tmp_path / "engine.conf"
    file.write_text(
        f"[datasource:shop]\ndriver = sql\nconnection = sqlite:///{lite}\n"
        "query = orders: SELECT id, state\n    FROM orders WHERE state LIKE 'n%'\n"
        "query = counted: SELECT count(*) AS many FROM orders\n"
    )
    (source,) = sources.sources(config.read([str(file)]))
    driver = source.driver("shop", args=source.args)
    assert polled(driver) == {"orders": {(1, "new")}, "counted": {(2,)}}
    assert driver.schema() == {"orders": ("id", "state"), "counted": ("many",)}


def test_queries_may_come_as_an_object_of_a_rest_client(lite, alone):
    driver = alone(connection=f"sqlite:///{lite}", query='{"orders": "SELECT id FROM orders"}')
    assert polled(driver) == {"orders": {(1,), (2,)}}


def test_a_query_that_fails_makes_its_own_table_stale_and_no_other(lite, alone):
    driver = alone(
        connection=f"sqlite:///{lite}",
        query={"orders": "SELECT * FROM orders", "gone": "SELECT * FROM gone"},
    )
    driver.poll()
    assert stale(driver) == {"gone": "no such table: gone"}
    assert driver.state["orders"] == {(1, "new", 10), (2, "None", 20)}
    write(lite, "CREATE TABLE gone (a)")
    polled(driver)
    assert stale(driver) == {}


def test_the_same_column_twice_and_too_many_rows_are_refused(lite, alone):
    driver = alone(
        connection=f"sqlite:///{lite}",
        max_rows=1,
        query={"a": "SELECT id, id FROM orders", "b": "SELECT id FROM orders"},
    )
    driver.poll()
    assert stale(driver) == {
        "a": "column id twice; rename with AS",
        "b": "more than 1 rows (max_rows)",
    }


def test_a_missing_file_is_not_made_and_one_that_comes_is_read(tmp_path, lite, alone):
    path = tmp_path / "later.db"
    driver = alone(connection=f"sqlite:///{path}", query="orders: SELECT id FROM orders")
    driver.poll()
    assert "unable to open database file" in stale(driver)["*"]
    assert not path.exists()
    lite.rename(path)
    assert polled(driver)["orders"] == {(1,), (2,)}
    assert stale(driver) == {}


def test_a_query_of_sqlite_ends_at_the_deadline_of_the_poll(lite, alone):
    forever = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
    driver = alone(connection=f"sqlite:///{lite}", query=f"c: {forever}", poll_deadline=0.3)
    driver.poll()
    assert stale(driver)
    wait_for(lambda: driver._in_thread_since is None, 5)


def test_sqlite_is_opened_so_that_nothing_can_be_written(lite, alone):
    driver = alone(connection=f"sqlite:///{lite}", query="orders: SELECT id FROM orders")
    with driver.reader.engine.connect() as connection, pytest.raises(sa.exc.OperationalError):
        connection.exec_driver_sql("DELETE FROM orders")


def test_a_poll_reads_only_what_changed_and_the_whole_every_nth_time(lite, alone):
    driver = alone(
        connection=f"sqlite:///{lite}",
        query="orders: SELECT * FROM orders",
        primary_key="orders: id",
        change_column="orders: changed",
        full_read_every=3,
    )
    polled(driver)
    first = driver.state["orders"]
    write(lite, "DELETE FROM orders WHERE id = 1", "INSERT INTO orders VALUES (3, 'old', 5)")
    polled(driver)
    assert driver.state["orders"] is first  # neither is newer: nothing was read but the newest
    write(lite, "UPDATE orders SET state = 'paid', changed = 30 WHERE id = 2")
    polled(driver)
    assert driver.state["orders"] == {(1, "new", 10), (2, "paid", 30)}
    polled(driver)
    assert driver.state["orders"] == {(2, "paid", 30), (3, "old", 5)}


# A real PostgreSQL.


@pytest.fixture
def postgres():
    """A schema of its own: a function that executes in it, and its URL."""
    with schema() as execute:
        execute("CREATE TABLE orders (id int PRIMARY KEY, state text, changed timestamptz)")
        execute("INSERT INTO orders VALUES (1, 'new', '2026-01-01Z'), (2, 'päid', '2026-01-02Z')")
        yield execute


@pytest.fixture
def proxy():
    made = Proxy((HOST, PORT))
    yield made
    made.down()


def test_values_of_postgresql_are_text_and_numbers(postgres, alone):
    query = """v: SELECT 1 AS i, 2.5::float8 AS f, 1.50::numeric AS n, true AS b, NULL AS nothing,
        'ü:x %s' AS t, '2026-01-02T03:04:05Z'::timestamptz AT TIME ZONE 'UTC' AS at,
        '2026-01-02'::date AS day, 'NaN'::float8 AS nan, '\\x00ff'::bytea AS raw,
        '11111111-2222-3333-4444-555555555555'::uuid AS u, ARRAY[1,2] AS list,
        '{"b": 1, "a": [2]}'::jsonb AS doc, 12345678901234567890::numeric AS big"""
    (row,) = polled(alone(connection=postgres.url, query=query))["v"]
    assert row == (
        1, 2.5, "1.50", "True", "None", "ü:x %s", "2026-01-02T03:04:05", "2026-01-02", "nan",
        "00ff", "11111111-2222-3333-4444-555555555555", "[1, 2]", '{"a": [2], "b": 1}',
        "12345678901234567890",
    )  # fmt: skip


def test_postgresql_refuses_what_a_function_writes(postgres, alone):
    postgres(
        "CREATE FUNCTION sly() RETURNS int LANGUAGE sql AS "
        "'INSERT INTO orders VALUES (9) RETURNING id'"
    )
    driver = alone(connection=postgres.url, query=["s: SELECT sly()", "o: SELECT id FROM orders"])
    driver.poll()
    assert "cannot execute INSERT in a read-only transaction" in stale(driver)["s"]
    assert driver.state.get("o") == {(1,), (2,)}, stale(driver)


def test_the_hub_runs_on_while_the_database_takes_its_time(postgres, alone):
    driver = alone(connection=postgres.url, query="s: SELECT pg_sleep(1)::text AS done")
    gaps, done = [], []

    def beat():
        last = runtime.now()
        while not done:
            runtime.sleep(0.005)
            gaps.append(runtime.now() - last)
            last = runtime.now()

    beating = runtime.spawn(beat)
    polled(driver)
    done.append(True)
    beating.wait()
    assert len(gaps) > 30
    assert max(gaps) < 0.5  # a blocked hub would show the whole second


def test_a_query_that_takes_too_long_is_cancelled_at_the_server(postgres, alone):
    driver = alone(connection=postgres.url, query="s: SELECT pg_sleep(60)", poll_deadline=0.5)
    driver.poll()
    assert stale(driver)
    wait_for(lambda: driver._in_thread_since is None, 5)


def test_changes_are_followed_by_time(postgres, alone):
    driver = alone(
        connection=postgres.url,
        query='orders: SELECT id, state, changed AS "whenChanged" FROM orders',
        primary_key="orders: id",
        change_column="orders: whenChanged",
        full_read_every=100,
    )
    polled(driver)
    postgres("UPDATE orders SET state = 'sent', changed = now() WHERE id = 1")
    postgres("INSERT INTO orders VALUES (3, 'late', '2020-01-01Z')")
    polled(driver)
    assert {row[:2] for row in driver.state["orders"]} == {(1, "sent"), (2, "päid")}
    assert all(dt.datetime.fromisoformat(row[2]) for row in driver.state["orders"])


def test_a_large_result_comes_in_batches(postgres, alone):
    query = "n: SELECT n, 'row ' || n AS text FROM generate_series(1, 20000) AS n"
    assert len(polled(alone(connection=postgres.url, query=query))["n"]) == 20_000


def serve(cage, **options):
    return cage.createservice("shop", factory=SqlDriver, args=checked(**options))


def test_a_notification_has_the_tables_read_at_once(cage, postgres):
    channel = f"Changed_{postgres.schema}"
    driver = serve(
        cage,
        connection=postgres.url,
        query="orders: SELECT id FROM orders",
        listen=channel,
        poll_time=0,
    )
    wait_for(lambda: driver.listening and driver.state.get("orders") == {(1,), (2,)})
    postgres("INSERT INTO orders VALUES (3)", f'NOTIFY "{channel}"')
    wait_for(lambda: driver.state["orders"] == {(1,), (2,), (3,)})


def test_a_database_that_goes_down_leaves_stale_rows_and_comes_back_by_itself(
    cage, postgres, proxy
):
    url = postgres.url.replace(f"{HOST}:{PORT}", f"user:hunter2@{HOST}:{proxy.port}")
    url = url.replace("postgres@user:", "postgres:")
    driver = serve(
        cage,
        connection=url,
        query="orders: SELECT id FROM orders",
        listen="changed",
        poll_time=0.1,
    )
    wait_for(lambda: driver.state.get("orders") == {(1,), (2,)} and driver.listening)
    proxy.down()
    wait_for(lambda: "*" in driver.stale and not driver.listening)
    assert driver.state["orders"] == {(1,), (2,)}
    assert "hunter2" not in str(driver.get_status())
    assert str(proxy.port) in driver.stale["*"].cause or "connection" in driver.stale["*"].cause
    postgres("DELETE FROM orders WHERE id = 1")
    proxy.up()
    wait_for(lambda: driver.state["orders"] == {(2,)} and not driver.stale)
    wait_for(lambda: driver.listening)


def test_the_end_of_the_service_leaves_no_connection(cage, postgres):
    mark = postgres.schema
    url = f"{postgres.url}&application_name={mark}"
    count = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{mark}'"

    def left():
        with postgres.engine.connect() as connection:
            return connection.exec_driver_sql(count).scalar()

    driver = serve(cage, connection=url, query="o: SELECT id FROM orders", listen="c")
    wait_for(lambda: driver.state.get("o") and driver.listening)
    wait_for(lambda: left() == 1)  # the listener; the server takes a moment to see a poll end
    cage.deleteservice("shop")
    wait_for(lambda: left() == 0)
