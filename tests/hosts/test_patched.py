"""The patched standard library, for who imported it before the runtime."""

import os
import subprocess
import sys
import threading

import pytest
import trustme

# Both ends of the connection are in one process: an end that blocks the hub waits for itself.
TALK = """
import importlib, ssl, sys
first, ca, cert = sys.argv[1:]
taken = ssl.SSLContext
importlib.import_module(first)
{runtime}
from congress_dse.runtime import chosen as runtime
import socket, requests

context = taken(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion.TLSv1_2
context.maximum_version = ssl.TLSVersion.TLSv1_3
context.options |= ssl.OP_NO_COMPRESSION
context.verify_flags |= ssl.VERIFY_X509_STRICT
context.verify_mode = ssl.CERT_NONE
assert context.minimum_version == ssl.TLSVersion.TLSv1_2
assert context.options & ssl.OP_NO_COMPRESSION
context.load_cert_chain(cert)
listener = socket.create_server(("127.0.0.1", 0))

def serve():
    for _ in range(2):
        try:
            with context.wrap_socket(listener.accept()[0], server_side=True) as sock:
                sock.recv(1000)
                sock.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
        except ssl.SSLError:
            pass  # the client that did not trust

runtime.spawn(serve)
url = f"https://127.0.0.1:{{listener.getsockname()[1]}}/"
try:
    requests.get(url, timeout=30)
except requests.exceptions.SSLError as error:
    print("refused", "CERTIFICATE_VERIFY_FAILED" in str(error))
print(requests.get(url, timeout=30, verify=ca).text)
"""
RUNTIMES = {
    "engine": "import congress_dse.d6cage",
    "worker": "from congress_dse.runtime.green_worker import WorkerLoop; WorkerLoop()",
}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("first", ["requests", "json"])
def test_tls_works_and_blocks_nobody_whatever_was_imported_first(first, runtime, tmp_path):
    authority = trustme.CA()
    ca, cert = tmp_path / "ca.pem", tmp_path / "cert.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(cert))
    script = TALK.format(runtime=RUNTIMES[runtime])
    # In a test eventlet keeps to itself that it has left a lock as it was.
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    ran = subprocess.run(
        [sys.executable, "-c", script, first, str(ca), str(cert)],
        env=kept,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert (ran.stdout, ran.returncode) == ("refused True\nhi\n", 0), ran.stderr
    assert "not greened" not in ran.stderr


def test_a_join_that_is_late_returns():
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    thread.join(0.01)
    assert thread.is_alive()
    over.set()
    thread.join()
    assert not thread.is_alive()
