"""What the README shows is what runs."""

import pathlib
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("example", ["service.py", "load_driver.py", "load.conf"])
def test_the_readme_shows_the_example_as_it_is(example):
    code = (ROOT / "examples" / example).read_text()
    assert textwrap.indent(code, "    ") in (ROOT / "README.rst").read_text()


def test_the_examples_are_about_fifteen_lines_each():
    for example in ("service.py", "load_driver.py"):
        lines = (ROOT / "examples" / example).read_text().splitlines()
        assert len([line for line in lines if line]) <= 15


def test_the_service_of_the_readme_runs_as_printed():
    run = [sys.executable, str(ROOT / "examples" / "service.py")]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "hello Ada"
    assert "greeted: ('Ada',)" in done.stdout
