"""A real HTTP server, in a process of its own, that says what a test tells it to say."""

import json
import subprocess
import sys

# The server is a process of its own; what it is to say comes from a file, what it heard goes there.
SERVER = """
import http.server, json, ssl, sys
from urllib.parse import urlsplit
folder, cert = sys.argv[1], sys.argv[2:]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args):
        pass
    def do_GET(self):
        said = json.load(open(folder + "/answers.json"))
        with open(folder + "/heard.jsonl", "a") as heard:
            heard.write(json.dumps([self.path, dict(self.headers)]) + chr(10))
        status, headers, body = said.get(self.path, [404, {}, "{}"])
        if headers.get("ETag", 0) == self.headers.get("If-None-Match"):
            status, body = 304, ""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
server = Server(("127.0.0.1", int(cert.pop(0))), Handler)
if cert:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert[0])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


class HttpServer:
    """A server that can go down and come back at the same port."""

    def __init__(self, folder, cert=""):
        self.folder, self.cert, self.port = folder, [str(cert)] if cert else [], 0
        folder.mkdir()
        self.said = {}
        self.says()
        self.up()

    def up(self):
        run = [sys.executable, "-c", SERVER, str(self.folder), str(self.port), *self.cert]
        self.process = subprocess.Popen(run, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def down(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def says(self, path="/", body="{}", status=200, **headers):
        text = body if isinstance(body, str) else json.dumps(body)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.said[path] = [status, names, text]
        fresh = self.folder / "answers.new"
        fresh.write_text(json.dumps(self.said))
        fresh.rename(self.folder / "answers.json")

    def heard(self):
        file = self.folder / "heard.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    @property
    def url(self):
        return f"http{'s' if self.cert else ''}://127.0.0.1:{self.port}/"
