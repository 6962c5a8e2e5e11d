"""The published client of Congress, unmodified, against this engine: its commands, its library."""

import json
import os
import subprocess
import sys

import pytest
from keystoneauth1 import noauth, session

from .harness import ROOT, wait_for

client = pytest.importorskip(
    "congressclient.v1.client", reason="python-congressclient is not installed"
)
pytest.importorskip("openstackclient", reason="python-openstackclient is not installed")

MAIN = ROOT / "congress_dse" / "__main__.py"
TOKENS = "ada:open-sesame\nbob:a-window:reader\n"


@pytest.fixture
def openstack(start, tmp_path):
    """Start an engine; what ``openstack congress ...`` printed, as JSON, or its error."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "t.csv").write_text("name,cpus\nhv1,64\n")
    (tmp_path / "tokens").write_text(TOKENS)
    (tmp_path / "tokens").chmod(0o600)

    def begin(options="", **environment):
        conf = tmp_path / "engine.conf"
        conf.write_text(
            f"[processes]\nworkers = 1\ncontrol_socket = {tmp_path / 'control'}\n"
            f"[api]\nbind_port = 0\napi_workers = 1\n{options.format(folder=tmp_path)}"
            f"[database]\nconnection = sqlite:///{tmp_path}/db\n"
            f"[datasource:files]\ndriver = file\npath = {tmp_path / 'tables'}\npoll_time = 0.2\n"
        )
        app = start(MAIN, "serve", "--config-file", conf)
        port = app.line(r"the API is at http://127.0.0.1:(\d+)", 60)[1]
        app.ready(2, timeout_s=60)
        base = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        base |= {"OS_ENDPOINT": f"http://127.0.0.1:{port}", "OS_AUTH_TYPE": "none", **environment}

        def run(*words, form="json", code=0, **more):
            command = [sys.executable, "-W", "ignore", "-c", CLIENT, "congress", *words]
            command += ["-f", form] if form else []
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                env={**base, **more},
                timeout=120,
                check=False,
            )
            assert done.returncode == code, done.stdout + done.stderr
            if code:
                return done.stderr
            return json.loads(done.stdout) if form == "json" else done.stdout

        run.port = port
        return run

    return begin


CLIENT = "import sys; from openstackclient.shell import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.timeout(300)
def test_the_commands_of_the_client(openstack):
    run = openstack()
    assert [d["name"] for d in run("datasource", "list")] == ["files"]
    assert {"push", "file", "host"} <= {d["id"] for d in run("driver", "list")}
    made = run("datasource", "create", "push", "given", "--config", "tables=alarms(id,severity)")
    assert made["name"] == "given"
    columns = run("datasource", "table", "schema", "show", "given", "alarms")
    assert [c["name"] for c in columns] == ["id", "severity"]
    rows = wait_for(lambda: run("datasource", "row", "list", "files", "t"), 60)
    assert [list(row.values()) for row in rows] == [["hv1", "64"]]
    run("datasource", "request-refresh", "files", form="")
    run("datasource", "delete", "given", form="")
    assert "404" in run("datasource", "status", "show", "given", code=1)


@pytest.mark.timeout(300)
def test_the_client_with_a_token(openstack):
    token = {"OS_AUTH_TYPE": "admin_token", "OS_TOKEN": "open-sesame"}
    run = openstack(options="auth = token\ntokens_file = {folder}/tokens\n", **token)
    assert [d["name"] for d in run("datasource", "list")] == ["files"]
    assert "403" in run("datasource", "delete", "files", form="", code=1, OS_TOKEN="a-window")


@pytest.mark.timeout(300)
def test_the_library_of_the_client(openstack):
    run = openstack()
    endpoint = f"http://127.0.0.1:{run.port}"
    congress = client.Client(
        session=session.Session(auth=noauth.NoAuth(endpoint=endpoint)),
        auth=None,
        endpoint_override=endpoint,
        region_name="",
    )
    made = congress.create_datasource(
        {"name": "given", "driver": "push", "config": {"tables": "alarms(id,severity)"}}
    )
    rows = [["a1", "low"], ["a2", "high"]]
    congress.update_datasource_rows(made["id"], "alarms", rows)
    found = congress.list_datasource_rows("given", "alarms")["results"]
    assert sorted(row["data"] for row in found) == rows
    assert congress.list_datasource_status("given")["number_of_updates"] == "1"
    assert congress.show_datasource_table("given", "alarms") == {"id": "alarms"}
    congress.request_refresh("files", {})
    congress.delete_datasource(made["id"])
    names = [d["name"] for d in congress.list_datasources()["results"]]
    assert names == ["files"]
