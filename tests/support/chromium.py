"""A headless Chromium for tests: that of the machine, or the one that Playwright has fetched."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from eventlet import hubs
from greenlet import getcurrent
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
    with _playwright() as playwright:
        path = executable(playwright)
        if path is None:
            without(f"there is no Chromium: {HOW}")
        sandbox = [] if os.geteuid() else ["--no-sandbox"]  # root has none
        browser = playwright.chromium.launch(executable_path=path, args=sandbox)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _playwright():
    """Playwright in a process that eventlet has patched.

    It waits in a greenlet of its own, which eventlet's hub takes for a child of the hub: the end of
    that greenlet leads to the hub, and not to who waits for it. So the hub is told to lead on.
    """
    manager = sync_playwright()
    here, hub = getcurrent(), hubs.get_hub()
    with manager as playwright:
        fiber = manager._dispatcher_fiber

        def lead_on():
            if fiber.dead:
                here.switch()
            else:
                hub.schedule_call_global(0.02, lead_on)

        try:
            yield playwright
        finally:
            hub.schedule_call_global(0.02, lead_on)
