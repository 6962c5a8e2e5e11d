"""The private RabbitMQ of the tests does what tests ask of it."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from tests.support.ports import free_ports
from tests.support.rabbit import speaks

pytestmark = [pytest.mark.rabbit, pytest.mark.timeout(180)]

HOLDER = """
import sys
from tests.support.rabbit import RabbitNode
node = RabbitNode(sys.argv[1])
node.start()
print(node.port, flush=True)
sys.stdin.read()
"""


def test_a_node_stops_serving_and_serves_again(rabbit_node):
    node = rabbit_node
    node.ctl("add_user", "ada", "lovelace")
    node.stop_app()
    assert node.running
    assert not speaks("127.0.0.1", node.port)
    node.start_app()
    assert speaks("127.0.0.1", node.port)
    node.stop()
    assert not node.running
    node.start()
    assert "ada" in node.ctl("list_users")


def test_its_connections_can_be_closed(rabbit_node):
    kombu = pytest.importorskip("kombu", reason="the extra `notifications` is not installed")
    url = rabbit_node.url.replace("rabbit://", "amqp://")
    with closing(kombu.Connection(url)) as broker:
        broker.connect()
        rabbit_node.close_all_connections("maintenance")
        with pytest.raises(broker.connection_errors, match="maintenance"):
            broker.drain_events(timeout=20)


def test_a_node_ends_with_the_process_that_started_it(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "node")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        port = int(holder.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as connection:
            os.kill(holder.pid, signal.SIGKILL)
            connection.settimeout(20)
            assert connection.recv(1) == b"", "the broker hangs up when it ends"


def test_free_ports_are_different():
    assert len(set(free_ports(20))) == 20
