"""What follows from the facts of several nodes together: who lags, and who waits in a circle."""

from typing import Any

Fact = dict[str, Any]


def lagging(tables: list[Fact], subscriptions: list[Fact]) -> list[Fact]:
    """The tables, each with its subscribers and their lag: versions that they have yet to see.

    The lag of a subscriber is None where it has seen no version of the publisher's present life.
    """
    followers: dict[tuple[str, str], list[Fact]] = {}
    for sub in subscriptions:
        for sender, at in sub["publishers"].items():
            followers.setdefault((sender, sub["table"]), []).append({**sub, **at})
    return [
        _table(table, followers.get((table["service"], table["table"]), [])) for table in tables
    ]


def circles(waits: list[Fact]) -> list[list[str]]:
    """The rings of those who wait for each other, each told from its first name on."""
    whom = {wait["who"]: wait["whom"] for wait in waits}
    found: set[tuple[str, ...]] = set()
    for start in whom:
        way = [start]
        while (following := whom.get(way[-1])) is not None and following not in way:
            way.append(following)
        if following is not None:
            ring = way[way.index(following) :]
            first = ring.index(min(ring))
            found.add((*ring[first:], *ring[:first]))
    return [list(ring) for ring in sorted(found)]


def waiting(found: Fact) -> Fact:
    """What the nodes said of who waits for whom, with the circles, and who is in one."""
    rings = circles(found["results"])
    inside = {name for ring in rings for name in ring}
    told = [{**wait, "circle": wait["who"] in inside} for wait in found["results"]]
    return {**found, "results": told, "circles": rings}


def _table(table: Fact, followers: list[Fact]) -> Fact:
    subscribers = [_follower(table, one) for one in followers]
    lags = [one["lag"] for one in subscribers if one["lag"] is not None]
    return {**table, "subscribers": subscribers, "lag": max(lags, default=0)}


def _follower(table: Fact, follower: Fact) -> Fact:
    same = follower["epoch"] == table["epoch"]
    lag = max(0, table["version"] - follower["version"]) if same and follower["version"] else None
    return {
        "subscriber": follower["subscriber"],
        "node": follower["node"],
        "worker": follower["worker"],
        "version": follower["version"],
        "lag": lag,
        "lag_s": follower["oldest_s"] if lag else 0.0,
        "behind": follower["behind"],
        "depth": follower["depth"],
    }
