"""Congress's API, version 1, call by call as its contract has it."""

import json
import uuid

import pytest

from .conftest import at_once

PUSH = {"name": "made", "driver": "push", "config": {"tables": "a(x,y); b(z)"}}


OWN = """
from oslo_config import cfg

from congress_dse.datasources.datasource_driver import PollingDataSourceDriver


class OwnDriver(PollingDataSourceDriver):
    OPTIONS = [cfg.StrOpt("word", secret=True), cfg.StrOpt("place")]

    def update_from_datasource(self):
        self.state["a"] = {(1,)}


def d6service(name, keys, inbox, datapath, args):
    return OwnDriver(name, keys, inbox, datapath, args)
"""


def create(api, **changes):
    return api("POST", "data-sources", json={**PUSH, **changes})


# Reaching the server.


def test_the_root_tells_the_versions(api):
    answer = api.get("/")
    (version,) = answer.json["versions"]
    assert (answer.status, version["id"], version["status"]) == (200, "v1", "CURRENT")
    link = {"rel": "self", "href": f"http://127.0.0.1:{api.port}/v1/"}
    assert version["links"] == [link]
    assert version["updated"]


@pytest.mark.parametrize("path", ["/v1", "/v1/"])
def test_the_version_tells_of_itself(api, path):
    assert api.get(path).json["version"]["id"] == "v1"


def test_a_path_of_no_version_has_several_choices(api):
    answer = api.get("/v2/data-sources")
    assert answer.status == 300
    assert answer.json["choices"][0]["id"] == "v1"


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "data-sources/", "data-sources/given/", "system/drivers/", "/v1//"]
)
def test_an_unknown_path_and_a_trailing_slash_are_not_found(api, path):
    answer = api.get(path)
    assert answer.status == 404
    assert answer.error[0] == 404


def test_every_answer_of_the_version_has_a_request_id(api):
    answers = [api.get(path) for path in ("/v1", "/v1/nothing", "data-sources")]
    ids = {answer.headers["x-openstack-request-id"] for answer in answers}
    assert len(ids) == 3
    assert all(id_.startswith("req-") and uuid.UUID(id_[4:]) for id_ in ids)


@pytest.mark.parametrize("method", ["PATCH", "PUT", "OPTIONS", "TRACE", "FOO"])
def test_an_unsupported_method_is_not_implemented(api, method):
    answer = api(method, "data-sources/given")
    assert answer.status == 501
    assert answer.error[0] == 501


@pytest.mark.parametrize("path", ["/", "/v1", "data-sources", "data-sources/given/schema"])
def test_head_works_where_get_does(api, path):
    head, get = api("HEAD", path), api.get(path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_unknown_parameters_are_ignored(api):
    assert api.get("data-sources?what=ever").status == 200


# Drivers.


def test_the_drivers(api):
    found = {d["id"]: d["description"] for d in api.get("system/drivers").json["results"]}
    assert {"file", "push", "nova"} <= set(found)
    assert all(found.values())


def test_a_driver(api):
    nova = api.get("system/drivers/nova").json
    assert nova["id"] == "nova"
    assert nova["config"]["poll_time"] == "(optional)"
    assert "password" in nova["secret"]
    assert set(nova["config"].values()) <= {"required", "(optional)"}
    servers = next(t for t in nova["tables"] if t["table_id"] == "servers")
    assert {"name", "description"} == set(servers["columns"][0])
    assert api.get("system/drivers/nothing").status == 404


# Sources.


def test_the_sources_are_those_of_the_configuration_and_those_created(api):
    create(api)
    found = {s["name"]: s for s in api.get("data-sources").json["results"]}
    assert set(found) == {"files", "given", "made"}
    assert all(
        set(s) == {"id", "name", "driver", "description", "type", "enabled", "config"}
        for s in found.values()
    )
    assert found["made"]["config"] == PUSH["config"]
    assert found["made"]["type"] is None


def test_a_source_is_found_by_name_and_by_id(api):
    made = create(api, description="my own").json
    assert api.get("data-sources/made").json == api.get(f"data-sources/{made['id']}").json == made
    assert made["description"] == "my own"
    missing = api.get("data-sources/nobody")
    assert (missing.status, missing.error[0]) == (404, 404)


def test_creating_answers_with_the_source_and_its_place(api):
    answer = create(api)
    assert answer.status == 201
    assert answer.headers["location"] == f"/v1/data-sources/{answer.json['id']}"
    assert uuid.UUID(answer.json["id"])
    assert api.get("data-sources/made/tables").json["results"] == [{"id": "a"}, {"id": "b"}]


def test_a_name_is_unique_and_so_is_an_id(api):
    assert create(api, id="mine").json["id"] == "mine"
    assert create(api).status == 409
    assert create(api, name="other", id="mine").status == 409
    assert create(api, name="given").status == 409


def test_six_simultaneous_creates_give_one_and_five_conflicts(api):
    answers = at_once(*[lambda: create(api).status] * 6)
    assert sorted(answers) == [201, 409, 409, 409, 409, 409]


RESERVED = ["d6cage", "engine.0", "local.x", "allservices", "watch"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "_a",
        "1a",
        "a-b",
        "a b",
        "a/b",
        "a'b",
        "a$b",
        "ä",
        "a" * 300,
        None,
        7,
        ["a"],
        {},
        *RESERVED,
    ],
)
def test_what_is_no_name_is_refused(api, name):
    answer = create(api, name=name)
    assert answer.status == 400
    assert "name" in answer.error[1]


@pytest.mark.parametrize("name", ["a", "a.b", "a:b", "A_9", "x" * 200])
def test_a_good_name_is_taken(api, name):
    assert create(api, name=name).status == 201
    assert api.get(f"data-sources/{name}/status").status == 200


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"driver": "nothing"}, "Invalid driver: nothing"),
        ({"driver": "../x.py"}, "Invalid driver"),
        ({"driver": None}, "driver"),
        ({"config": {}}, "Missing required config options: tables"),
        ({"config": None}, "Missing required config options: tables"),
        ({"config": {"tables": "a(x)", "b": 1, "c": 2}}, "Invalid driver options: {'b', 'c'}"),
        ({"config": "{no"}, "config"),
        ({"config": 7}, "config"),
        ({"config": {"tables": "nonsense"}}, "tables"),
        ({"driver": "host", "config": {"poll_time": "soon"}}, "poll_time"),
        ({"driver": "host", "config": {"poll_time": -1}}, "poll_time"),
        ({"driver": "host", "config": {"lazy_tables": 7}}, "lazy_tables"),
        ({"driver": "file", "config": {}}, "Missing required config options: path"),
        ({"enabled": "yes"}, "enabled"),
        ({"id": "a/b"}, "id"),
    ],
)
def test_what_a_driver_does_not_take_is_refused(api, changes, wanted):
    answer = create(api, **changes)
    assert answer.status == 400
    assert wanted in answer.error[1]
    assert api.get("data-sources/made").status == 404


@pytest.mark.parametrize("body", ["", "{", "[1]", "null", "7", '"x"', "[]", "NaN", "\xff", "{}"])
def test_a_body_that_is_no_source_is_refused(api, body):
    answer = api(
        "POST", "data-sources", body=body.encode("latin-1"), Content_Type="application/json"
    )
    assert answer.status == 400
    assert answer.error[1]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_another_type_or_charset_is_refused(api, kind):
    assert api("POST", "data-sources", json=PUSH, Content_Type=kind).status == 400


def test_a_configuration_may_come_as_text_or_not_at_all(api):
    assert create(api, config=json.dumps(PUSH["config"])).status == 201
    assert create(api, name="host", driver="host", config=None).status == 201
    no_config = {"name": "host2", "driver": "host"}
    assert api("POST", "data-sources", json=no_config).status == 201


def test_the_secrets_of_a_driver_in_a_file_are_hidden_too(running, tmp_path):
    """No installed driver knows its options; the file that the section names does."""
    file = tmp_path / "own_driver.py"
    file.write_text(OWN)
    section = f"[datasource:own]\ndriver = {file}\nword = hush-hush\nplace = here\n"
    answer = running(sources=section).client.get("data-sources/own")
    assert answer.json["config"]["word"] == "<hidden>"
    assert answer.json["config"]["place"] == "here"
    assert b"hush" not in answer.body


def test_secrets_are_hidden_wherever_a_source_is_shown(api):
    config = {"auth_url": "http://127.0.0.1:1/v3", "username": "u", "password": "sesame"}
    config |= {"project_name": "p", "poll_time": "0"}
    answer = create(api, driver="nova", config=config)
    assert answer.status == 201, answer.body
    seen = [answer, api.get("data-sources"), api.get("data-sources/made")]
    seen += [api.get("data-sources/made/status")]
    assert seen[0].json["config"]["password"] == "<hidden>"
    assert all(b"sesame" not in one.body for one in seen)


def test_deleting(api):
    made = create(api).json
    answer = api("DELETE", "data-sources/made")
    assert (answer.status, answer.json) == (200, None)
    assert api.get(f"data-sources/{made['id']}").status == 404
    again = api("DELETE", "data-sources/made")
    assert (again.status, again.error[0]) == (400, 404)
    given = api("DELETE", "data-sources/given")
    assert (given.status, "configuration" in given.error[1]) == (409, True)
    assert create(api).status == 201


# Tables.


def test_tables_schema_and_spec(api, wait_rows):
    wait_rows("data-sources/files/tables/t")
    assert api.get("data-sources/files/tables").json == {"results": [{"id": "t"}]}
    assert api.get("data-sources/files/tables/t").json == {"id": "t"}
    spec = api.get("data-sources/files/tables/t/spec").json
    columns = [{"name": "name", "description": None}, {"name": "cpus", "description": None}]
    assert spec == {"table_id": "t", "columns": columns}
    assert api.get("data-sources/files/schema").json == {"tables": [spec]}
    for path in ("", "/spec", "/rows", "/events"):
        assert api.get(f"data-sources/files/tables/no{path}").status == 404
        assert api.get(f"data-sources/nobody/tables/t{path}").status == 404
    assert api.get("data-sources/nobody/schema").status == 404
    assert api.get("data-sources/nobody/tables").status == 404


def test_the_rows_of_a_table(api, wait_rows):
    rows = wait_rows("data-sources/files/tables/t")
    assert sorted(rows) == [["hv1", "64"], ["hv2", "32"]]


def test_writing_replaces_a_table(api):
    rows = "data-sources/given/tables/alarms/rows"
    assert api.get(rows).status == 404
    answer = api("PUT", rows, json=[[1, 2], ["ä€𝄞", None], [True, 1.5], [1, 2]])
    assert (answer.status, answer.body) == (200, b"")
    found = [row["data"] for row in api.get(rows).json["results"]]
    assert sorted(map(str, found)) == sorted(map(str, [[1, 2], ["ä€𝄞", "None"], ["True", 1.5]]))
    assert "ä€𝄞".encode() in api.get(rows).body
    objects = [{"id": "x", "severity": 3}]
    assert api("PUT", rows, json=objects).status == 200
    assert api.get(rows).json == {"results": [{"data": ["x", 3]}]}
    assert api("PUT", rows, json=[]).status == 200
    assert api.get(rows).json == {"results": []}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("given/tables/nothing", [], 400),
        ("given/tables/alarms", [[1]], 400),
        ("given/tables/alarms", [[1, [2]]], 400),
        ("given/tables/alarms", {"a": 1}, 400),
        ("given/tables/alarms", "text", 400),
        ("given/tables/alarms", None, 400),
        ("given/tables/alarms", [7], 400),
        ("files/tables/t", [], 400),
        ("nobody/tables/t", [], 404),
    ],
)
def test_what_cannot_be_written_is_refused(api, path, body, status):
    answer = api("PUT", f"data-sources/{path}/rows", json=body)
    assert answer.status == status
    assert answer.error[1]


def test_a_lazy_table_is_read_once_somebody_follows_it(running):
    api = running(sources="[datasource:lazy]\ndriver = host\nlazy_tables = disks\npoll_time = 60\n")
    answer = api.client.get("data-sources/lazy/tables/disks/rows")
    assert answer.status == 400
    assert "lazy" in answer.error[1]


# Status, actions, webhooks.


def test_the_status_is_text(api, wait_rows):
    wait_rows("data-sources/files/tables/t")
    status = api.get("data-sources/files/status").json
    texts = {k: status[k] for k in ("last_updated", "last_error", "number_of_updates")}
    assert all(isinstance(text, str) for text in texts.values())
    assert (status["last_error"], status["initialized"]) == ("None", "True")
    assert int(status["number_of_updates"]) >= 1
    assert isinstance(status["subscriptions"], list)
    assert isinstance(status["subscribers"], list)
    assert api.get("data-sources/nobody/status").status == 404


def test_the_actions(api):
    found = {a["name"]: a for a in api.get("data-sources/given/actions").json["results"]}
    assert found["update_entire_data"]["args"][0] == {
        "name": "table",
        "description": "name of the table",
    }
    assert api.get("data-sources/files/actions").json == {"results": []}
    assert api.get("data-sources/nobody/actions").status == 404


@pytest.mark.parametrize("source", ["files", "given"])
@pytest.mark.parametrize("body", [None, "{}"])
def test_a_refresh(api, source, body):
    kind = {"Content_Type": "application/json"} if body else {}
    answer = api("POST", f"data-sources/{source}?action=request-refresh", body=body, **kind)
    assert (answer.status, answer.json) == (200, None)


def test_a_refresh_reads_the_source(running):
    sources = "[datasource:still]\ndriver = host\npoll_time = 0\n"
    api = running(sources=sources).client
    assert api.get("data-sources/still/tables/cpus/rows").status == 404
    api("POST", "data-sources/still?action=request-refresh")
    while api.get("data-sources/still/tables/cpus/rows").status == 404:
        pass
    assert api.get("data-sources/still/tables/cpus/rows").status == 200


def execute(api, source, body):
    return api("POST", f"data-sources/{source}?action=execute", json=body)


def test_an_action_is_executed(api, wait_rows):
    args = {"positional": ["hosts"], "named": {"objs": [["h1"]]}}
    answer = execute(api, "given", {"name": "update_entire_data", "args": args})
    assert (answer.status, answer.json) == (200, {})
    assert wait_rows("data-sources/given/tables/hosts") == [["h1"]]
    for unknown in ({"name": "nothing", "args": {}}, {"name": "nothing"}):
        assert (execute(api, "given", unknown).status, answer.json) == (200, {})


@pytest.mark.parametrize(
    ("source", "body", "code"),
    [
        ("given", {"name": "x", "args": [1]}, 1018),
        ("given", {"name": "x", "args": "text"}, 1018),
        ("given", {"name": "x", "args": {"positional": 7}}, 1018),
        ("nobody", {"name": "x", "args": {}}, 1016),
        ("given", {"args": {}}, 1016),
        ("given", [1], 1016),
        ("given", None, 1016),
    ],
)
def test_a_wrong_execution_has_its_code(api, source, body, code):
    answer = execute(api, source, body)
    assert (answer.status, answer.error[0]) == (400, code)


def test_a_post_needs_an_action_that_there_is(api):
    assert api("POST", "data-sources/given", json={}).status == 400
    assert api("POST", "data-sources/given?action=dance", json={}).status == 501
    broken = api(
        "POST", "data-sources/given?action=execute", body="{", Content_Type="application/json"
    )
    assert broken.status == 400


WEBHOOK = """
from congress_dse.datasources.datasource_driver import PushedDataSourceDriver

class Hook(PushedDataSourceDriver):
    def _webhook_handler(self, payload):
        self.tables["t"] = ("v",)
        self.update_entire_data("t", [[payload["value"]]])

def d6service(name, keys, inbox, datapath, args):
    return Hook(name, keys, inbox, datapath, args)
"""


def test_a_webhook(running, tmp_path):
    (tmp_path / "hook.py").write_text(WEBHOOK)
    api = running(sources=f"[datasource:hook]\ndriver = {tmp_path}/hook.py\n").client
    answer = api("POST", "data-sources/hook/webhook", json={"value": 7})
    assert (answer.status, answer.body) == (200, b"")
    assert api.get("data-sources/hook/tables/t/rows").json == {"results": [{"data": [7]}]}
    assert api("POST", "data-sources/hook/webhook", json={}).status == 409
    assert api("POST", "data-sources/files/webhook", json={}).status == 400
    assert api("POST", "data-sources/given/webhook", json={}).status == 400
    assert api("POST", "data-sources/nobody/webhook", json={}).status == 404
