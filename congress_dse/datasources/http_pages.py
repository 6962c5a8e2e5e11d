"""Pages of JSON over HTTP: bounded, with credentials for one origin only, and not read twice.

Redirects are followed by hand: credentials go to the origin of the configured URL and to no other,
and never from https to http. A page is asked for with the marks of its last reading (ETag,
Last-Modified); one that has not changed is not sent, or at least not parsed again.
"""

import hashlib
import http.cookiejar
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import requests
from requests.utils import get_environ_proxies

from congress_dse import exceptions

CHUNK = 64 * 1024
MB = 1024 * 1024
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NOT_MODIFIED = 304


@dataclass(frozen=True)
class Limits:
    """What one page may cost."""

    timeout_s: float = 10.0
    size_b: int = 16 * MB
    redirects: int = 5


@dataclass(frozen=True)
class Marks:
    """What tells whether a page has changed since it was read."""

    etag: str = ""
    modified: str = ""
    digest: bytes = b""


@dataclass(frozen=True)
class Page:
    """One page as it came; `body` is None for one that is as `marks` say it was."""

    url: str
    marks: Marks
    body: bytes | None = None
    following: str | None = None  # by the Link header

    def data(self) -> Any:
        """The JSON of the page; raises SourceError for what is none."""
        try:
            return json.loads(self.body or b"")
        except (ValueError, RecursionError) as error:
            raise exceptions.SourceError(f"{shown(self.url)}: no JSON: {error}") from error


@dataclass
class Client:
    """Reads pages for one source. `headers` are credentials, and go to `origin` alone."""

    origin: str
    headers: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    verify: bool | str = True
    cert: tuple[str, str] | str | None = None
    proxy: str = ""

    def __post_init__(self) -> None:
        self._session = requests.Session()
        # No credentials of ~/.netrc, and no cookies: neither is bound to the origin.
        self._session.trust_env = False
        nobody = http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
        self._session.cookies.set_policy(nobody)

    def get(self, url: str, marks: Marks) -> Page:
        """Read one page; raises SourceError for anything but a page, or no change of it."""
        at = url
        for _ in range(self.limits.redirects + 1):
            try:
                with self._asked(at, marks) as answer:
                    if answer.status_code not in REDIRECTS:
                        return self._page(url, at, answer, marks)
                    at = self._redirected(at, answer.headers.get("Location", ""))
            except requests.RequestException as error:
                raise exceptions.SourceError(f"GET {shown(at)}: {_cause(error)}") from error
        raise exceptions.SourceError(
            f"GET {shown(url)}: more than {self.limits.redirects} redirects (max_redirects)"
        )

    def close(self) -> None:
        """Let go of all connections."""
        self._session.close()

    def _asked(self, url: str, marks: Marks) -> requests.Response:
        own = self.headers if origin_of(url) == self.origin else {}
        headers = {"Accept": "application/json", **own}
        if marks.etag:
            headers["If-None-Match"] = marks.etag
        if marks.modified:
            headers["If-Modified-Since"] = marks.modified
        proxies = {"all": self.proxy} if self.proxy else get_environ_proxies(url)
        return self._session.get(
            url,
            headers=headers,
            timeout=self.limits.timeout_s,
            verify=self.verify,
            cert=self.cert,
            proxies=proxies,
            allow_redirects=False,
            stream=True,
        )

    def _redirected(self, url: str, location: str) -> str:
        if not location:
            raise exceptions.SourceError(f"GET {shown(url)}: a redirect without a Location")
        return joined(url, location)

    def _page(self, url: str, at: str, answer: requests.Response, marks: Marks) -> Page:
        if answer.status_code == NOT_MODIFIED and marks != Marks():
            return Page(url, marks)
        if answer.status_code != requests.codes.ok:
            raise exceptions.SourceError(f"GET {shown(at)}: {answer.status_code} {answer.reason}")
        body = self._body(at, answer)
        digest = hashlib.blake2b(body, digest_size=16).digest()
        headers = answer.headers
        found = Marks(headers.get("ETag", ""), headers.get("Last-Modified", ""), digest)
        link = answer.links.get("next", {}).get("url")
        following = joined(at, link) if link else None
        return Page(url, found, None if digest == marks.digest else body, following)

    def _body(self, url: str, answer: requests.Response) -> bytes:
        """The body, decompressed, as long as it is within its limit."""
        parts, size_b = [], int(answer.headers.get("Content-Length") or 0)
        if size_b <= self.limits.size_b:
            size_b = 0
            for part in answer.iter_content(CHUNK):
                size_b += len(part)
                parts.append(part)
                if size_b > self.limits.size_b:
                    break
        if size_b > self.limits.size_b:
            raise exceptions.SourceError(
                f"GET {shown(url)}: more than {self.limits.size_b / MB:.3g} MB (max_size_mb)"
            )
        return b"".join(parts)


def origin_of(url: str) -> str:
    """Scheme, host and port: who gets the credentials."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def joined(url: str, reference: str) -> str:
    """Where `reference` on the page `url` leads; raises SourceError for where nobody follows."""
    try:
        target = urljoin(url, reference)
        parts = urlsplit(target)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise exceptions.SourceError(f"{shown(url)} leads to no URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        raise exceptions.SourceError(f"{shown(url)} leads to {shown(target)}, which is not http(s)")
    if parts.scheme == "http" and urlsplit(url).scheme == "https":
        raise exceptions.SourceError(f"{shown(url)} leads from https to {shown(target)}")
    return target


def with_query(url: str, **wanted: str) -> str:
    """`url` with these parameters in its query, in the place of those of the same names."""
    parts = urlsplit(url)
    kept = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k not in wanted]
    return urlunsplit(parts._replace(query=urlencode([*kept, *wanted.items()])))


def shown(url: str) -> str:
    """`url` for people: without user, password and query, which may hold secrets."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "the URL"
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _cause(error: BaseException) -> str:
    """The innermost words of what went wrong: requests and urllib3 wrap them with the whole URL."""
    seen: BaseException = error
    while True:
        inner = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in seen.args if isinstance(arg, BaseException)), None)
        if inner is None:
            break
        seen = inner
    if type(seen) is type(error):
        return str(seen)
    text = str(seen).rpartition("object at 0x")[2].partition(">: ")[2] or str(seen)
    return f"{type(error).__name__}: {text}"
