"""A headless Chromium for tests: that of the machine, or the one that Playwright has fetched."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW = "make browser"


def without(reason):
    """Skip a test at home, fail it under CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def executable(playwright):
    """The path of a browser; what Playwright has comes second."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and Path(playwright.chromium.executable_path).exists():
        found = playwright.chromium.executable_path
    return found


@contextmanager
def chromium():
    """A running browser."""
    with sync_playwright() as playwright:
        path = executable(playwright)
        if path is None:
            without(f"there is no Chromium: {HOW}")
        sandbox = [] if os.geteuid() else ["--no-sandbox"]  # root has none
        browser = playwright.chromium.launch(executable_path=path, args=sandbox)
        try:
            yield browser
        finally:
            browser.close()
