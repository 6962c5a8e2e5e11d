"""The choice of a runtime: once, before the engine is imported, and never a wrong one."""

import os
import subprocess
import sys

import pytest

from congress_dse import exceptions
from congress_dse.runtime import choice
from tests.support import modes

without_eventlet = pytest.mark.parametrize("runtime", modes.each(["asyncio", "uvloop"]))


def python(code, **env):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        text=True,
        env={**{k: v for k, v in os.environ.items() if k != choice.VARIABLE}, **env},
        timeout=120,
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.mark.parametrize("runtime", modes.each())
def test_the_environment_says_which(runtime):
    code = "from congress_dse.runtime import chosen; print(chosen.NAME)"
    assert python(code, CONGRESS_DSE_RUNTIME=runtime)[1] == runtime


def test_green_is_the_default():
    assert python("from congress_dse.runtime import chosen; print(chosen.NAME)")[1] == "green"


def test_a_wrong_name_is_refused_with_those_there_are():
    code, _, err = python("from congress_dse import d6cage", CONGRESS_DSE_RUNTIME="gevent")
    assert code
    assert "runtime 'gevent' (of the environment variable CONGRESS_DSE_RUNTIME)" in err
    assert "green, mixed, asyncio, uvloop" in err


def test_a_second_choice_is_refused_with_who_made_the_first():
    text = "from congress_dse.runtime import choice, chosen\nchoice.choose('mixed', 'the test')"
    _, _, err = python(text)
    assert "has chosen its runtime: green, by default; mixed, by the test, comes too late" in err
    again = "from congress_dse.runtime import choice, chosen\nprint(choice.choose('green'))"
    assert python(again)[1] == "green"


@pytest.mark.parametrize("runtime", [choice.MIXED, choice.ASYNCIO])
def test_all_but_green_are_refused_where_eventlet_has_patched(runtime):
    text = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import eventlet; eventlet.monkey_patch(socket=True)\n"
        "from congress_dse.runtime import chosen"
    )
    _, _, err = python(text, CONGRESS_DSE_RUNTIME=runtime)
    assert "eventlet has patched" in err
    assert "socket" in err


def test_green_is_refused_on_the_hub_of_mixed():
    text = "from congress_dse.runtime import chosen"
    _, _, err = python(text, EVENTLET_HUB="asyncio")
    assert "eventlet's hub is that of asyncio, by EVENTLET_HUB" in err
    assert python(text, EVENTLET_HUB="poll")[0] == 0


@without_eventlet
def test_eventlet_cannot_be_imported_there_though_it_is_installed(runtime):
    text = (
        "from congress_dse.runtime import chosen\n"
        "try: from eventlet import sleep\n"
        "except ImportError as error: print(error)"
    )
    told = python(text, CONGRESS_DSE_RUNTIME=runtime)[1]
    assert told == f"eventlet would block the loop of this process: its runtime is {runtime}"


def test_a_command_tells_a_wrong_name_in_one_line():
    text = "from congress_dse import cli; raise SystemExit(cli.main(['drivers', 'list']))"
    code, _, err = python(text, CONGRESS_DSE_RUNTIME="gevent")
    assert (code, err.count("\n")) == (2, 0)
    assert err.startswith("congress-dse: runtime 'gevent'")


@without_eventlet
def test_neither_asyncio_nor_uvloop_imports_eventlet(runtime):
    text = (
        "import sys\n"
        "from congress_dse import d6cage, deepsix, engine, apinode\n"
        "from congress_dse.datasources import datasource_driver\n"
        "class Echo(deepsix.deepSix):\n"
        "    def reqhandler(self, msg): return msg.body\n"
        "cage = d6cage.d6Cage()\n"
        "cage.createservice('s', factory=Echo)\n"
        "print(cage.ask('s', 'x', 5)); cage.d6stop()\n"
        "print('eventlet' in sys.modules)"
    )
    assert python(text, CONGRESS_DSE_RUNTIME=runtime)[:2] == (0, "5\nFalse")


@pytest.mark.parametrize("runtime", modes.each(["uvloop"]))
def test_uvloop_runs_the_loop_of_that_package(runtime):
    text = (
        "from congress_dse.runtime import chosen\n"
        "async def where():\n"
        "    import asyncio; return type(asyncio.get_running_loop()).__module__\n"
        "print(chosen.finish(where()))"
    )
    assert python(text, CONGRESS_DSE_RUNTIME=runtime)[1] == "uvloop"
    code, _, err = python(text, CONGRESS_DSE_RUNTIME=runtime, CONGRESS_DSE_VIRTUAL_TIME="1")
    assert code
    assert "uvloop has no" in err


@pytest.mark.parametrize("runtime", modes.each(["uvloop"]))
def test_asyncio_takes_a_loop_of_uvloop_that_runs_already(runtime):
    """From its timers nobody is switched to, as in one of our own: what they kill ends later."""
    text = (
        "import asyncio, uvloop\n"
        "from congress_dse.runtime import chosen\n"
        "async def main():\n"
        "    loop, seen, thread = asyncio.get_running_loop(), [], chosen.spawn(chosen.sleep, 60)\n"
        "    await asyncio.sleep(0.01)\n"
        "    loop.call_later(0.001, lambda: seen.append((thread.kill(), thread.dead)))\n"
        "    while not (seen and thread.dead):\n"
        "        await asyncio.sleep(0.001)\n"
        "    print(chosen.loop() is loop, seen)\n"
        "uvloop.run(main())"
    )
    found = python(text, CONGRESS_DSE_RUNTIME="asyncio")
    assert found == (0, "True [(None, False)]", "")


def test_mixed_patches_nothing():
    text = (
        "import socket, threading, time; before = socket.socket, threading.Lock, time.sleep\n"
        "from congress_dse.runtime import chosen\n"
        "print(before == (socket.socket, threading.Lock, time.sleep))"
    )
    assert python(text, CONGRESS_DSE_RUNTIME="mixed")[1] == "True"


def test_the_environment_goes_before_the_configuration(monkeypatch):
    monkeypatch.setenv(choice.VARIABLE, "mixed")
    assert choice.configured("asyncio") == "mixed"
    monkeypatch.setenv(choice.VARIABLE, "nonsense")
    with pytest.raises(exceptions.ConfigError, match="CONGRESS_DSE_RUNTIME: 'nonsense'"):
        choice.configured("asyncio")


def test_where_eventlet_is_not_installed_it_is_asyncio(monkeypatch):
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    monkeypatch.setattr(choice, "_has", lambda library: False)
    assert choice.configured(None) == "asyncio"
    with pytest.raises(exceptions.ConfigError, match="needs eventlet, which is not installed"):
        choice.configured("green")
    with pytest.raises(exceptions.ConfigError, match=r"'congress-dse\[uvloop\]', or choose asyn"):
        choice.configured("uvloop")


PATCHED = (
    "import warnings; warnings.simplefilter('ignore')\n"
    "import importlib, sys, eventlet; eventlet.monkey_patch({how})\n"
    "{then}\n"
    "from congress_dse.runtime import chosen; print(chosen.NAME)"
)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("socket", "socket"),
        ("select", "select"),
        ("time", "sleep"),
        ("_thread", "allocate_lock"),
        ("threading", "Lock"),
        ("queue", "Queue"),
    ],
)
def test_green_is_refused_where_a_module_is_left_unpatched_and_it_is_named(module, name):
    then = f"import {module}; {module}.{name} = eventlet.patcher.original('{module}').{name}"
    code, out, err = python(PATCHED.format(how="", then=then), CONGRESS_DSE_RUNTIME="green")
    assert (code, out) == (1, "")
    assert f"ConfigError: runtime green: {module}.{name} would block the hub" in err


def test_green_is_refused_where_a_module_was_loaded_anew_after_the_patch():
    then = "import select; del sys.modules['select']; import select"
    _, _, err = python(PATCHED.format(how="", then=then), CONGRESS_DSE_RUNTIME="green")
    assert "ConfigError: runtime green: select.select would block the hub" in err


@pytest.mark.parametrize(
    ("how", "then"),
    [
        ("", ""),
        ("socket=True", ""),  # the engine patches the rest
        ("thread=False", "import threading, queue, ssl, subprocess"),
        ("", "import socket; socket.socket = type('Guarded', (socket.socket,), {})"),
        ("", "import time, unittest.mock; time.sleep = unittest.mock.Mock()"),
    ],
)
def test_green_takes_what_does_no_harm(how, then):
    code, out, err = python(PATCHED.format(how=how, then=then), CONGRESS_DSE_RUNTIME="green")
    assert (code, out) == (0, "green"), err
