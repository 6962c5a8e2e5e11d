"""The files of the dashboard, as a server sends them."""

import gzip
import re

import pytest

from congress_dse.api.pages import files, prefers_html

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_the_root_is_a_page_for_a_browser_and_the_versions_for_programs(api):
    page = api.get("/", Accept=BROWSER)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=UTF-8")
    assert page.body.startswith(b"<!doctype html>")
    assert "Accept" in page.headers["vary"]
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.5"):
        assert api.get("/", Accept=accept).json["versions"][0]["id"] == "v1"


@pytest.mark.parametrize(
    ("accept", "html"),
    [("", False), ("*/*", False), (BROWSER, True), ("text/html;q=x", False), ("TEXT/HTML", True)],
)
def test_who_wants_html_says_so(accept, html):
    assert prefers_html(accept) is html


def test_every_file_has_its_type_and_loads_nothing_from_elsewhere(api):
    kinds = {
        "js": "text/javascript",
        "css": "text/css",
        "svg": "image/svg+xml",
        "html": "text/html",
    }
    assert {"index.html", "app.js", "style.css", "icon.svg"} <= set(files())
    for name in files():
        answer = api.get(f"/dashboard/{name}")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kinds[name.rpartition(".")[2]])
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert not re.search(rb"(?:src|href|url|import)\W{1,3}https?:", answer.body), name


def test_the_page_has_no_script_and_no_style_inside():
    html = files()["index.html"].plain.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
    assert all(not inside for inside in re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL))


def test_every_file_that_is_named_is_there():
    for name, file in files().items():
        text = file.plain.decode()
        named = re.findall(r"[\"'](?:\./|dashboard/)([\w-]+\.\w+)[\"']", text)
        assert set(named) <= set(files()), name


def test_no_module_of_the_dashboard_is_too_long():
    for name, file in files().items():
        assert file.plain.count(b"\n") <= 500, name


def test_a_file_is_sent_packed_to_who_takes_it_and_once(api):
    plain = api.get("/dashboard/app.js")
    packed = api.get("/dashboard/app.js", Accept_Encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["etag"] != plain.headers["etag"]
    for answer, encoding in ((plain, ""), (packed, "gzip")):
        tag = answer.headers["etag"]
        again = api.get("/dashboard/app.js", If_None_Match=tag, Accept_Encoding=encoding)
        assert (again.status, again.body) == (304, b"")
    assert api.get("/dashboard/app.js", If_None_Match='"other"').status == 200


@pytest.mark.parametrize("name", ["none.js", "..%2f..%2fserver.py", "__init__.py", "%00"])
def test_there_is_no_other_file(api, name):
    assert api.get(f"/dashboard/{name}").status in {300, 404}


def test_the_files_are_open_and_the_api_is_not(running, tmp_path):
    (tmp_path / "tokens").write_text("ada:correct-horse\n")
    api = running(api=f"auth = token\ntokens_file = {tmp_path}/tokens").client
    assert api.get("/", Accept=BROWSER).status == 200
    assert api.get("/dashboard/app.js").status == 200
    assert api.get("data-sources").status == 401
