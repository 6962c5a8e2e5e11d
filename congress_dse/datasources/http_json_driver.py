"""http_json: tables from any JSON over HTTP, by JMESPath or by translators.

A page that the server says is unchanged, or that comes with the same bytes, is not translated
again; where all pages of a table are so, the table is kept as it is.
"""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

import jmespath
import yaml
from oslo_config import cfg, types

from congress_dse import exceptions
from congress_dse.datasources import dialect, values
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.datasources.http_pages import (
    MB,
    Client,
    Limits,
    Marks,
    Page,
    joined,
    origin_of,
    with_query,
)
from congress_dse.datasources.named import Named, named
from congress_dse.datasources.translators import Translators

LARGE_B = 64 * 1024  # a body from here on is parsed in a native thread
FUNCTIONS = frozenset({dialect.EXTRACT_FN, dialect.OBJECTS_EXTRACT_FN})

Columns = list[tuple[str, Any]]


class _Taken(NamedTuple):
    """What was taken from a page: per table its rows or objects; and where the next page is."""

    marks: Marks
    items: dict[str, list[Any]]
    following: str | None


class HttpJsonDriver(PollingDataSourceDriver):
    """The tables of one server."""

    DESCRIPTION = "Tables from JSON over HTTP, by JMESPath or by translators."
    OPTIONS: ClassVar[list[Any]] = [
        cfg.StrOpt("url", required=True, help="URL of the JSON; only its origin gets credentials."),
        cfg.MultiOpt(
            "table",
            item_type=Named(),
            required=True,
            help="A table and the JMESPath of its objects, as in: servers: servers[]; given once "
            "for each table.",
        ),
        cfg.MultiOpt(
            "columns",
            item_type=Named(),
            help="The columns of a table, each a JMESPath into an object, with a name before it "
            "where it is to have another, as in: servers: id, host=placement.host. By default "
            "all names of the objects are columns.",
        ),
        cfg.MultiOpt(
            "translator",
            item_type=types.String(),
            help="A translator of a table in JSON or YAML, in place of columns; its extract-fn and "
            "objects-extract-fn are JMESPath.",
        ),
        cfg.MultiOpt(
            "path",
            item_type=Named(),
            help="Where a table is, relative to the url, as in: servers: v2/servers?limit=100.",
        ),
        cfg.StrOpt(
            "paging",
            default="link",
            choices=["none", "link", "next", "page", "offset"],
            help="How the next page is found: by the Link header; by the JMESPath of option next; "
            "by a parameter with the number of the page, or of the first object.",
        ),
        cfg.StrOpt("next", default="next", help="JMESPath of the next page's URL, or of a token."),
        cfg.StrOpt(
            "page_param",
            help="Name of the parameter: page or offset by default; for paging = next, the "
            "parameter that takes the token.",
        ),
        cfg.IntOpt("first_page", default=1, help="The number of the first page."),
        cfg.IntOpt("page_size", min=1, help="Objects of a full page; a shorter one is the last."),
        cfg.IntOpt("max_pages", default=1000, min=1, help="Pages that one table may have at most."),
        cfg.StrOpt("username", help="User for basic authentication."),
        cfg.StrOpt("password", secret=True, help="Password for basic authentication."),
        cfg.StrOpt("token", secret=True, help="Bearer token."),
        cfg.MultiOpt(
            "header", item_type=Named(), secret=True, help="A header to send, as in: X-Key: 1234."
        ),
        cfg.StrOpt("ca_file", metavar="PATH", help="Certificates of the CAs to trust, as PEM."),
        cfg.StrOpt("client_cert", metavar="PATH", help="Own certificate, as PEM."),
        cfg.StrOpt("client_key", metavar="PATH", help="Its key, where it is in another file."),
        cfg.BoolOpt("insecure", default=False, help="Do not verify the server's certificate."),
        cfg.StrOpt("proxy", secret=True, help="URL of a proxy; by default the environment's."),
        cfg.FloatOpt("timeout", default=10.0, min=0.1, help="Seconds without a byte."),
        cfg.FloatOpt("max_size_mb", default=16.0, min=0.001, help="Size of a page at most."),
        cfg.IntOpt("max_redirects", default=5, min=0, help="Redirects of a page at most."),
    ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url, headers = _credentials(self.args)
        self._secrets += [value.rpartition(" ")[2] for value in headers.values()]
        self.client = Client(
            origin_of(self.url),
            headers,
            Limits(
                float(self.args["timeout"]),
                int(float(self.args["max_size_mb"]) * MB),
                int(self.args["max_redirects"]),
            ),
            not self.args["insecure"] and (self.args["ca_file"] or True),
            _certificate(self.args),
            self.args["proxy"] or "",
        )
        for translator in _translators(self.args["translator"]):
            self.register_translator(translator)
        self._objects = {t: _compiled(e) for t, e in named(self.args["table"]).items()}
        self._columns = {t: _columns(text) for t, text in named(self.args["columns"]).items()}
        self._next = _compiled(self.args["next"])
        self._found: dict[str, tuple[Any, ...]] = {}
        self._pages: dict[str, list[tuple[str, _Taken]]] = {}
        self._read_for: dict[str, list[str]] = {}

    @classmethod
    def check(cls, args: dict[str, Any]) -> list[tuple[str, str]]:
        wrong: list[tuple[str, str]] = []
        tables = named(args["table"])
        tried: list[tuple[str, Callable[[], Any]]] = [
            ("url", lambda: _checked_url(args["url"])),
            ("translator", lambda: Translators(_translators(args["translator"]))),
            ("next", lambda: _compiled(args["next"])),
            *(("table", lambda e=e: _compiled(e)) for e in tables.values()),
            *(("columns", lambda e=e: _columns(e)) for e in named(args["columns"]).values()),
        ]
        for option, attempt in tried:
            try:
                attempt()
            except (ValueError, yaml.YAMLError) as error:
                wrong.append((option, " ".join(str(error).split())))
        for option in ("columns", "path"):
            others = [t for t in named(args[option]) if t not in tables]
            wrong += [(option, f"{t}: no such table") for t in others]
        for option in ("ca_file", "client_cert", "client_key"):
            if args[option] and not Path(args[option]).is_file():
                wrong.append((option, f"no file at {args[option]!r}"))
        return wrong

    def schema(self) -> dict[str, tuple[Any, ...]]:
        """As every source's; without columns a table's are those of the last read."""
        declared = {t: tuple(name for name, _ in columns) for t, columns in self._columns.items()}
        return {**super().schema(), **self._found, **declared}

    def update_from_datasource(self) -> None:
        paths = named(self.args["path"])
        by_url: dict[str, list[str]] = {}
        for table in self._objects:
            if self.wanted(table):
                by_url.setdefault(joined(self.url, paths.get(table, "")), []).append(table)
        for url, tables in by_url.items():
            with self.reading(*(t for table in tables for t in self._tables(table))):
                self._read(url, tables)

    def cleanup(self) -> None:
        """End the running poll and its connections; the engine calls it when the service ends."""
        super().cleanup()
        self.client.close()

    def _tables(self, root: str) -> tuple[str, ...]:
        return self.translators.tables(root) if self.translators.get(root) else (root,)

    def _read(self, url: str, tables: list[str]) -> None:
        before = self._pages.get(url, []) if self._read_for.get(url) == tables else []
        pages = list(self._read_pages(url, tables, dict(before)))
        same = [(u, id(t)) for u, t in pages] == [(u, id(t)) for u, t in before]
        for table in tables:
            if same and all(t in self.state for t in self._tables(table)):
                self.keep(*self._tables(table))
            else:
                self._put(table, [item for _, taken in pages for item in taken.items[table]])
        self._pages[url], self._read_for[url] = pages, tables

    def _put(self, table: str, items: list[Any]) -> None:
        if self.translators.get(table) is not None:
            self.update_state(table, items)
        elif table in self._columns:
            self.state[table] = set(items)
        else:
            self._found[table], self.state[table] = values.table(items)

    def _read_pages(
        self, url: str, tables: list[str], before: dict[str, _Taken]
    ) -> Iterator[tuple[str, _Taken]]:
        """Every page from `url` on, with what was taken from it now or the last time."""
        seen: set[str] = set()
        at: str | None = self._first(url)
        first = 0
        while at is not None:
            if at in seen:
                raise exceptions.SourceError("the pages go in a circle")
            if len(seen) >= int(self.args["max_pages"]):
                raise exceptions.SourceError(f"more than {len(seen)} pages (max_pages)")
            seen.add(at)
            known = before.get(at)
            page = self.client.get(at, known.marks if known else Marks())
            if page.body is None and known is not None:
                taken = known
            elif len(page.body or b"") > LARGE_B:
                taken = self.blocking(self._take, page, tables)
            else:
                taken = self._take(page, tables)
            yield at, taken
            many = max(len(items) for items in taken.items.values())
            first += many
            at = self._following(at, taken, many, len(seen), first)

    def _first(self, url: str) -> str:
        if self.args["paging"] == "page":
            return with_query(url, **{self._param("page"): str(self.args["first_page"])})
        return url

    def _following(self, at: str, taken: _Taken, many: int, pages: int, objects: int) -> str | None:
        paging, size = self.args["paging"], self.args["page_size"]
        if paging in {"link", "next"}:
            return taken.following
        if paging == "none" or not many or (size and many < size):
            return None
        number = int(self.args["first_page"]) + pages if paging == "page" else objects
        return with_query(at, **{self._param(paging): str(number)})

    def _param(self, default: str) -> str:
        return str(self.args["page_param"] or default)

    def _take(self, page: Page, tables: list[str]) -> _Taken:
        data = page.data()
        items = {table: self._items(table, data) for table in tables}
        following = page.following if self.args["paging"] == "link" else None
        if self.args["paging"] == "next":
            found = self._next.search(data)
            param = self.args["page_param"]
            if found not in (None, "", False):
                token = param and "://" not in str(found)
                following = (
                    with_query(page.url, **{param: str(found)})
                    if token
                    else joined(page.url, str(found))
                )
        return _Taken(page.marks, items, following)

    def _items(self, table: str, data: Any) -> list[Any]:
        """The objects of a table on a page, or its rows where the columns are declared."""
        try:
            found = self._objects[table].search(data)
            if found is None:
                raise exceptions.SourceError(f"{table}: its JMESPath finds nothing on the page")
            items = found if isinstance(found, list) else [found]
            columns = self._columns.get(table)
            if columns is None:
                return items
            return [values.row(path.search(item) for _, path in columns) for item in items]
        except jmespath.exceptions.JMESPathError as error:
            raise exceptions.SourceError(f"{table}: {error}") from error


def _credentials(args: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The URL without a user in it, and the headers that go to its origin alone."""
    parts = urlsplit(args["url"])
    user = args["username"] or unquote(parts.username or "")
    password = args["password"] or unquote(parts.password or "")
    headers = dict(named(args["header"]))
    if args["token"]:
        headers["Authorization"] = f"Bearer {args['token']}"
    elif user:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        headers["Authorization"] = f"Basic {pair}"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), headers


def _certificate(args: dict[str, Any]) -> tuple[str, str] | str | None:
    if args["client_cert"] and args["client_key"]:
        return args["client_cert"], args["client_key"]
    return args["client_cert"] or None


def _checked_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not a URL such as https://host/path")
    _ = parts.port


def _compiled(expression: str) -> Any:
    try:
        return jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(f"{expression!r} is no JMESPath: {error}") from error


def _columns(text: str) -> Columns:
    """(name, compiled JMESPath) of a text such as ``id, host=placement.host``."""
    columns: Columns = []
    for part in _split(text):
        name, equals, path = part.partition("=")
        renamed = equals and name.strip().isidentifier() and not path.startswith("=")
        columns.append((name.strip(), _compiled(path)) if renamed else (part, _compiled(part)))
    names = [name for name, _ in columns]
    if len(set(names)) < len(names):
        raise ValueError("a column is named twice")
    return columns


def _split(text: str) -> Iterator[str]:
    """The parts between commas, except those inside brackets and quotes."""
    part, depth, inside = "", 0, ""
    for char in text:
        if inside:
            inside = "" if char == inside else inside
        elif char in "\"'`":
            inside = char
        elif char == "," and not depth:
            yield part.strip()
            part = ""
            continue
        else:
            depth += (char in "([{") - (char in ")]}")
        part += char
    yield part.strip()


def _translators(texts: Any) -> list[dict[str, Any]]:
    """The translators of an option; each text is a translator, or a list of them."""
    several = texts if isinstance(texts, list | tuple) else [texts] if texts else []
    found: list[dict[str, Any]] = []
    for text in several:
        read = yaml.safe_load(text) if isinstance(text, str) else text
        for translator in read if isinstance(read, list) else [read]:
            if not isinstance(translator, dict):
                raise ValueError("a translator is an object")
            found.append(_with_functions(translator))
    return found


def _with_functions(value: Any) -> Any:
    """A translator whose functions are JMESPath and whose objects are dicts, as JSON's are."""
    if isinstance(value, list):
        return [_with_functions(part) for part in value]
    if not isinstance(value, dict):
        return value
    made = {key: _with_functions(part) for key, part in value.items()}
    for key in FUNCTIONS & made.keys():
        made[key] = _compiled(str(value[key])).search
    if made.get(dialect.TRANSLATION_TYPE) == dialect.HDICT:
        made.setdefault(dialect.SELECTOR_TYPE, dialect.DICT_SELECTOR)
    return made


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> HttpJsonDriver:
    """Make the service, as a cage asks for it."""
    return HttpJsonDriver(name, keys, inbox, datapath, args)
