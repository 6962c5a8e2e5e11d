"""The commands that tell of a running engine: one engine for all; the last test blocks its hub."""

import json
import subprocess
import sys
import urllib.request

import pytest

from congress_dse import cli
from tests.support.live import ROOT, Engine, until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    one = Engine(tmp_path_factory.mktemp("twins"), "--watch", "free:alarms")
    try:
        one.start()
        write(one, [[1, "low"], [2, "high"]])
        yield one
    finally:
        one.stop()


@pytest.fixture
def twin(engine, capsys):
    """Run a command; its text, or with ``json=True`` what it tells."""

    def run(*args, json_=False, code=0):
        given = [*args, "--config-file", str(engine.conf)]
        assert cli.main([*given, "--json"] if json_ else given) == code, capsys.readouterr().err
        out, err = capsys.readouterr()
        if code:
            return err
        return json.loads(out) if json_ else out

    return run


def write(engine, rows):
    """Replace the table ``free:alarms``."""
    url = f"{engine.root}/v1/data-sources/free/tables/alarms/rows"
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(rows).encode(), headers, method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def line(text, *words):
    """The one line of a text that has all these words."""
    (found,) = [one for one in text.splitlines() if all(word in one for word in words)]
    return found


def test_services_are_shown_without_what_every_worker_has_of_its_own(twin):
    text = twin("services")
    assert line(text, "free", "engine.1", "idle")
    assert "link." not in text
    assert "link." in twin("services", "--all")
    told = twin("services", "--kind", "source", json_=True)
    assert {s["service"] for s in told["results"]} == {"free", "blocker"}
    assert {a["worker"] for a in told["asked"]} == {"engine.0", "engine.1", "api.0"}


def test_the_tree_hangs_below_the_master(twin, engine):
    text = twin("tree")
    assert text.startswith(f"master pid {engine.process.pid} running")
    assert line(text, "free", "PushDriver")
    assert twin("tree", json_=True)["master"]["state"] == "running"


def test_tables_are_shown_with_who_follows_them_across_workers(twin):
    def followed():
        return [r for r in twin("tables", "free", json_=True)["results"] if r["subscribers"]]

    (table,) = until(followed, "the watch follows")
    assert (table["rows"], table["worker"]) == (2, "engine.1")
    (watch,) = table["subscribers"]
    assert (watch["subscriber"], watch["worker"]) == ("watch", "engine.0")
    until(lambda: line(twin("tables", "--lag"), "free:alarms", "watch").split()[5] == "0", "no lag")
    assert line(twin("tables"), "free:alarms", "engine.1")


def test_rows_are_shown_under_their_columns(twin):
    text = twin("rows", "free", "alarms")
    assert text.splitlines()[0].split() == ["ID", "SEVERITY"]
    assert text.splitlines()[1].split() == ["1", "low"]
    assert "2 of 2 rows" in text
    assert twin("rows", "free", "alarms", "--limit", "1", json_=True)["total"] == 2
    assert "no table free:nothing" in twin("rows", "free", "nothing", code=1)


def test_a_table_is_followed(engine):
    command = [sys.executable, "-m", "congress_dse", "tail", "free", "alarms", "--changes", "1"]
    command += ["--every", "0.05", "--config-file", str(engine.conf), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as tail:
        first = json.loads(tail.stdout.readline())
        assert (first["snapshot"], sorted(first["added"])) == (True, [[1, "low"], [2, "high"]])
        write(engine, [[1, "low"], [3, "new"]])
        then = json.loads(tail.stdout.readline())
        write(engine, [[1, "low"], [2, "high"]])
        assert (then["added"], then["removed"]) == ([[3, "new"]], [[2, "high"]])
        assert then["version"] > first["version"]
        assert tail.wait(30) == 0


def test_sources_nodes_and_links_are_shown(twin):
    assert line(twin("sources"), "blocker", "engine.0", "fresh")
    text = twin("nodes")
    for worker in ("engine.0", "engine.1", "api.0"):
        assert line(text, worker, "ready")
    assert line(twin("links"), "link.engine.1", "engine.0", "local", "up")
    text = twin("top")
    assert line(text, "blocker", "fresh")
    assert line(text, "engine.1", "ready")


def test_dead_letters_are_shown_replayed_and_discarded(twin, engine):
    (letter,) = twin("dead-letters", json_=True)["results"]
    assert (letter["key"], letter["reason"]) == ("nobody", "nothing matched")
    assert line(twin("dead-letters"), letter["id"], "nobody", "something")
    assert "interest" in twin("dead-letters", "show", letter["id"])
    assert twin("dead-letters", "replay", letter["id"]) == "replayed: 1\n"
    (again,) = twin("dead-letters", json_=True)["results"]
    assert again["id"] != letter["id"], "nobody has the key still"
    assert twin("dead-letters", "replay", letter["id"], code=1) == ""
    assert twin("dead-letters", "discard", "all", json_=True) == {"discarded": [again["id"]]}
    assert "no dead letter" in twin("dead-letters")
    assert "is the id of no dead letter" in twin("dead-letters", "discard", "x", code=1)


def test_what_changes_something_is_refused_outside_the_turn_of_the_hub(engine):
    asked = engine.ask("inquire", what="replay", args={"number": 1})
    assert [a["answered"] for a in asked] == [False] * 3
    assert all("for the hub's turn" in a["cause"] for a in asked)
    (wrong, *_) = engine.ask("inquire", what="nonsense")
    assert wrong["cause"] == "NoSuchInquiry: nothing is known by the name 'nonsense'"


def test_stacks_and_waits_are_shown(twin):
    assert "free at engine.1: 0 messages wait" in twin("stack", "free")
    assert "greenthread" in twin("stack", "engine.1")
    assert "no service and no worker 'nobody'" in twin("stack", "nobody", code=1)
    assert "nobody waits for another" in twin("waits")


def test_what_happened_is_shown_oldest_first(twin):
    until(lambda: "api.0" in twin("timeline", "--kind", "worker-ready"), "it is written")
    text = twin("timeline")
    lines = text.splitlines()
    assert "engine-started" in lines[1]
    assert line(text, "worker-ready", "api.0")
    told = twin("timeline", "--kind", "engine-started", json_=True)["results"]
    assert [e["kind"] for e in told] == ["engine-started"]


@pytest.mark.parametrize(
    ("words", "among"),
    [
        (["ta"], {"tables", "tail"}),
        (["tables", "--l"], {"--lag"}),
        (["services", "--kind", ""], {"source", "service", "cage", "own"}),
        (["dead-letters", "re"], {"replay"}),
        (["completion", ""], {"bash", "zsh", "fish", "words"}),
        (["nonsense", ""], set()),
    ],
)
def test_completion_knows_commands_options_and_choices(words, among, capsys):
    assert cli.main(["completion", "words", "--", *words]) == 0
    assert set(capsys.readouterr().out.split()) == among


def test_completion_asks_the_engine_for_names(engine, capsys):
    conf = ["--config-file", str(engine.conf)]
    for words, known in (
        (["rows", *conf, "fr"], "free"),
        (["tail", *conf, "free", "al"], "alarms"),
    ):
        assert cli.main(["completion", "words", "--", *words]) == 0
        assert capsys.readouterr().out.split() == [known]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert "congress-dse completion words" in text
    if shell == "bash":
        check = "source /dev/stdin && COMP_WORDS=(congress-dse tab) COMP_CWORD=1 && "
        check += 'congress-dse() { echo "called $@"; } && _congress_dse && echo "${COMPREPLY[0]}"'
        run = ["bash", "-c", check]
        done = subprocess.run(run, input=text, capture_output=True, text=True, check=False)
        assert done.stdout == "called completion words -- tab\n"


def test_without_an_engine_the_reason_is_said(tmp_path, capsys):
    for command in ("services", "top", "tree", "waits", "tables"):
        assert cli.main([command, "--control", str(tmp_path / "nothing")]) == 1
        assert "control socket" in capsys.readouterr().err


def test_while_a_hub_is_blocked_every_twin_answers_and_says_where(engine, twin):
    engine.block()
    for args in (["top"], ["tree"], ["services"], ["tables", "--lag"], ["waits"], ["nodes"]):
        text = twin(*args)
        assert line(text, "engine.0", "hub blocked for", "in block_natively"), args
    assert line(twin("nodes"), "engine.0", "blocked", "MB")
    assert line(twin("tree"), "engine.0", "generation", "blocked")
    assert "block_natively" in twin("stack", "engine.0")
    (told,) = twin("stack", "blocker", json_=True)["results"]
    assert (told["running"], told["service"]) == (True, "blocker")
    assert "block_natively" in told["stack"]
    assert line(twin("services"), "blocker", "busy")
    assert sorted(twin("rows", "blocker", "t", json_=True)["rows"]) == [[1, "one"], [2, "two"]]
    (asked,) = [a for a in twin("top", json_=True)["asked"] if a["blocked_s"]]
    assert asked["worker"] == "engine.0"
