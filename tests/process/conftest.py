"""The fixture that starts applications and leaves nothing of them behind."""

from pathlib import Path

import pytest

from congress_dse.manager import posix

from .harness import PORTABLE, App

HERE = Path(__file__).parent
LIMIT_S = 180  # of a test here, where it names none: it may wait several times


def pytest_collection_modifyitems(items):
    """Give the tests of this folder the time that its patience adds up to."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.fixture
def start(request, tmp_path, monkeypatch):
    """Start an application of ``apps/``; it is ended with the test.

    A test that is marked with `both_doors` gets it once with the POSIX door shut, for the
    application and for the operator.
    """
    apps = []
    shut = PORTABLE or getattr(request, "param", "open") == "shut"
    monkeypatch.setattr(posix, "OPEN", not shut)
    monkeypatch.setattr(posix, "UNIX", not shut and posix.UNIX)

    def begin(script, *args, **options):
        options.setdefault("control", tmp_path / "control")
        options.setdefault("portable", shut)
        app = App(script, *args, **options)
        apps.append(app)
        return app

    yield begin
    for app in apps:
        app.close()
