"""One engine with all that there is to see, and one browser, for all tests of a module."""

import urllib.request
from pathlib import Path

import pytest

from tests.process.harness import ROOT, App, wait_for
from tests.support.asking import asked
from tests.support.chromium import chromium

MAIN = ROOT / "congress_dse" / "__main__.py"
DRIVER = Path(__file__).with_name("crowd_driver.py")
SERVICES = 1000
START_S = 90.0
CONF = """
[processes]
workers = 2
[api]
bind_port = 0
[database]
connection = sqlite:///{folder}/engine.sqlite
[datasource:host]
driver = host
poll_time = 1
[datasource:files]
driver = file
path = {folder}/tables
poll_time = 0.2
[datasource:broken-file]
driver = file
path = {folder}/broken
poll_time = 0.5
[datasource:crowd]
driver = {driver}
poll_time = 1
"""


class Served:
    """An engine in processes of its own, and where its API is."""

    def __init__(self, folder, conf):
        path = folder / "engine.conf"
        control = f"[processes]\ncontrol_socket = {folder / 'control'}\n"
        path.write_text(conf.replace("[processes]\n", control, 1))
        self.folder = folder
        self.app = App(MAIN, "serve", "--config-file", path, control=folder / "control")
        self.url = self.app.line(r"the API is at (http://\S+)", START_S).group(1).rstrip("/")

    def get(self, path, **headers):
        """What the API answers, as JSON; None where it does not."""
        request = urllib.request.Request(f"{self.url}/{path}", headers=headers)
        try:
            status, found = asked(request, 10)
        except OSError:
            return None
        return found if status == 200 else None

    def running(self, service):
        """Whether a service is on the bus."""
        found = self.get("v1/engine/services") or {"results": []}
        return any(one["service"] == service for one in found["results"])

    def write(self, name, text):
        """Have a table of the source ``files`` be this."""
        fresh = self.folder / f"{name}.new"
        fresh.write_text(text)
        fresh.replace(self.folder / "tables" / f"{name}.csv")


@pytest.fixture(scope="package")  # Playwright's timers are no other tests' business
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="package")
def engine(browser, tmp_path_factory):
    """Two workers, 1,000 services, a table of 100,000 rows, and one of each kind of trouble."""
    folder = tmp_path_factory.mktemp("dashboard")
    (folder / "tables").mkdir()
    (folder / "tables" / "hosts.csv").write_text("name,cpus\nhv1,64\nhv2,32\n")
    (folder / "broken").mkdir()
    (folder / "broken" / "x.json").write_text("{")
    served = Served(folder, CONF.format(folder=folder, driver=DRIVER))
    try:
        wait_for(lambda: served.running(f"worker-{SERVICES - 1:04d}"), START_S, "all services")
        yield served
    finally:
        served.app.close()


class Watched:
    """A page, and what its console, its requests and its errors have said."""

    def __init__(self, browser, url, **options):
        self.url = url
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(30_000)
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _heard(self, message):
        if message.type in {"error", "warning"}:
            self.said.append(message.text)

    def show(self, where, ready=None):
        """Go to a section; wait until its heading, and `ready`, are there."""
        self.page.goto(f"{self.url}/#/{where}")
        self.page.locator("h1").wait_for()
        if ready:
            self.page.locator(ready).first.wait_for()
        return self.page


@pytest.fixture
def visit(browser, engine):
    """Open pages of the engine; ``visit(width=400)`` has that many pixels."""
    opened = []

    def begin(url=None, width=1280, height=800, **options):
        size = {"width": width, "height": height}
        opened.append(Watched(browser, url or engine.url, viewport=size, **options))
        return opened[-1]

    yield begin
    for one in opened:
        one.context.close()
