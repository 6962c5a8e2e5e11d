"""``congress-dse drivers``: list, show and try, and the driver of the documentation."""

import json
import pathlib
import re
import sqlite3

import pytest

from congress_dse import cli, sources

ROOT = pathlib.Path(__file__).parents[1]
EXAMPLE = str(ROOT / "examples" / "packages_driver.py")


@pytest.fixture
def run(capsys):
    def call(*argv):
        code = cli.main(["drivers", *map(str, argv)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def installed(tmp_path):
    """A folder with one package in it."""
    about = tmp_path / "site" / "spade-1.2.dist-info"
    about.mkdir(parents=True)
    text = "Name: spade\nVersion: 1.2\nRequires-Dist: bucket>=1\nRequires-Dist: sand\n"
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\n{text}")
    return tmp_path / "site"


def test_every_driver_is_listed_with_what_it_is(run):
    code, out, _ = run("list")
    assert code == 0
    for name in ("file", "host", "http_json", "push", "sql"):
        assert re.search(rf"^{name} +\w", out, re.MULTILINE)


def test_a_driver_that_lacks_a_library_is_listed_with_the_extra_to_install(run, monkeypatch):
    class EntryPoint:
        name = "sql"
        extras = ()

        class dist:
            name = "congress-dse"
            requires = ["oslo.config>=10.0", 'SQLAlchemy>=2.0; extra == "sql"']

    missing = ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy")

    def manager(_namespace, *_names, on_load_failure_callback, **_):
        on_load_failure_callback(None, EntryPoint, missing)
        return []

    monkeypatch.setattr(sources.extension, "ExtensionManager", manager)
    monkeypatch.setattr(sources.named, "NamedExtensionManager", manager)
    # What was found of it before is kept aside, for who comes after.
    monkeypatch.setattr(sources, "installed_driver", sources.installed_driver.__wrapped__)
    told = "No module named 'sqlalchemy'; to install it: pip install 'congress-dse[sql]'"
    code, out, _ = run("list")
    assert code == 0
    assert told in out
    code, _, err = run("show", "sql")
    assert code == 2
    assert told in err
    code, out, _ = run("list", "--json")
    assert told in json.loads(out)["sql"]["cannot_be_used"]


def test_options_are_shown_with_default_secret_and_help(run):
    code, out, _ = run("show", "sql")
    assert code == 0
    assert "connection (required, secret)" in out
    assert "query (required, several)" in out
    assert "poll_time (default 10)" in out
    code, out, _ = run("show", "host", "--json")
    assert json.loads(out)["tables"]["cpus"] == ["cpu", "busy_percent"]


def test_a_module_file_is_polled_once_and_its_tables_printed(run, installed):
    code, out, err = run("try", EXAMPLE, "--config", f"path={installed}")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "packages: 1 rows",
        "  name   version",
        "  spade  1.2",
        "requires: 2 rows",
        "  package  requirement",
        "  spade    bucket>=1",
        "  spade    sand",
    ]
    code, out, _ = run("try", EXAMPLE, "--json", "--config", f"path={installed}")
    assert json.loads(out)["tables"]["packages"] == {
        "columns": ["name", "version"],
        "rows": [["spade", "1.2"]],
    }


@pytest.mark.parametrize(
    ("argv", "wrong"),
    [
        (["try", "nix"], "no driver 'nix' is installed; installed are "),
        (["try", "/nowhere/at_driver.py"], "at_driver"),
        (["try", "sql", "--config", "query=a: SELECT 1"], "sql connection: required, and missing"),
        (["try", "file", "--config", "path"], "--config path: not of the form OPTION=VALUE"),
        (["try", "file", "--config", "nix=1", "--config", "path=/"], "file nix: no such option"),
    ],
)
def test_wrong_input_ends_with_2_and_says_what_is_wrong(run, argv, wrong):
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert wrong in err


def test_a_poll_that_fails_ends_with_1_and_its_cause(run, installed):
    installed.rename(installed.with_name("gone"))
    code, _, err = run("try", EXAMPLE, "--config", f"path={installed}")
    assert code == 1
    assert f"no folder at '{installed}'" in err


def test_no_secret_is_printed_when_a_poll_fails(run):
    url = "postgresql://me:hunter2@127.0.0.1:1/hunter2"
    code, out, err = run(
        "try", "sql", "--config", f"connection={url}", "--config", "query=a: SELECT 1"
    )
    assert code == 1
    assert "Connection refused" in err
    assert "hunter2" not in out + err


def test_one_table_that_fails_ends_with_1_and_the_others_are_printed(run, tmp_path):
    path = tmp_path / "shop.db"
    sqlite3.connect(path).close()
    given = [
        f"connection=sqlite:///{path}",
        "query=one: SELECT 1 AS a",
        "query=two: SELECT * FROM x",
    ]
    code, out, err = run("try", "sql", *(part for g in given for part in ("--config", g)))
    assert code == 1
    assert out.startswith("one: 1 rows\n  a\n  1\n")
    assert "two: no such table: x" in err


def test_a_driver_that_is_written_from_outside_shows_its_declared_tables(run):
    code, out, _ = run("try", "push", "--config", "tables=alarms(id,severity)")
    assert (code, out) == (0, "alarms: 0 rows\n  id  severity\n")


def test_the_documentation_includes_the_example_and_speaks_of_what_is_there(run, installed):
    text = (ROOT / "doc" / "writing-a-driver.rst").read_text()
    (included,) = re.findall(r"literalinclude:: (\S+)", text)
    assert (ROOT / "doc" / included).resolve() == pathlib.Path(EXAMPLE)
    commands = re.findall(r"congress-dse drivers (show|try) (examples/\S+) ?(.*)", text)
    assert [order for order, _, _ in commands] == ["show", "try"]
    for order, file, rest in commands:
        argv = rest.replace("FOLDER", str(installed)).replace("only=event", "only=sp").split()
        code, _, err = run(order, ROOT / file, *argv)
        assert (code, err) == (0, "")
