"""What an operator has in hand: the control socket, systemd, titles, listening sockets."""

import argparse
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys

import psutil
import pytest

from congress_dse.commands import serve
from congress_dse.exceptions import ConfigError, ControlError
from congress_dse.manager import commands, control, listeners, options, posix
from congress_dse.manager.roster import EXIT_GAVE_UP
from tests.support.ports import free_ports

from .harness import PATIENCE_S, ROOT, both_doors, posix_only, wait_for


@both_doors
def test_the_commands_show_and_change_the_fleet(start, capsys):
    app = start("shop.py")
    app.ready(4)
    assert commands.status(app.control) == 0
    text = capsys.readouterr().out
    assert f"master {app.pid} running" in text
    assert "Till: 2 of 2 ready" in text
    assert commands.status(app.control, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["services"]["Stock"]["ready"] == 2
    (old,) = [w["pid"] for w in app.workers() if w["name"] == "Till.1"]
    assert commands.workers(app.control, restart="Till.1") == 0
    app.replaced(old, "Till", count=2)
    assert commands.workers(app.control, drain="Stock.0") == 0
    app.ready(1, "Stock")
    assert app.ask("status")["services"]["Stock"]["held"] == [0]
    assert commands.workers(app.control, restart="Stock.0") == 0
    app.ready(2, "Stock")
    assert commands.level(app.control, "debug") == 0
    assert "plain.py" in app.ask("stacks", name="Till.0")
    assert commands.stop(app.control) == 0
    assert app.wait() == 0
    assert not os.path.exists(app.control)
    assert commands.status(app.control) == 1
    assert f"control socket {app.control}: nobody listens" in capsys.readouterr().err


@both_doors
def test_who_asks_where_nobody_listens_is_told_so(start, tmp_path):
    path = tmp_path / "left"
    asked = pytest.raises(ControlError, match=f"{path}: nobody listens; does it run")
    with asked:
        control.ask(str(path), {"command": "status"})
    (port,) = free_ports(1)
    with contextlib.ExitStack() as left:
        if posix.UNIX:
            left.enter_context(socket.socket(socket.AF_UNIX)).bind(str(path))
        else:
            path.write_text(json.dumps({"host": "127.0.0.1", "port": port, "token": ""}))
        with asked:
            control.ask(str(path), {"command": "status"})
    with pytest.raises(ControlError, match=r"ENOTDIR|Not a directory"):
        control.ask(str(path / "below"), {"command": "status"})


@posix_only("the control socket of a Unix; the other one has test_portable")
def test_the_control_socket_is_its_owner_s_alone_and_refuses_nonsense(start):
    app = start("shop.py")
    app.ready(4)
    assert stat.S_IMODE(os.stat(app.control).st_mode) == 0o600
    with pytest.raises(ControlError, match="dance is no command"):
        app.ask("dance")
    with pytest.raises(ControlError, match="workers must be a whole number"):
        app.ask("resize", service="Till", workers="many")
    with pytest.raises(ControlError, match="Till has workers 0 to 1, not 9"):
        app.ask("restart", name="Till.9")
    with socket.socket(socket.AF_UNIX) as garbage:
        garbage.connect(app.control)
        garbage.sendall(b"\xff\xff no json\n")
        assert garbage.recv(10) == b""
    assert len(app.workers()) == 4


def test_a_second_master_does_not_take_a_control_socket_that_is_in_use(start, tmp_path):
    first = start("shop.py")
    first.ready(4)
    second = start("shop.py")
    assert second.wait() != 0
    second.line("ControlError: control socket .*in use")
    assert len(first.workers()) == 4


def test_status_is_answered_while_the_master_is_busy_with_a_hook(start, tmp_path):
    app = start("busy.py", tmp_path / "over")
    app.ready(1)
    app.send(1)
    app.line("hook begins")
    assert app.ask("status")["state"] == "running"
    (tmp_path / "over").touch()
    app.line("hook ends")


def test_titles_say_what_each_process_is(start):
    app = start("shop.py")
    app.ready(4)
    assert psutil.Process(app.pid).cmdline()[0].startswith("shop.py: master")
    titles = {psutil.Process(w["pid"]).cmdline()[0] for w in app.workers()}
    assert "shop.py: Till worker(1)" in titles


@posix_only("systemd speaks over a Unix socket")
def test_systemd_is_told_of_every_state(start, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(PATIENCE_S)
        app = start("shop.py", env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})

        def told(word):
            while not (text := systemd.recv(4096).decode()).startswith(word):
                assert text.startswith("WATCHDOG=1"), text
            return text

        assert f"MAINPID={app.pid}" in told("READY=1")
        assert told("WATCHDOG=1")
        app.send(1)
        assert "MONOTONIC_USEC=" in told("RELOADING=1")
        assert told("READY=1")
        app.line("till inherited None", count=4)
        app.send(15)
        assert told("STOPPING=1")
        assert app.wait() == 0


@posix_only("systemd hands descriptors over")
def test_a_socket_from_systemd_reaches_the_workers(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as given:
        code = (
            "import os,sys\n"
            f"os.dup2({given.fileno()}, 3)\n"
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='web')\n"
            "from congress_dse.manager.listeners import inherited\n"
            "found = inherited()\n"
            "print(found['web'].address, os.get_inheritable(3), 'LISTEN_FDS' in os.environ)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            pass_fds=[given.fileno()],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == f"{given.getsockname()} False False"


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:0",
        pytest.param("unix://{tmp}/web.sock", marks=posix_only("a Unix socket")),
        "reuse",
    ],
)
@pytest.mark.parametrize("runtime", ["plain", "green"])
def test_workers_serve_on_the_sockets_that_the_master_bound(start, tmp_path, address, runtime):
    app = start("echo.py", address.format(tmp=tmp_path), runtime)
    where = app.line(r"listens on (.*)")[1]
    app.ready(2)
    answers = set()

    def both_answered():
        if where.startswith("("):
            port = int(where.split(", ")[1].rstrip(")"))
            client = socket.create_connection(("127.0.0.1", port), timeout=5)
        else:
            client = socket.socket(socket.AF_UNIX)
            client.connect(where)
        with client:
            answers.add(client.recv(100))
        return len(answers) == 2

    wait_for(both_answered)
    # Each worker has the listed sockets and nothing else of its master's.
    for worker in app.workers():
        listening = [
            c for c in psutil.Process(worker["pid"]).net_connections("tcp") if c.status == "LISTEN"
        ]
        assert len(listening) == (0 if where.startswith("/") else 1)
    assert app.stop()[0] == 0
    assert not os.path.exists(tmp_path / "web.sock")


def test_addresses_that_cannot_be_bound_are_named():
    with pytest.raises(ConfigError, match="listener web: 'ftp://x' is no tcp://"):
        listeners.bind("web", "ftp://x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot bind tcp://127.0.0.1:{port}"):
            listeners.bind("web", f"tcp://127.0.0.1:{port}")


def test_the_unit_for_systemd_agrees_with_the_program():
    lines = (ROOT / "etc" / "congress-dse.service").read_text().splitlines()
    unit = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
    program, command, *arguments = unit["ExecStart"].split()
    assert (os.path.basename(program), command) == ("congress-dse", "serve")
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    assert parser.parse_args(arguments).config_file == ["/etc/congress-dse/congress-dse.conf"]
    assert unit["Type"] == "notify-reload"
    assert int(unit["RestartPreventExitStatus"]) == EXIT_GAVE_UP
    late = next(o for o in options.OPTIONS if o.name == "graceful_shutdown_timeout")
    assert int(unit["TimeoutStopSec"]) > late.default, "systemd's patience comes after ours"
