"""The rules of the house that a machine can check."""

import ast
import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from congress_dse import exceptions

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "congress_dse").rglob("*.py"))
MODULE_MAX, FUNCTION_MAX = 500, 50  # lines
GROUPING = {"EngineError"}  # raised as what derives from it

modules = pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def test_there_are_modules_to_check():
    assert len(MODULES) > 20


@modules
def test_a_module_opens_with_a_sentence(path):
    text = ast.get_docstring(parsed(path))
    assert text
    first = text.split("\n\n")[0].strip()
    assert first[-1] in ".:", first


@modules
def test_a_module_and_its_functions_are_of_a_size_to_read(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_MAX
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < FUNCTION_MAX, node.name


@modules
def test_a_public_class_says_what_it_is(path):
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


@modules
def test_only_the_runtime_knows_the_clockwork(path):
    if "runtime" not in path.parts:
        assert not re.search(
            r"^\s*(import|from) (eventlet|greenlet)\b", path.read_text(), re.MULTILINE
        )


def errors():
    return [
        cls
        for cls in vars(exceptions).values()
        if inspect.isclass(cls) and issubclass(cls, exceptions.EngineError)
    ]


@pytest.mark.parametrize("error", errors(), ids=lambda cls: cls.__name__)
def test_every_error_is_raised_somewhere_and_derives_from_the_root(error):
    assert error.__doc__
    if error.__name__ in GROUPING:
        return
    used = re.compile(rf"\b{error.__name__}\b")
    places = [p for p in MODULES if p.name != "exceptions.py" and used.search(p.read_text())]
    assert places, "raised nowhere"


def test_no_unit_test_sleeps():
    for path in (ROOT / "tests" / "unit").glob("*.py"):
        assert "sleep(" not in path.read_text(encoding="utf-8"), path.name


def installed():
    try:
        importlib.metadata.distribution("congress-dse")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def test_the_sample_configuration_is_current(tmp_path):
    sample = ROOT / "etc" / "congress-dse.conf.sample"
    if not installed():
        assert not os.environ.get("CI"), "the package has to be installed for this"
        pytest.skip("the drivers are found as entry points of the installed package")
    if not sample.is_file():
        assert not os.environ.get("CI"), "make sample"
        pytest.skip("there is no sample yet: make sample")
    fresh = tmp_path / "sample"
    # In a process of its own: here warnings are errors, and a driver's libraries may have some.
    command = [sys.executable, "-c", "from oslo_config.generator import main; main()"]
    command += ["--namespace", "congress_dse", "--output-file", str(fresh)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert fresh.read_text() == sample.read_text(), "make sample"


def test_the_tree_in_the_readme_names_every_module():
    readme = ROOT / "README.rst"
    if not readme.is_file() or "congress_dse/\n" not in readme.read_text(encoding="utf-8"):
        pytest.skip("the README has no tree")
    text = readme.read_text(encoding="utf-8")
    missing = [p.name for p in MODULES if not p.name.startswith("__") and p.name not in text]
    assert not missing
