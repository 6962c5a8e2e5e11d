"""Modules for native threads: as they were before the runtime patched them."""

import sys
import time

import pytest

from congress_dse.runtime import chosen as runtime

pytest.importorskip("amqp", reason="the extra `rabbit` is not installed")


def test_modules_use_the_systems_own_sockets_locks_and_time():
    socket, ssl = runtime.unpatched("socket"), runtime.unpatched("ssl")
    assert issubclass(ssl.SSLSocket, socket.socket)
    assert runtime.unpatched("selectors").select is runtime.unpatched("select")
    assert runtime.unpatched("time").sleep is not time.sleep
    assert runtime.unpatched("amqp.transport").socket is socket
    assert runtime.unpatched("amqp.method_framing").threading is runtime.unpatched("threading")


def test_everybody_elses_modules_stay_as_they_are():
    before = {name: module for name, module in sys.modules.items() if "original" not in name}
    amqp = runtime.unpatched("amqp")
    assert runtime.unpatched("amqp") is amqp
    after = {name: sys.modules.get(name) for name in before}
    assert after == before
    assert sys.modules["amqp"] is not amqp
    assert sys.modules["amqp"].transport.socket is sys.modules["socket"]


def test_a_native_thread_waits_while_the_hub_runs(wait_for):
    threading = runtime.unpatched("threading")
    done = []

    def work():
        runtime.unpatched("time").sleep(0.05)
        done.append(threading.get_ident())

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: done)
    thread.join()
    assert done != [threading.get_ident()]


def test_a_module_that_is_not_there_is_an_import_error():
    with pytest.raises(ImportError):
        runtime.unpatched("no_such_module")
    assert "no_such_module" not in sys.modules
