"""The command serve, as a process of its own on real configuration files."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _installed():
    try:
        importlib.metadata.distribution("congress-dse")
    except importlib.metadata.PackageNotFoundError:
        assert not os.environ.get("CI"), "the package has to be installed for this"
        pytest.skip("the drivers are found as entry points of the installed package")


@pytest.fixture
def conf(tmp_path):
    """Write a configuration file, of a file driver over a folder of one table by default."""
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "hosts.csv").write_text("name,cpus\nhv1,64\nhv2,32\n")

    def write(text="[datasource:files]\ndriver = file\npath = {folder}\npoll_time = 0.1\n"):
        path = tmp_path / "c.conf"
        path.write_text(text.format(folder=folder, tmp=tmp_path))
        return str(path)

    write.folder = folder
    return write


@pytest.fixture
def serve(tmp_path):
    """Start the command; whatever still runs at the end is killed."""
    begun = []
    api = tmp_path / "api.conf"
    api.write_text(f"[api]\nbind_port = 0\n[database]\nconnection = sqlite:///{tmp_path}/db\n")

    def start(*args, **kwargs):
        kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
        command = [sys.executable, "-m", "congress_dse", "serve", "--config-file", str(api), *args]
        process = subprocess.Popen(command, cwd=ROOT, text=True, **kwargs)
        begun.append(process)
        return process

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def changed(process):
    """The next update that is printed, past what is said of staleness."""
    while "added" not in (line := json.loads(process.stdout.readline())):
        pass
    return line


def ended(process):
    """The output and the log of a process that comes to its end by itself."""
    out, err = process.communicate(timeout=40)
    return out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_zero_and_says_so(serve, conf, number):
    process = serve("--config-file", conf(), "--watch", "files:hosts")
    assert "files:hosts version 1, 2 rows: " in process.stdout.readline()
    assert process.stdout.readline() == "  + hv1  64\n"
    process.send_signal(number)
    _, log = ended(process)
    assert process.returncode == 0
    assert f"stop, by {signal.Signals(number).name}" in log
    assert "stopped" in log
    assert "Traceback" not in log
    assert "killed, being late" not in log


def test_a_watch_prints_the_snapshot_and_then_each_change(serve, conf):
    process = serve("--config-file", conf(), "--watch", "files:hosts", "--json")
    first = json.loads(process.stdout.readline())
    assert (first["source"], first["table"]) == ("files", "hosts")
    assert first["added"] == [["hv1", "64"], ["hv2", "32"]]
    (conf.folder / "hosts.csv").write_text("name,cpus\nhv1,64\nhv3,8\n")
    second = json.loads(process.stdout.readline())
    assert second["kind"] == "delta"
    assert (second["added"], second["removed"]) == ([["hv3", "8"]], [["hv2", "32"]])
    assert second["version"] > first["version"]
    (conf.folder / "hosts.csv").write_text("name,cpus\nhv1,64\nbroken\n")
    while "stale" not in process.stderr.readline():
        pass
    (conf.folder / "hosts.csv").unlink()
    third = changed(process)
    assert third["removed"] == [["hv1", "64"], ["hv3", "8"]]


def test_the_configuration_that_comes_with_it_serves_this_machine(serve):
    process = serve("--config-file", "etc/congress-dse.conf", "--watch", "host:processes")
    assert "host:processes version" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    ended(process)
    assert process.returncode == 0


def test_a_reader_that_goes_away_ends_it_with_zero(serve, conf):
    process = serve("--config-file", conf(), "--watch", "files:hosts")
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    (conf.folder / "hosts.csv").write_text("name,cpus\nhv9,1\n")
    _, log = ended(process)
    assert process.returncode == 0
    assert "Traceback" not in log
    assert "Exception ignored" not in log


FILES = "[datasource:files]\ndriver = file\npath = {folder}\n"
WRONG = [
    ("[datasource:x]\ndriver = nosuch\n", ["[datasource:x] driver", "'nosuch'", "installed are"]),
    ("[datasource:x]\npoll_time = 1\n", ["[datasource:x] driver: required"]),
    ("[datasource:x]\ndriver = file\n", ["[datasource:x] path: required"]),
    (FILES + "pol_time = 1\n", ["[datasource:files] pol_time: no such option"]),
    (FILES + "poll_time = soon\n", ["[datasource:files] poll_time", "'soon'"]),
    (FILES + "poll_time = -1\n", ["[datasource:files] poll_time"]),
    (FILES + "poll_deadline = 0\n", ["[datasource:files] poll_deadline"]),
    ("[datasource:x]\ndriver = file\npath = {tmp}/no\n", ["[datasource:x] path", "no folder"]),
    (FILES + "[datasources:y]\n", ["[datasources:y]: no such section"]),
    ("[DEFAULT]\ndebgu = 1\n" + FILES, ["[DEFAULT] debgu: no such option"]),
    ("[DEFAULT]\ndebug = perhaps\n" + FILES, ["debug"]),
    ("[DEFAULT]\nlog_file = {tmp}/no/log\n" + FILES, ["[DEFAULT] log_file"]),
    ("[datasource:]\ndriver = host\n", ["needs a name"]),
    ("[datasource:x]\ndriver = {tmp}/no.py\n", ["[datasource:x] driver", "no.py"]),
    ("driver = host\n[datasource:x\n", ["c.conf"]),
    ("[api]\nenabled = false\n", ["no datasource"]),
]


@pytest.mark.parametrize(("text", "wanted"), WRONG)
def test_what_is_wrong_in_a_file_is_told_in_one_line_and_exit_two(serve, conf, text, wanted):
    process = serve("--config-file", conf(text))
    out, err = ended(process)
    assert process.returncode == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("congress-dse: ")
    assert all(part in err for part in wanted)


@pytest.mark.parametrize("kind", ["missing", "folder", "not text"])
def test_a_file_that_cannot_be_read_is_told_in_one_line_and_exit_two(serve, tmp_path, kind):
    path = tmp_path / "c.conf"
    if kind == "folder":
        path.mkdir()
    elif kind == "not text":
        path.write_bytes(b"[datasource:x]\ndriver = \xff\xfe\n")
    process = serve("--config-file", str(path))
    _, err = ended(process)
    assert process.returncode == 2
    assert len(err.splitlines()) == 1
    assert "c.conf" in err


@pytest.mark.parametrize("watch", ["files", "files:", ":hosts", "nobody:hosts"])
def test_a_watch_of_nothing_is_told_in_one_line_and_exit_two(serve, conf, watch):
    process = serve("--config-file", conf(), "--watch", watch)
    _, err = ended(process)
    assert process.returncode == 2
    assert len(err.splitlines()) == 1
    assert f"--watch {watch}" in err


def test_every_fault_is_told_at_once(serve, conf):
    process = serve("--config-file", conf("[datasource:x]\n[datasource:y]\ndriver = no\n[z]\n"))
    _, err = ended(process)
    assert len(err.splitlines()) == 3
    assert process.returncode == 2


def test_a_source_with_bad_options_is_left_out_with_all_its_faults_and_the_others_run(serve, conf):
    text = (
        FILES + "[datasource:shop]\ndriver = sql\nconnection = nonsense hunter2\npol_time = 1\n"
        "max_rows = many\nquery = a: DELETE FROM t\n[datasource:y]\ndriver = nosuch\n"
    )
    process = serve("--config-file", conf(text), "--watch", "files:hosts")
    assert "files:hosts version" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = ended(process)
    assert process.returncode == 0
    shop, y = [line for line in err.splitlines() if "is left out, the others run" in line]
    for fault in ("pol_time: no such", "max_rows: 'many'", "query: a: begins", "connection: not a"):
        assert f"[datasource:shop] {fault}" in shop
    assert "[datasource:y] driver: no driver 'nosuch'" in y
    assert "hunter2" not in err


def test_a_watch_of_a_source_that_is_left_out_is_told_with_its_faults(serve, conf):
    text = FILES + "[datasource:x]\ndriver = file\n"
    process = serve("--config-file", conf(text), "--watch", "x:t")
    _, err = ended(process)
    assert process.returncode == 2
    assert "--watch x:t: no source 'x'; there are files" in err
    assert "[datasource:x] path: required" in err


def test_a_driver_of_one_s_own_is_a_module_file(serve, conf, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from congress_dse.datasources.datasource_driver import PollingDataSourceDriver\n"
        "class Mine(PollingDataSourceDriver):\n"
        "    def update_from_datasource(self):\n"
        "        self.state['t'] = {('mine', 1)}\n"
        "def d6service(name, keys, inbox, datapath, args):\n"
        "    return Mine(name, keys, inbox, datapath, args)\n"
    )
    text = "[datasource:m]\ndriver = {tmp}/mine.py\n[DEFAULT]\nlog_file = {tmp}/log\n"
    process = serve("--config-file", conf(text), "--watch", "m:t", "--json")
    assert changed(process)["added"] == [["mine", 1]]
    process.send_signal(signal.SIGTERM)
    _, err = ended(process)
    assert (process.returncode, err) == (0, "")
    assert "stopped" in (tmp_path / "log").read_text()


def test_a_log_that_is_full_does_not_end_it(serve, conf):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no full device on this system")
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with full.open("w") as log:
        args = "--config-file", conf(), "--watch", "files:hosts"
        process = serve(*args, stderr=log, env=buffered)
        assert process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        ended(process)
    assert process.returncode == 0
