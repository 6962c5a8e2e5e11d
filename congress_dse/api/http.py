"""A request and a response as the routes see them, whatever server brings and takes them."""

import json as text_json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from congress_dse.exceptions import ApiError

JSON = "application/json"
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "te"})


class Who(NamedTuple):
    """Whose request it is, as far as authentication knows."""

    name: str = ""
    roles: tuple[str, ...] = ()
    project: str = ""


NOBODY = Who()


@dataclass(slots=True)
class Request:
    """What a client asks. Names of headers are lower-case; a parameter given twice has its last.

    The app says who asks, by what id the log knows it, and which route it has.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    who: Who = NOBODY
    scheme: str = "http"
    id: str = ""
    pattern: str = "other"

    def url(self, path: str) -> str:
        """The address of `path` on the server, as this client reaches it."""
        return f"{self.scheme}://{self.headers.get('host', 'localhost')}{path}"

    def json(self) -> Any:
        """The body as JSON; raises ApiError for another type, charset or no JSON at all."""
        kind, _, rest = self.headers.get("content-type", JSON).partition(";")
        if kind.strip().lower() not in {JSON, ""}:
            raise ApiError(400, f"Unsupported Content-Type; must be {JSON!r}")
        charset = rest.partition("charset=")[2].strip(" \"'").lower() or "utf-8"
        if charset not in {"utf-8", "utf8", "us-ascii"}:
            raise ApiError(400, f"Unsupported charset {charset!r}; must be 'UTF-8'")
        try:
            return text_json.loads(self.body.decode("utf-8"), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, f"Failed to parse body as JSON: {error}") from error

    def number(self, name: str, default: int, least: int = 1, most: int = 2**31) -> int:
        """The whole number that parameter `name` is; raises ApiError for anything else."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and least <= int(text[:12]) <= most):
            raise ApiError(400, f"{name}: {text[:40]!r} is no number from {least} to {most}")
        return int(text)


@dataclass
class Response:
    """What is answered. A `body` that is an iterator is sent as it comes, and closed at the end."""

    status: int = 200
    body: bytes | Iterator[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def streams(self) -> bool:
        """Whether the body comes bit by bit."""
        return not isinstance(self.body, bytes)


def json(data: Any, status: int = 200, **headers: str) -> Response:
    """A response of JSON; the words of a header's name are joined by ``_`` here."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, dumps(data), {"content-type": f"{JSON}; charset=UTF-8", **named})


def dumps(data: Any) -> bytes:
    """`data` as JSON; text stays readable, and what JSON has no word for is text."""
    return text_json.dumps(data, ensure_ascii=False, default=_plain).encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
