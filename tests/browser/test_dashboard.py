"""The dashboard in a real browser, before a real engine that has everything to see."""

import os
import re
import signal
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.process.harness import FULL, wait_for

from .conftest import SERVICES, START_S, Served

pytestmark = pytest.mark.timeout(240)

# Each section, and what is there once it has been drawn.
SECTIONS = {
    "overview": ".verdict.bad",
    "services": "tbody th a",
    "services/slow": ".facts",
    "sources": "tbody th a",
    "sources/broken-file": ".list tbody tr",
    "tables": "tbody th a",
    "tables/files/hosts": "tbody th",
    "tree": ".twig",
    "workers": "tbody tr .good",
    "links": "tbody tr .good",
    "letters": "tbody th a",
    "waits": "tbody th a",
    "waits/slow": "pre:not([hidden])",
    "timeline": ".timeline time",
}
COLOURFUL = ["overview", "services", "tables/files/hosts", "workers", "waits/slow", "timeline"]
TWINS = {
    "services/slow",
    "sources",
    "tables",
    "links",
    "waits",
}  # of others, in what they are made of
CHECKED = [where for where in SECTIONS if FULL or where not in TWINS]
NODES_MAX = 3000  # of the document, whatever the engine has
SERIOUS = ("critical", "serious", "moderate")
ROWS_CHECK = Path(__file__).with_name("rows_check.js").read_text(encoding="utf-8")
# Notes what was marked as having just changed: the mark itself lasts for a moment only.
NOTE_MARKS = """() => {
    window.marks = [];
    new MutationObserver((changes) => {
        for (const row of changes.flatMap(({ target, addedNodes }) => [target, ...addedNodes])) {
            if (row.className) window.marks.push(row.className + " " + row.textContent);
        }
    }).observe(document.querySelector(".data-grid tbody"), {
        subtree: true, childList: true, attributes: true, attributeFilter: ["class"],
    });
}"""


def nodes(page):
    return page.evaluate("document.querySelectorAll('*').length")


def test_every_section_loads_from_the_server_alone_and_without_an_error(visit):
    seen = visit()
    for where, ready in SECTIONS.items():
        seen.show(where, ready)
    assert seen.said == []
    assert {url for url in seen.asked if not url.startswith(seen.url)} == set()
    assert any(url.endswith("/events") for url in seen.asked)


def test_the_overview_says_what_is_broken_and_leads_there(visit):
    page = visit().show("overview", ".verdict.bad")
    problem = page.locator(".problems li", has_text="broken-file")
    expect(problem).to_contain_text("failing")
    expect(problem).to_contain_text("JSONDecodeError")
    expect(page.locator(".problems li", has_text="slow").first).to_contain_text("messages")
    expect(page.locator(".problems li", has_text="dead letters")).to_be_visible()
    problem.get_by_role("link").click()
    expect(page.locator("h1")).to_have_text("broken-file")
    expect(page.locator("nav [aria-current=page]")).to_contain_text("Sources")


def test_a_row_appears_changes_and_goes_as_its_table_does(visit, engine):
    page = visit().show("tables/files/hosts", ".data-grid tbody th")
    page.evaluate(NOTE_MARKS)
    engine.write("hosts", "name,cpus\nhv1,64\nhv2,32\nhv3,128\n")
    row = page.locator("tbody tr", has_text="hv3")
    expect(row).to_contain_text("128")
    wait_for(lambda: "added hv3128" in page.evaluate("marks"))
    engine.write("hosts", "name,cpus\nhv1,64\nhv2,32\nhv3,256\n")
    expect(row).to_contain_text("256")
    wait_for(lambda: "changed hv3256" in page.evaluate("marks"))
    assert not any("hv1" in mark for mark in page.evaluate("marks"))
    expect(page.locator("main")).to_contain_text("1 changed")
    engine.write("hosts", "name,cpus\nhv1,64\nhv2,32\n")
    expect(row).to_have_count(0)
    expect(page.locator(".data-grid tbody th")).to_have_text(["hv1", "hv2"])


def test_the_table_of_a_service_that_is_no_source_is_read_when_it_changes(visit):
    page = visit().show("tables/teller/told", ".data-grid tbody th")
    expect(page.locator(".data-grid tbody tr:not(.space)")).to_have_count(3)
    expect(page.locator(".live")).to_contain_text("Read at each change")


def test_a_thousand_services_are_shown_by_few_elements_deepest_first(visit):
    page = visit().show("services", "tbody th a")
    expect(page.locator(".grid-count")).to_have_text(re.compile(r"1,00\d services"))
    expect(page.locator("tbody th").first).to_have_text("slow")
    page.get_by_role("button", name="Service", exact=True).click()
    scroller = page.locator(".scroller")
    for place in (0.1, 0.5, 0.9, 1):
        scroller.evaluate("(box, place) => box.scrollTop = place * box.scrollHeight", place)
        page.evaluate("new Promise(requestAnimationFrame)")
        assert nodes(page) < NODES_MAX
    expect(page.locator("tbody th", has_text=f"worker-{SERVICES - 1:04d}")).to_be_visible()
    assert page.locator("table").get_attribute("aria-rowcount") == str(
        1 + int(page.locator(".grid-count").inner_text().split()[0].replace(",", ""))
    )
    page.get_by_role("searchbox").fill("worker-0042")
    expect(page.locator("tbody th")).to_have_text(["worker-0042"])
    expect(page.locator(".grid-count")).to_contain_text("1 of 1,00")


def test_a_hundred_thousand_rows_scroll_sort_and_filter_by_few_elements(visit):
    page = visit().show("tables/crowd/many", "tbody th")
    expect(page.locator(".grid-count")).to_have_text("100,000 rows")
    scroller = page.locator(".scroller").first
    scroller.evaluate("(box) => box.scrollTop = box.scrollHeight")
    expect(page.locator("tbody th", has_text="99999")).to_be_visible()
    assert nodes(page) < NODES_MAX
    frames = scroller.evaluate(
        """async (box) => {
            const took = [];
            for (let n = 0; n < 30; n += 1) {
                box.scrollTop = (n / 30) * box.scrollHeight;
                const began = performance.now();
                await new Promise(requestAnimationFrame);
                took.push(box.querySelectorAll("tbody tr").length);
            }
            return took;
        }"""
    )
    assert max(frames) < 100
    page.get_by_role("button", name="load").click()
    page.get_by_role("button", name="load").click()
    expect(page.locator("th", has_text="load")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("searchbox").fill("cairo 4242")
    expect(page.locator(".grid-count")).to_contain_text("of 100,000 rows")
    expect(page.locator("tbody tr:not(.space)").first).to_contain_text("cairo")


def test_rows_in_an_order_under_a_filter_are_the_same_as_done_anew(visit):
    page = visit().show("overview", ".verdict")
    wrong = page.evaluate(ROWS_CHECK)
    assert wrong == []


def test_dead_letters_are_replayed_and_discarded_once_that_is_confirmed(visit, engine):
    page = visit().show("letters", "tbody th a")
    kept = page.locator("tbody tr", has_text="nobody-1")
    kept.get_by_role("button", name="Discard").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("gone for good")
    page.keyboard.press("Escape")
    expect(kept).to_have_count(1)
    kept.get_by_role("button", name="Discard").click()
    dialog.get_by_role("button", name="Discard").click()
    expect(kept).to_have_count(0)
    again = page.locator("tbody tr", has_text="nobody-2")
    first = again.locator("th").inner_text()
    again.get_by_role("button", name="Replay").click()
    dialog.get_by_role("button", name="Replay").click()
    expect(again.locator("th")).not_to_have_text(first)  # nobody hears it: it is dead anew
    page.locator("tbody tr", has_text="broken").first.get_by_role("link").click()
    expect(page.locator("pre").last).to_contain_text("cannot do break")


def test_the_keyboard_alone_leads_everywhere(visit):
    page = visit().show("overview", ".verdict")
    focused = "document.activeElement"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.textContent") == "Skip to the content"
    assert page.evaluate(f"{focused}.getBoundingClientRect().top") >= 0
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.textContent").startswith("Services")
    outline = f"getComputedStyle({focused}).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    page.locator("tbody th a").first.wait_for()
    assert page.evaluate(f"{focused}.id") == "main"
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(f"{focused}.tagName + ' ' + ({focused}.type ?? '')"))
    assert "INPUT search" in reached
    assert "BUTTON button" in reached
    page.locator(".scroller").focus()
    page.keyboard.press("End")
    wait_for(lambda: page.evaluate(f"{focused}.scrollTop") > 1000)
    page.get_by_role("button", name="Handled").focus()
    page.keyboard.press("Enter")
    expect(page.locator("th", has_text="Handled")).to_have_attribute("aria-sort", "descending")


@pytest.mark.parametrize(
    ("scheme", "sections", "rules"),
    [("light", CHECKED, None), ("dark", COLOURFUL, ["color-contrast"])],
)
def test_every_section_is_accessible(visit, scheme, sections, rules):
    # The checker is put into the page; few rows in sight are enough for it.
    seen = visit(color_scheme=scheme, bypass_csp=True, height=480)
    options = {"runOnly": {"type": "rule", "values": rules}} if rules else None
    found = []
    for where in sections:
        page = seen.show(where, SECTIONS[where])
        for violation in Axe().run(page, options=options).response["violations"]:
            if violation["impact"] in SERIOUS:
                places = [node["html"][:160] for node in violation["nodes"][:3]]
                found.append((where, violation["id"], places))
    assert found == []


def test_nothing_is_wider_than_a_screen_of_400_pixels(visit):
    seen = visit(width=400, height=800)
    for where, ready in SECTIONS.items():
        page = seen.show(where, ready)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, where
    menu = page.get_by_role("button", name="Menu")
    expect(page.get_by_role("navigation")).to_be_hidden()
    menu.click()
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.get_by_role("link", name="Sources").click()
    expect(page.locator("h1")).to_have_text("Sources")
    expect(page.get_by_role("navigation")).to_be_hidden()


def test_it_is_dark_or_light_as_the_system_or_the_user_has_it(visit):
    def brightness(page):
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3

    light = visit(color_scheme="light").show("overview")
    dark = visit(color_scheme="dark").show("overview")
    assert brightness(light) > 200
    assert brightness(dark) < 60
    dark.get_by_label("Theme").select_option("light")
    assert brightness(dark) > 200
    dark.reload()
    dark.locator("h1").wait_for()
    assert brightness(dark) > 200


def test_a_lost_connection_is_told_with_the_age_of_what_is_shown_and_is_made_again(visit, engine):
    seen = visit()
    page = seen.show("tables/files/hosts", "tbody th")
    seen.context.set_offline(True)
    banner = page.locator("#banner")
    expect(banner).to_contain_text("Connection lost")
    expect(banner).to_contain_text(re.compile(r"Showing the state of \d\d:\d\d:\d\d"))
    expect(page.locator("tbody th").first).to_be_visible()
    expect(page.locator(".live")).to_contain_text("Connecting again")
    engine.write("hosts", "name,cpus\nhv1,64\nhv2,32\nhv9,8\n")
    seen.context.set_offline(False)
    expect(banner).to_contain_text("Connection is back")
    expect(page.locator("tbody tr", has_text="hv9")).to_be_visible()
    engine.write("hosts", "name,cpus\nhv1,64\nhv2,32\n")


def test_the_supervision_opens_and_shuts(visit):
    page = visit().show("tree", ".twig")
    expect(page.locator("tbody tr", has_text="link.engine")).to_have_count(0)
    page.get_by_label("the engine's own").check()
    twig = page.get_by_role("button", name="engine.1: its services")
    expect(twig).to_have_attribute("aria-expanded", "true")
    before = page.locator("tbody tr").count()
    twig.press("Enter")
    expect(twig).to_have_attribute("aria-expanded", "false")
    expect(twig).to_be_focused()
    assert page.locator("tbody tr").count() < before


def test_why_a_worker_was_replaced_is_told(visit, engine):
    page = visit().show("workers", "tbody tr .good")
    (worker,) = [w for w in engine.app.workers() if w["name"] == "engine.1"]
    os.kill(worker["pid"], signal.SIGKILL)
    ended = page.get_by_role("row").filter(has_text=str(worker["pid"])).filter(has_text="died")
    expect(ended).to_contain_text("SIGKILL")
    engine.app.replaced(worker["pid"], "engine", START_S, count=2)
    page = visit().show("timeline", ".timeline time")
    expect(page.locator(".timeline li", has_text="worker died").first).to_contain_text("engine.1")


def test_an_api_that_asks_for_a_token_gets_it(visit, browser, tmp_path):
    (tmp_path / "tokens").write_text("ada:correct-horse\n")
    served = Served(
        tmp_path,
        f"[processes]\nworkers = 0\n[api]\nbind_port = 0\nauth = token\n"
        f"tokens_file = {tmp_path}/tokens\n[database]\nconnection = sqlite:///{tmp_path}/db\n"
        f"[datasource:host]\ndriver = host\npoll_time = 0.5\n",
    )
    try:
        token = {"X-Auth-Token": "correct-horse"}
        wait_for(lambda: served.get("v1/data-sources", **token), START_S, "an API")
        seen = visit(served.url)
        page = seen.show("tables/host/cpus")
        field = page.get_by_label("Token")
        field.fill("wrong-token")
        field.press("Enter")
        expect(page.locator("#sign-in-why")).to_contain_text("refused")
        field.fill("correct-horse")
        field.press("Enter")
        expect(page.locator("tbody th").first).to_be_visible()
        assert "correct-horse" not in page.content()
        assert all("correct-horse" not in url for url in seen.asked)
        page.reload()
        expect(page.locator("tbody th").first).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("#sign-in")).to_be_visible()
    finally:
        served.app.close()
