"""The fixture that starts applications and leaves nothing of them behind."""

import pytest

from .harness import App


@pytest.fixture
def start(tmp_path):
    """Start an application of ``apps/``; it is ended with the test."""
    apps = []

    def begin(script, *args, **options):
        options.setdefault("control", tmp_path / "control")
        app = App(script, *args, **options)
        apps.append(app)
        return app

    yield begin
    for app in apps:
        app.close()
