"""JSON over real HTTP becomes tables: paging, marks, credentials, redirects, TLS, failure."""

import base64

import pytest
import trustme

from congress_dse import exceptions, sources
from congress_dse.datasources.http_json_driver import HttpJsonDriver
from tests.support.http_server import HttpServer

from .conftest import wait_for


@pytest.fixture
def servers(tmp_path):
    made = []

    def make(cert=""):
        made.append(HttpServer(tmp_path / f"server{len(made)}", cert))
        return made[-1]

    yield make
    for server in made:
        server.down()


@pytest.fixture
def alone():
    made = []

    def make(server, **options):
        url = options.pop("url", None) or server.url
        args = sources.checked(HttpJsonDriver, {"url": url, **options}, "web")
        made.append(HttpJsonDriver("web", args=args))
        return made[-1]

    yield make
    for driver in made:
        driver.cleanup()


def polled(driver):
    driver.poll()
    assert driver.last_error is None, driver.last_error
    return driver.state


def cause(driver):
    driver.poll()
    assert driver.last_error is not None
    return driver.describe(driver.last_error)


def test_objects_become_rows_by_jmespath(servers, alone):
    server = servers()
    server.says(
        "/", {"vms": [{"id": 1, "on": True, "at": {"host": "ü"}, "tags": ["a"]}, {"id": 2}]}
    )
    driver = alone(
        server,
        table=["vms: vms[]", "ids: vms[].{id: id}", "many: length(vms)"],
        columns="vms: id, on, host=at.host, join(',', tags || `[]`)",
    )
    assert polled(driver) == {
        "vms": {(1, "True", "ü", "a"), (2, "None", "None", "")},
        "ids": {(1,), (2,)},
        "many": {(2,)},
    }
    assert driver.schema()["vms"] == ("id", "on", "host", "join(',', tags || `[]`)")
    assert driver.schema()["ids"] == ("id",)
    assert len(server.heard()) == 1  # one page for all its tables


def test_objects_become_rows_by_a_translator_in_yaml(servers, alone):
    server = servers()
    server.says("/", {"vms": [{"id": "x", "tags": ["a", "b"], "image": {"id": "i"}}]})
    translator = """
        {translation-type: HDICT, table-name: vms, field-translators: [
          {fieldname: id, translator: {translation-type: VALUE}},
          {fieldname: image, translator: {translation-type: VALUE, extract-fn: id}},
          {fieldname: tags, translator: {translation-type: LIST, table-name: tags,
           parent-key: id, val-col: tag, translator: {translation-type: VALUE}}}]}"""
    driver = alone(server, table="vms: vms", translator=translator)
    assert polled(driver) == {"vms": {("x", "i")}, "tags": {("x", "a"), ("x", "b")}}
    assert set(driver.schema()) == {"vms", "tags"}


def test_an_unchanged_page_is_not_sent_again_and_the_table_is_kept(servers, alone):
    server = servers()
    server.says("/", [{"id": 1}], ETag='"1"')
    server.says("/plain", [{"id": 2}])
    driver = alone(server, table=["tagged: @", "plain: @"], path="plain: plain")
    before = dict(polled(driver))
    server.heard()
    after = polled(driver)
    assert all(after[table] is rows for table, rows in before.items())
    assert server.heard()[0][1]["If-None-Match"] == '"1"'
    server.says("/", [{"id": 3}], ETag='"2"')
    assert polled(driver)["tagged"] == {(3,)}


@pytest.mark.parametrize(
    ("pages", "options"),
    [
        (
            {"/": ([1, 2], '<?p=2>; rel="next"'), "/?p=2": ([3], "")},
            {"table": "n: @"},
        ),
        (
            {"/": ({"r": [1, 2], "next": "/b"}, ""), "/b": ({"r": [3], "next": None}, "")},
            {"table": "n: r", "paging": "next"},
        ),
        (
            {"/": ({"r": [1, 2], "t": "x y"}, ""), "/?marker=x+y": ({"r": [3]}, "")},
            {"table": "n: r", "paging": "next", "next": "t", "page_param": "marker"},
        ),
        (
            {"/?page=1": ([1, 2], ""), "/?page=2": ([3], ""), "/?page=3": ([], "")},
            {"table": "n: @", "paging": "page"},
        ),
        (
            {"/": ([1, 2], ""), "/?start=2": ([3], "")},
            {"table": "n: @", "paging": "offset", "page_param": "start", "page_size": 2},
        ),
    ],
)
def test_pages_are_followed(servers, alone, pages, options):
    server = servers()
    for path, (body, link) in pages.items():
        server.says(path, body, **({"Link": link} if link else {}))
    driver = alone(server, **options)
    assert polled(driver) == {"n": {(1,), (2,), (3,)}}
    assert len(server.heard()) == len(pages)


def test_pages_that_go_in_a_circle_and_too_many_of_them_fail(servers, alone):
    server = servers()
    server.says("/", [1], Link='</>; rel="next"')
    assert "in a circle" in cause(alone(server, table="n: @"))
    server.says("/?page=1", [1])
    assert "more than 1 pages (max_pages)" in cause(
        alone(server, table="n: @", paging="page", max_pages=1)
    )


@pytest.mark.parametrize(
    ("options", "header", "value"),
    [
        ({"token": "hunter2"}, "Authorization", "Bearer hunter2"),
        ({"header": "X-Key: hunter2"}, "X-Key", "hunter2"),
        (
            {"username": "me", "password": "hunter2"},
            "Authorization",
            "Basic " + base64.b64encode(b"me:hunter2").decode(),
        ),
    ],
)
def test_credentials_go_to_their_own_origin_and_to_no_other(servers, alone, options, header, value):
    server, other = servers(), servers()
    server.says("/", "", 302, Location="/here")
    server.says("/here", [1], Link=f'<{other.url}next>; rel="next"')
    other.says("/next", "", 307, Location=f"{other.url}there")
    other.says("/there", [2])
    driver = alone(server, table="n: @", **options)
    assert polled(driver) == {"n": {(1,), (2,)}}
    assert all(headers[header] == value for _, headers in server.heard())
    heard = other.heard()
    assert len(heard) == 2
    assert all(header not in headers for _, headers in heard)
    server.says("/", "hunter2", 401)
    assert "hunter2" not in cause(driver)


def test_a_user_in_the_url_is_a_credential_too(servers, alone):
    server = servers()
    server.says("/", [1])
    driver = alone(server, url=server.url.replace("//", "//me:hunter2@"), table="n: @")
    polled(driver)
    assert server.heard()[0][1]["Authorization"].startswith("Basic ")
    server.down()
    assert "hunter2" not in cause(driver)
    server.up()


@pytest.mark.parametrize(
    ("said", "options", "wrong"),
    [
        (("{}", 503), {}, "GET http://127.0.0.1:PORT/: 503 Service Unavailable"),
        (("<html>", 200), {}, "no JSON: Expecting value"),
        (('{"error": "x"}', 200), {}, "n: its JMESPath finds nothing on the page"),
        (("[" + "1," * 5000 + "1]", 200), {"max_size_mb": 0.005}, "more than 0.005 MB"),
    ],
)
def test_a_bad_answer_is_told_with_its_cause(servers, alone, said, options, wrong):
    server = servers()
    server.says("/", *said)
    driver = alone(server, table="n: list[]", **options)
    assert wrong.replace("PORT", str(server.port)) in cause(driver)


def test_redirects_are_bounded_and_lead_to_http_only(servers, alone):
    server = servers()
    server.says("/", "", 302, Location="/")
    assert "more than 3 redirects" in cause(alone(server, table="n: @", max_redirects=3))
    server.says("/", "", 302, Location="file:///etc/passwd")
    assert "which is not http(s)" in cause(alone(server, table="n: @"))


def test_tls_is_verified_unless_told_otherwise(servers, alone, tmp_path):
    authority = trustme.CA()
    ca, cert = tmp_path / "ca.pem", tmp_path / "cert.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(cert))
    server = servers(cert)
    server.says("/", [1])
    assert "certificate verify failed" in cause(alone(server, table="n: @")).lower()
    assert polled(alone(server, table="n: @", ca_file=str(ca))) == {"n": {(1,)}}


def test_all_that_is_wrong_with_the_options_is_told_at_once():
    with pytest.raises(exceptions.ConfigError) as caught:
        sources.checked(
            HttpJsonDriver,
            {
                "url": "ftp://x",
                "table": "a: [",
                "columns": ["b: id", "a: id, id"],
                "ca_file": "/nowhere.pem",
                "translator": "{table-name: t}",
            },
            "web",
        )
    options = [line.split()[1] for line in str(caught.value).splitlines() if line[:3] == "web"]
    assert options == ["url:", "translator:", "table:", "columns:", "columns:", "ca_file:"]


def test_a_server_that_goes_down_leaves_stale_rows_and_comes_back_by_itself(cage, servers):
    server = servers()
    server.says("/", [{"id": 1}])
    args = sources.checked(
        HttpJsonDriver, {"url": server.url, "table": "n: @", "poll_time": 0.1}, "web"
    )
    driver = cage.createservice("web", factory=HttpJsonDriver, args=args)
    wait_for(lambda: driver.state.get("n") == {(1,)})
    server.down()
    wait_for(lambda: "n" in driver.stale)
    assert "ECONNREFUSED" in driver.stale["n"].cause
    assert driver.state["n"] == {(1,)}
    server.says("/", [{"id": 2}])
    server.up()
    wait_for(lambda: driver.state["n"] == {(2,)} and not driver.stale)
