"""A small cloud on loopback: Keystone's tokens and catalog, and the lists of six services.

It speaks real HTTP and knows just what a reader asks for: discovery, lists, pages, single fields.
The objects in ``cloud.json`` were recorded from real services. Its faults are told to it: what is
refused, slow or missing.
"""

import json
import re
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from congress_dse.runtime import chosen as runtime

CATALOG = {  # type, and where it is
    "identity": ("identity", "/v3"),
    "compute": ("compute", "/compute/v2.1"),
    "network": ("network", "/network/v2.0"),
    "image": ("image", "/image/v2"),
    "block_storage": ("block-storage", "/volume/v3"),
    "baremetal": ("baremetal", "/baremetal/v1"),
}
MICROVERSIONS = {"compute": "2.90", "block_storage": "3.70", "baremetal": "1.90"}
NEVER = "2100-01-01T00:00:00.000000Z"


class Cloud:
    """A cloud that can be stopped and started again at its place."""

    def __init__(self):
        self.lists = json.loads(Path(__file__).with_name("cloud.json").read_text())
        self.tokens = set()
        self.password = "s3cret"
        self.refused = {}  # path of a list -> status
        self.missing = set()  # services that the catalog lacks
        self.delay_s = 0.0
        self.slow = {}  # path of a list -> seconds
        self.page_max = 1000
        self.requests = []  # (method, path, query)
        self.bodies = []
        self.port = 0
        self._server = None
        self.start()
        self.url = f"http://127.0.0.1:{self.port}"  # by which it is reached; in its catalog, too

    def args(self, **more):
        """The options of a driver that reads this cloud."""
        return {
            "auth_url": f"{self.url}/v3",
            "username": "reader",
            "password": self.password,
            "project_name": "admin",
            **more,
        }

    def asked(self, path):
        """How often a list was asked for."""
        return sum(p == path for _, p, _ in self.requests)

    def counted(self):
        return Counter(path for _, path, _ in self.requests)

    def start(self):
        self._server = HTTPServer(("127.0.0.1", self.port), Handler)
        self._server.cloud = self
        self.port = self._server.server_port
        self._threads = {runtime.spawn(self._accept)}

    def stop(self):
        server, self._server = self._server, None
        if server is not None:
            for thread in list(self._threads):
                thread.kill()
            server.server_close()

    def _accept(self):
        # Not serve_forever: its selector is the system's where it was imported before patching.
        while True:
            request, address = self._server.socket.accept()
            thread = runtime.spawn(self._serve, self._server, request, address)
            self._threads.add(thread)
            thread.link(self._threads.discard)

    @staticmethod
    def _serve(server, request, address):
        try:
            with suppress(OSError):
                server.finish_request(request, address)
        finally:
            server.shutdown_request(request)

    # What it answers: (status, body, headers).

    def answer(self, method, path, query, body, token):
        self.requests.append((method, path, query))
        if path == "/v3/auth/tokens":
            return self._token(body)
        for service, (_, place) in CATALOG.items():
            if path.rstrip("/") == place or (service == "identity" and path == "/"):
                return self._version(service, place)
        service, place = next((s, p) for s, (_, p) in CATALOG.items() if path.startswith(p))
        if token not in self.tokens:
            return 401, {"error": {"message": "The request you have made requires authentication."}}
        path = path[len(place) :]
        runtime.sleep(self.slow.get(path, self.delay_s))
        if path in self.refused:
            return self.refused[path], {"forbidden": {"message": f"Policy does not allow {path}"}}
        if method != "GET":
            self.bodies.append((method, path, json.loads(body or "null")))
            return 202, {}
        if path not in self.lists[service]:
            return 404, {"error": {"message": f"no {path}"}}
        return self._list(service, place, path, query)

    def _token(self, body):
        auth = json.loads(body)["auth"]["identity"]
        given = auth.get("password", {}).get("user", {}).get("password") or auth.get(
            "application_credential", {}
        ).get("secret")
        if given != self.password:
            return 401, {"error": {"message": "The request you have made requires authentication."}}
        token = f"token-{len(self.requests)}"
        self.tokens.add(token)
        catalog = [
            {
                "type": kind,
                "id": kind,
                "name": kind,
                "endpoints": [
                    {"id": kind, "interface": "public", "region": "r", "url": self.url + place}
                ],
            }
            for service, (kind, place) in CATALOG.items()
            if service not in self.missing
        ]
        about = {"catalog": catalog, "expires_at": NEVER, "issued_at": NEVER, "methods": []}
        named = {"id": "u", "name": "reader", "domain": {"id": "default", "name": "Default"}}
        about |= {"user": named, "project": named, "roles": []}
        return 201, {"token": about}, {"X-Subject-Token": token}

    def _version(self, service, place):
        about = {
            "id": "v" + re.search(r"[\d.]+$", place)[0],
            "status": "CURRENT",
            "links": [{"rel": "self", "href": self.url + place + "/"}],
        }
        if service in MICROVERSIONS:
            about |= {"version": MICROVERSIONS[service], "min_version": about["id"][1:]}
        return 200, {"version": about}

    def _list(self, service, place, path, query):
        ((key, every),) = self.lists[service][path].items()
        limit = min(int(query.get("limit", ["0"])[0]) or self.page_max, self.page_max)
        start = int(query.get("marker", ["0"])[0])
        some, end = every[start : start + limit], start + limit
        fields = [name for text in query.get("fields", []) for name in text.split(",")]
        if fields:
            some = [{name: each[name] for name in fields if name in each} for each in some]
        answer = {key: some}
        if end < len(every):
            link = f"{place}{path}?{urlencode({**query, 'marker': [end]}, doseq=True)}"
            answer |= _next(service, key, link)
        return 200, answer


def _next(service, key, link):
    """The link to the next page as each service writes it; hosts are those of its own side."""
    if service == "image":
        return {"next": link}
    if service == "identity":
        return {"links": {"next": f"http://inside.example{link}"}, "truncated": True}
    if service == "baremetal":
        return {"next": f"http://inside.example{link}"}
    return {f"{key}_links": [{"rel": "next", "href": f"http://inside.example{link}"}]}


class Handler(BaseHTTPRequestHandler):
    def handle_any(self):
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("X-Auth-Token")
        cloud = self.server.cloud
        status, answer, *more = cloud.answer(
            self.command, parts.path, parse_qs(parts.query), body, token
        )
        text = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (more[0] if more else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815

    def log_message(self, *args):
        """Say nothing."""
