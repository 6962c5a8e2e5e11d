"""The examples of doc/leaving-eventlet.rst run as they stand, on every runtime."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from congress_dse.runtime import choice
from tests.support import modes

DOC = Path(__file__).parents[2] / "doc" / "leaving-eventlet.rst"
BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", re.MULTILINE)

EXAMPLES = [textwrap.dedent(found) for found in BLOCK.findall(DOC.read_text())]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("runtime", modes.each())
def test_the_examples_run(runtime):
    """All in one process, one after the other; none may need what another has made."""
    code = "import sys\nfor text in sys.stdin.read().split('@@'):\n    exec(text, {})\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        input="@@".join(EXAMPLES),
        env={**os.environ, choice.VARIABLE: runtime},
        capture_output=True,
        text=True,
        check=False,
    )
    assert len(EXAMPLES) == 6
    assert done.returncode == 0, done.stderr
