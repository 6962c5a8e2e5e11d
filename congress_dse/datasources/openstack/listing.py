"""How a service lists its objects: what to ask for, page by page, and what to keep of the answers.

A pure machine: `pages` yields the query of each request and is sent its answer. A further page is
asked for at the place of the first, with the query of the link to it: the link itself may name a
host that only the service's own side knows.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from congress_dse import exceptions

Query = dict[str, Any]


@dataclass(frozen=True)
class Listing:
    """One list of a service.

    `key` is where the list is in an answer, `inside` where the object is in an element, `fields`
    the query that asks for certain fields alone, joined by commas where `joined`.
    """

    path: str
    key: str
    query: Query = field(default_factory=dict)
    microversion: str | None = None
    paged: bool = True
    inside: str = ""
    fields: str = ""
    joined: bool = False
    every_project: Query = field(default_factory=dict)

    def first(self, wanted: Iterable[str], page_size: int, all_projects: bool) -> Query:
        """The query of the first page."""
        query = {**self.query, **(self.every_project if all_projects else {})}
        if self.fields:
            query[self.fields] = ",".join(wanted) if self.joined else list(wanted)
        if self.paged and page_size:
            query["limit"] = page_size
        return query


def pages(listing: Listing, first: Query) -> Generator[Query, Any, None]:
    """Yield the query of each page, and be sent the answer to it.

    Raises SourceError for a link that leads to where we have been.
    """
    query: Query | None = first
    been: list[Any] = []
    while query is not None:
        answer = yield query
        link = next_link(answer) if listing.paged else None
        marker = None if link is None else parse_qs(urlsplit(link).query)
        if marker is not None and marker in been:
            raise exceptions.SourceError(f"{listing.path}: the link to the next page goes round")
        been.append(marker)
        query = None if marker is None else {**first, **marker}


def objects(listing: Listing, answer: Any, wanted: Iterable[str]) -> list[dict[str, Any]]:
    """The objects of one page, with the wanted fields alone; raises SourceError for no list."""
    found = answer.get(listing.key) if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise exceptions.SourceError(f"{listing.path}: no list {listing.key!r} in the answer")
    if answer.get("truncated") and not (listing.paged and next_link(answer)):
        raise exceptions.SourceError(f"{listing.path}: the service sends a part of the list only")
    names = tuple(wanted)
    if listing.inside:
        found = [each[listing.inside] for each in found]
    return [{name: each.get(name) for name in names} for each in found]


def next_link(answer: Any) -> str | None:
    """The link to the next page, in any of the forms that the services have; None on the last."""
    if not isinstance(answer, dict):
        return None
    for key, value in answer.items():
        if key.endswith("_links") and isinstance(value, list):
            for link in value:
                if link.get("rel") == "next":
                    return str(link["href"])
    links = answer.get("links")
    link = answer.get("next") or (links.get("next") if isinstance(links, dict) else None)
    return None if link is None else str(link)
