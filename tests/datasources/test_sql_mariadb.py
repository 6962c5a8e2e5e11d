"""Queries on a real MariaDB become tables."""

import pytest

from congress_dse import exceptions, sources
from congress_dse.datasources.sql_driver import SqlDriver
from congress_dse.runtime import chosen as runtime
from tests.support.mariadb import HOST, PORT, database
from tests.support.proxy import Proxy

from .conftest import wait_for

SLOW = "SELECT SLEEP(60) AS s FROM orders"


@pytest.fixture
def maria():
    with database() as execute:
        execute("CREATE TABLE orders (id int PRIMARY KEY, state text, changed datetime(6))")
        execute("INSERT INTO orders VALUES (1, 'new', '2026-01-01'), (2, 'päid', '2026-01-02')")
        yield execute


@pytest.fixture
def alone(maria):
    """Makes a driver on no bus: it polls when it is told to."""

    def make(url=None, **options):
        args = {"connection": url or maria.url, **options}
        return SqlDriver("shop", args=sources.checked(SqlDriver, args, "shop"))

    return make


def polled(driver):
    driver.poll()
    assert driver.last_error is None, driver.last_error
    return driver.state


def test_values_of_mariadb_are_text_and_numbers(alone):
    query = """v: SELECT 1 AS i, CAST(2.5 AS DOUBLE) AS f, 1.50 AS n, TRUE AS b, NULL AS nothing,
        'ü:x %s' AS t, TIMESTAMP '2026-01-02 03:04:05' AS at, DATE '2026-01-02' AS day,
        TIME '12:30:00' AS clock, x'00ff' AS raw, JSON_OBJECT('a', 1) AS doc,
        18446744073709551615 AS big, '0000-00-00' AS zero"""
    driver = alone(query=query)
    assert polled(driver)["v"] == {
        (
            1, 2.5, "1.50", 1, "None", "ü:x %s", "2026-01-02T03:04:05", "2026-01-02", "12:30:00",
            "00ff", '{"a": 1}', "18446744073709551615", "0000-00-00",
        )
    }  # fmt: skip
    assert driver.schema()["v"][:3] == ("i", "f", "n")


@pytest.mark.parametrize("scheme", ["mariadb", "mysql+pymysql", "mariadb+pymysql"])
def test_a_large_result_comes_in_batches(alone, maria, scheme):
    url = maria.url.replace("mysql:", f"{scheme}:")
    driver = alone(url, query="n: SELECT seq, CONCAT('row ', seq) AS text FROM seq_1_to_20000")
    assert len(polled(driver)["n"]) == 20_000


def test_mariadb_refuses_what_a_function_writes(alone, maria):
    maria(
        "CREATE FUNCTION sly() RETURNS int BEGIN INSERT INTO orders (id) VALUES (9); RETURN 9; END"
    )
    driver = alone(query=["s: SELECT sly() AS s", "o: SELECT id FROM orders"])
    driver.poll()
    assert "READ ONLY transaction" in driver.stale["s"].cause
    assert driver.state["o"] == {(1,), (2,)}


def test_a_query_that_takes_too_long_is_cancelled_at_the_server_and_the_hub_runs(alone, maria):
    driver = alone(query=["o: SELECT id FROM orders", f"s: {SLOW}"], poll_deadline=1)
    beats = []

    def beat():
        while True:
            runtime.sleep(0.01)
            beats.append(runtime.now())

    beating = runtime.spawn(beat)
    # As in a poll, but without a poll's own deadline: the server's is what ends it.
    found = driver.blocking(driver.reader.read, ["o", "s"], {})
    beating.kill()
    assert found["o"].rows == {(1,), (2,)}
    assert isinstance(found["s"], exceptions.SourceError)
    assert "max_statement_time exceeded" in str(found["s"])
    assert len(beats) > 20
    (slow,) = maria(f"SELECT count(*) FROM information_schema.processlist WHERE info = '{SLOW}'")
    assert slow == (0,)


def test_changes_are_followed_by_time(alone, maria):
    driver = alone(
        query="orders: SELECT id, state, changed AS `whenChanged` FROM orders",
        primary_key="orders: id",
        change_column="orders: whenChanged",
        full_read_every=100,
    )
    polled(driver)
    maria("UPDATE orders SET state = 'sent', changed = now(6) WHERE id = 1")
    maria("INSERT INTO orders VALUES (3, 'late', '2020-01-01')")
    polled(driver)
    assert {row[:2] for row in driver.state["orders"]} == {(1, "sent"), (2, "päid")}


def test_a_wrong_password_is_told_and_not_shown(alone, maria, caplog):
    driver = alone(maria.url.replace("root@", "root:hunter2@"), query="o: SELECT id FROM orders")
    driver.poll()
    assert driver.stale["*"].cause.startswith("Access denied for user 'root'@")
    assert "hunter2" not in f"{driver.get_status()} {caplog.text} {driver.get_datasource_info()}"


def test_a_mariadb_that_goes_down_leaves_stale_rows_and_comes_back_by_itself(cage, maria):
    proxy = Proxy((HOST, PORT))
    args = {
        "connection": maria.url.replace(f":{PORT}", f":{proxy.port}"),
        "query": "orders: SELECT id FROM orders",
        "poll_time": 0.1,
    }
    args = sources.checked(SqlDriver, args, "shop")
    driver = cage.createservice("shop", factory=SqlDriver, args=args)
    wait_for(lambda: driver.state.get("orders") == {(1,), (2,)})
    proxy.down()
    wait_for(lambda: "*" in driver.stale)
    assert driver.state["orders"] == {(1,), (2,)}
    maria("DELETE FROM orders WHERE id = 1")
    proxy.up()
    wait_for(lambda: driver.state["orders"] == {(2,)} and not driver.stale)
    proxy.down()
