"""A link to RabbitMQ: what it promises while the broker is well."""

import logging
import re
import socket
import time
from contextlib import suppress

import pytest
import trustme

from congress_dse import exceptions
from congress_dse.links.broker import Broker
from congress_dse.runtime import chosen as runtime
from tests.links.nodes import Node, joined
from tests.support.engine import wait_for
from tests.support.fault_proxy import FaultProxy
from tests.support.rabbit import RabbitNode, free_ports

pytestmark = [pytest.mark.rabbit, pytest.mark.timeout(180)]

native = runtime.unpatched("threading")


def block_hub(seconds):
    """As a C library does that waits and knows of no hub."""
    native.Event().wait(seconds)


def test_messages_reach_whoever_bound_their_key(rabbit_node):
    with joined(rabbit_node.url, "ada", "bob") as (ada, bob):
        bob.broker.bind("tables.*.hosts")
        ada.broker.bind("tables.#")
        wait_for(lambda: ada.broker.publish("tables.x.hosts", b"1") and len(bob.got) > 0)
        bob.got.clear()
        bob.broker.unbind("tables.*.hosts")
        ada.broker.publish("tables.x.disks", b"2")
        wait_for(lambda: (b"2", "tables.x.disks") in ada.got)
        assert (b"2", "tables.x.disks") not in bob.got


def test_a_binding_stands_before_what_is_published_after_it(rabbit_node):
    with joined(rabbit_node.url, "ada") as ada:
        for number in range(1500):
            ada.broker.bind(f"key.{number}")
            assert ada.broker.publish(f"key.{number}", str(number).encode())
        wait_for(lambda: len(ada.got) >= 1500)
        assert ada.bodies == list(range(1500))
        assert ada.broker.statistics().bindings == 1501  # its probe's among them


def test_no_more_is_handed_up_than_is_handled(rabbit_node):
    with joined(rabbit_node.url, "ada", "bob", prefetch=10) as (ada, bob):
        ada.hold = True
        ada.broker.bind("n")
        wait_for(lambda: ada.broker.publish("n", b"0") and ada.got)  # the binding stands
        for number in range(100):
            assert bob.broker.publish("n", str(number).encode())
        wait_for(lambda: bob.broker.statistics().confirmed >= 100)
        wait_for(lambda: len(ada.got) == 10)
        assert ada.broker.statistics().unhandled == 10
        ada.broker.done(4)
        wait_for(lambda: len(ada.got) == 14)
        assert ada.state == "up"


def test_a_receiver_that_holds_all_it_may_have_is_no_reason_to_connect_again(rabbit_node):
    with joined(rabbit_node.url, "ada", prefetch=5, probe_limit_s=1) as ada:
        ada.hold = True
        ada.broker.bind("n")
        for number in range(50):
            ada.broker.publish("n", str(number).encode())
        wait_for(lambda: len(ada.got) == 5)
        block_hub(3)
        assert ada.states == ["up"]
        ada.hold = False
        ada.broker.done(5)
        wait_for(lambda: len(ada.got) == 50)
        assert ada.bodies == list(range(50))


def test_a_blocked_hub_loses_neither_connection_nor_messages(rabbit_node):
    with joined(rabbit_node.url, "ada", "bob") as (ada, bob):
        ada.broker.bind("n")
        wait_for(lambda: bob.broker.publish("n", b"-1") and ada.got)
        before = len(rabbit_node.ctl("list_connections", "pid").splitlines())
        bob.broker.publish("n", b"1")
        block_hub(8)  # four heartbeats
        assert rabbit_node.ctl("list_connections", "pid").count("\n") == before
        for node in (ada, bob):
            assert node.states == ["up"]
            assert node.broker.statistics().probe_age_s < 2
        bob.broker.publish("n", b"2")
        wait_for(lambda: ada.bodies[-2:] == [1, 2])


def test_a_full_outbox_refuses_and_tells_when_there_is_room(rabbit_node):
    with FaultProxy(rabbit_node.port) as proxy:
        url = f"rabbit://guest:guest@127.0.0.1:{proxy.port}/"
        with joined(url, "ada", outbox=100) as ada:
            proxy.hole()
            taken = [ada.broker.publish("nobody", b"x") for _ in range(200)]
            assert taken == [True] * 100 + [False] * 100
            assert ada.broker.statistics().refused == 100
            proxy.heal()
            wait_for(lambda: ada.room == 1)
            wait_for(lambda: ada.broker.statistics().outbox == 0)
            assert ada.broker.publish("nobody", b"x")


def test_bytes_are_bounded_too_and_a_message_no_broker_takes_is_refused_by_name():
    node = Node("rabbit://127.0.0.1:1/", "ada", outbox_b=1000)
    assert node.broker.publish("n", b"x" * 900)
    assert not node.broker.publish("n", b"x" * 200)
    with pytest.raises(exceptions.MessageTooLarge, match=r"'big.one' has 16000001 bytes"):
        node.broker.publish("big.one", b"x" * 16_000_001)
    with pytest.raises(exceptions.InvalidKey, match="longer than 255 bytes"):
        node.broker.bind("é" * 128)
    node.broker.close(0)
    assert node.states == ["closed"]


def test_large_messages_come_whole(rabbit_node):
    with joined(rabbit_node.url, "ada") as ada:
        ada.broker.bind("big")
        body = bytes(range(256)) * 20_000
        ada.broker.publish("big", body)
        ada.broker.publish("big", b"")
        wait_for(lambda: len(ada.got) == 2)
        assert [one for one, _ in ada.got] == [body, b""]


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("rabbit://guest:s3cret@127.0.0.1:{}/", "403 .*ACCESS_REFUSED"),
        ("rabbit://guest:guest@127.0.0.1:{}/nowhere", "530 .*vhost nowhere not found"),
    ],
)
def test_who_is_not_let_in_learns_why_and_no_password_is_told(rabbit_node, caplog, url, error):
    caplog.set_level(logging.DEBUG)
    with joined(url.format(rabbit_node.port), "ada", up=False) as ada:
        wait_for(lambda: ada.state == "down")
        wait_for(lambda: ada.broker.statistics().last_error)
        statistics = ada.broker.statistics()
        assert re.search(error, statistics.last_error)
        told = [record for record in caplog.records if "no broker" in record.getMessage()]
        assert [record.levelname for record in told][:1] == ["WARNING"]
        assert "s3cret" not in f"{statistics} {ada.broker.url!r} {caplog.text}"
    # The same cause again and again is told once.
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


def test_the_next_host_serves_when_the_first_is_dead(rabbit_node):
    dead, *_ = free_ports(1)
    hosts = f"guest:guest@127.0.0.1:{dead},guest:guest@127.0.0.1:{rabbit_node.port}"
    with joined(f"rabbit://{hosts}/", "ada") as ada:
        assert ada.broker.statistics().host == f"127.0.0.1:{rabbit_node.port}"
        assert ada.states == ["down", "up"]


def test_a_port_that_speaks_something_else_is_named_and_tried_again(caplog):
    sockets = runtime.unpatched("socket")
    with sockets.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def babble():
            with suppress(OSError):  # the end of the test
                while True:
                    one, _ = server.accept()
                    with one, suppress(OSError):
                        one.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)

        babbler = native.Thread(target=babble, daemon=True)  # it waits and knows of no hub
        babbler.start()
        with joined(f"rabbit://127.0.0.1:{port}/", "ada", up=False) as ada:
            wait_for(lambda: ada.state == "down")
            assert "no AMQP" in ada.broker.statistics().last_error
        server.shutdown(socket.SHUT_RDWR)
        babbler.join()
    assert "Traceback" not in caplog.text


def test_a_node_that_leaves_has_its_messages_sent_and_takes_its_queue_along(rabbit_node):
    with joined(rabbit_node.url, "bob") as bob:
        bob.broker.bind("n")
        wait_for(lambda: bob.broker.publish("n", b"0") and bob.got)
        with joined(rabbit_node.url, "ada") as ada:
            for number in range(1, 2001):
                ada.broker.publish("n", str(number).encode())
        wait_for(lambda: bob.bodies[-1] == 2000)
        wait_for(lambda: "congress_dse.ada" not in rabbit_node.ctl("list_queues", "name"))


def test_a_new_life_of_a_node_does_not_get_what_was_meant_for_the_one_before(rabbit_node):
    with joined(rabbit_node.url, "bob") as bob, FaultProxy(rabbit_node.port) as proxy:
        url = f"rabbit://guest:guest@127.0.0.1:{proxy.port}/"
        dead = Node(url, "ada")
        dead.broker.bind("old")
        dead.broker.start()
        wait_for(lambda: dead.state == "up")
        proxy.hole()
        bob.broker.publish("old", b"1")
        wait_for(lambda: bob.broker.statistics().confirmed == 1)
        with joined(rabbit_node.url, "ada") as ada:
            ada.broker.bind("new")
            bob.broker.publish("old", b"2")
            wait_for(lambda: bob.broker.publish("new", b"3") and ada.got)
            assert {key for _, key in ada.got} == {"new"}
        dead.broker.close(0)
        wait_for(lambda: dead.state == "closed")


def test_two_nodes_of_one_name_are_told(rabbit_node, caplog):
    with joined(rabbit_node.url, "ada", up=False), joined(rabbit_node.url, "ada", up=False):
        wait_for(lambda: "another node has the same name" in caplog.text)
        assert "congress_dse.ada" in caplog.text


def test_tls(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = authority.issue_cert("localhost")
    server.private_key_pem.write_to_path(tmp_path / "key.pem")
    server.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    port, *_ = free_ports(1)
    settings = (
        f"listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {tmp_path}/ca.pem\n"
        f"ssl_options.certfile = {tmp_path}/cert.pem\nssl_options.keyfile = {tmp_path}/key.pem\n"
    )
    with RabbitNode(tmp_path / "node", settings):
        url = f"rabbit://guest:guest@localhost:{port}/?ssl=1"
        with joined(f"{url}&ssl_ca_file={tmp_path}/ca.pem", "ada") as ada:
            ada.broker.bind("n")
            for number in range(3000):
                ada.broker.publish("n", str(number).encode() + b" " * 5000)
            wait_for(lambda: len(ada.got) == 3000)
            assert ada.bodies == list(range(3000))
        with joined(url, "bob", up=False) as bob:
            wait_for(lambda: bob.state == "down")
            assert "CERTIFICATE_VERIFY_FAILED" in bob.broker.statistics().last_error
        wrong = url.replace("localhost", "127.0.0.1") + f"&ssl_ca_file={tmp_path}/ca.pem"
        with joined(wrong, "eve", up=False) as eve:
            wait_for(lambda: eve.state == "down")
            assert "CERTIFICATE_VERIFY_FAILED" in eve.broker.statistics().last_error


def test_tls_files_that_are_none_are_a_fault_of_the_configuration(tmp_path):
    with pytest.raises(exceptions.ConfigError, match=r"ca_file='/nowhere'.*No such file"):
        Node("rabbit://h/?ssl_ca_file=/nowhere", "ada")
    (tmp_path / "ca").write_text("no certificate")
    with pytest.raises(exceptions.ConfigError, match="cannot be used"):
        Node(f"rabbit://h/?ssl_ca_file={tmp_path}/ca", "ada")


def test_a_link_that_waits_for_a_silent_broker_leaves_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        node = Node(f"rabbit://127.0.0.1:{silent.getsockname()[1]}/", "ada", handshake_s=60)
        node.broker.publish("n", b"x")
        node.broker.start()
        taken, _ = silent.accept()
        node.broker.close(0.2)
        wait_for(lambda: node.states == ["down", "closed"], within_s=3)
        taken.close()


def test_a_receiver_that_raises_is_logged_and_the_link_goes_on(rabbit_node, caplog):
    def fail(body, _key):
        raise ValueError(body.decode())

    got = []
    broker = Broker(
        rabbit_node.url,
        name="ada",
        unpatched=runtime.unpatched,
        on_message=fail,
        on_state=got.append,
    )
    broker.bind("n")
    broker.publish("n", b"first")
    broker.publish("n", b"second")
    broker.start()
    wait_for(lambda: broker.statistics().failed == 2)
    assert broker.statistics().unhandled == 0
    assert "ValueError: second" in caplog.text
    broker.close(5)
    wait_for(lambda: got[-1:] == ["closed"])
    assert broker.join(5)
    assert got == ["up", "closed"]


def test_an_idle_link_costs_next_to_nothing(rabbit_node):
    with joined(rabbit_node.url, "ada", "bob", probe_s=2):
        begun = time.process_time()
        block_hub(4)
        assert time.process_time() - begun < 0.2
