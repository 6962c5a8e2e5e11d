"""An engine with its API on a real socket, in this process, and a client of it."""

import http.client
import json as text_json
import socket
import threading

import pytest

from congress_dse import config, d6cage
from congress_dse.api.server import Api
from congress_dse.engine import Engine
from congress_dse.runtime import chosen as runtime

CONF = """
[api]
drain_timeout = 2
{api}
[database]
connection = sqlite:///{folder}/sources.sqlite
[datasource:files]
driver = file
path = {folder}/tables
poll_time = 0.1
[datasource:given]
driver = push
tables = alarms(id,severity); hosts(name)
{sources}
"""


def outside(call, *args):
    """What a client does that blocks, while the server of this process goes on in any runtime."""
    return call(*args) if runtime.PATCHED else runtime.in_thread(call, *args)


class Answer:
    """What was answered."""

    def __init__(self, response, body):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = body

    @property
    def json(self):
        return text_json.loads(self.body)

    @property
    def error(self):
        """(error_code, message) of an error in the contract's form."""
        assert set(self.json) == {"error"}
        assert set(self.json["error"]) == {"message", "error_code", "error_data"}
        return self.json["error"]["error_code"], self.json["error"]["message"]


class Client:
    """Speaks HTTP with one address, a connection for each request."""

    def __init__(self, port, context=None):
        self.port = port
        self.context = context
        self.headers = {}

    def connection(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        if self.context is not None:
            sock = socket.create_connection(("127.0.0.1", self.port), timeout=20)
            connection.sock = self.context.wrap_socket(sock, server_hostname="127.0.0.1")
        return connection

    def __call__(self, method, path, json=..., body=None, **headers):
        return outside(lambda: self.called(method, path, json, body, **headers))

    def called(self, method, path, json, body, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if json is not ...:
            body = text_json.dumps(json)
            headers.setdefault("Content-Type", "application/json")
        if not path.startswith("/") or path.startswith("/data-sources"):
            path = "/v1/" + path.lstrip("/")
        connection = self.connection()
        try:
            connection.request(method, path, body, {**self.headers, **headers})
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self("GET", path, **headers)


class Running:
    """An engine and its API, without a master."""

    def __init__(self, path, listener=None):
        self.path = str(path)
        self.requests = 0
        self.engine = Engine([self.path], {"tables": []}, lambda why: None)
        self.engine.share(0, [0])
        self.listener = listener or socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        conf = config.read([self.path])
        self.api = Api(conf, self.engine.catalogue, self.engine.cage, self.listener, self._served)
        self.api.start()
        self.client = Client(self.port)

    def _served(self):
        self.requests += 1

    def stop(self):
        self.api.stop()
        self.engine.stop()
        self.listener.close()


@pytest.fixture
def running(tmp_path):
    """Start engines with an API; ``running(api=..., sources=...)`` adds to the configuration."""
    begun = []
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "t.csv").write_text("name,cpus\nhv1,64\nhv2,32\n")

    def begin(api="", sources=""):
        path = tmp_path / "c.conf"
        path.write_text(CONF.format(folder=tmp_path, api=api, sources=sources))
        begun.append(Running(path))
        return begun[-1]

    yield begin
    for one in begun:
        one.stop()
    d6cage.delete_cage()


@pytest.fixture
def api(running):
    """A client of an engine that runs."""
    return running().client


@pytest.fixture
def wait_rows(api):
    """Wait until a table has rows; answer them."""

    def wait(path, within_s=20.0):
        end = runtime.now() + within_s
        while (answer := api.get(f"{path}/rows")).status != 200 or not answer.json["results"]:
            assert runtime.now() < end, answer.body
            runtime.sleep(0.01)
        return [row["data"] for row in answer.json["results"]]

    return wait


def at_once(*calls):
    """Make the calls at the same time; their results."""
    found = [None] * len(calls)

    def run(number):
        found[number] = calls[number]()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        outside(thread.join, 30)
    return found
