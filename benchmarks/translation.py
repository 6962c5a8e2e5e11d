"""How fast objects become rows, and that the time grows with their number and no faster.

``python -m benchmarks.translation`` translates servers such as Nova's: 12 fields, a list of
addresses and one of security groups under the server's id, and metadata with an id of its own.
``--upstream DIR`` also times the original where `congress` can be imported from DIR, alternating
with ours in the same run. Seconds are of the processor, so that neighbours on the machine matter
less; ``unchanged`` is what it costs to find that raw data need no translating.
"""

import argparse
import gc
import importlib
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from congress_dse.datasources.translators import Translators, fingerprint

VALUE = {"translation-type": "VALUE"}
PLAIN = ("id", "name", "hostId", "status", "tenant_id", "user_id", "vcpus", "ram", "locked", "az")
ADDRESSES = {
    "translation-type": "HDICT",
    "table-name": "addresses",
    "parent-key": "id",
    "parent-col-name": "server_id",
    "selector-type": "DICT_SELECTOR",
    "in-list": True,
    "field-translators": tuple(
        {"fieldname": name, "translator": VALUE} for name in ("network", "addr", "version")
    ),
}
GROUPS = {
    "translation-type": "LIST",
    "table-name": "security_groups",
    "parent-key": "id",
    "val-col": "name",
    "translator": VALUE,
}
METADATA = {
    "translation-type": "VDICT",
    "table-name": "metadata",
    "id-col": "metadata_id",
    "key-col": "key",
    "val-col": "value",
    "translator": VALUE,
}
SERVERS = {
    "translation-type": "HDICT",
    "table-name": "servers",
    "selector-type": "DICT_SELECTOR",
    "field-translators": (
        *({"fieldname": name, "translator": VALUE} for name in PLAIN),
        {
            "fieldname": "image",
            "col": "image_id",
            "translator": {"translation-type": "VALUE", "extract-fn": lambda image: image["id"]},
        },
        {"fieldname": "metadata", "translator": METADATA},
        {"fieldname": "addresses", "translator": ADDRESSES},
        {"fieldname": "security_groups", "translator": GROUPS},
    ),
}

Convert = Callable[[list[dict[str, Any]]], list[Any]]


def servers(many: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [server(draw) for _ in range(many)]


def server(draw: random.Random) -> dict[str, Any]:
    def uuid() -> str:
        return f"{draw.getrandbits(128):032x}"

    return {
        "id": uuid(),
        "name": f"vm-{draw.randrange(10**6)}",
        "hostId": uuid(),
        "status": draw.choice(("ACTIVE", "SHUTOFF", "ERROR")),
        "tenant_id": uuid(),
        "user_id": uuid(),
        "vcpus": draw.randrange(1, 64),
        "ram": 512 * draw.randrange(1, 128),
        "locked": draw.random() < 0.1,
        "az": None if draw.random() < 0.1 else "nova",
        "image": {"id": uuid()},
        "metadata": {f"key{n}": draw.choice(("on", "off", 1)) for n in range(3)},
        "addresses": [
            {"network": "private", "addr": f"10.0.{draw.randrange(256)}.{n}", "version": 4}
            for n in range(draw.randrange(1, 4))
        ],
        "security_groups": ["default", f"group-{draw.randrange(50)}"],
    }


def upstream_convert(path: str) -> Convert | None:
    os.environ.setdefault("PBR_VERSION", "2016.1")  # its tree is no git checkout
    sys.path.insert(0, path)
    try:
        module = importlib.import_module("congress.datasources.datasource_driver")
    except Exception as error:
        print(f"upstream cannot be imported from {path}: {error!r}")
        return None
    driver = module.DataSourceDriver
    return lambda objects: driver.convert_objs(objects, SERVERS)


def seconds(convert: Convert, objects: list[dict[str, Any]]) -> tuple[float, int]:
    gc.collect()
    began = time.process_time()
    rows = convert(objects)
    return time.process_time() - began, len(rows)


def measured(
    subjects: dict[str, Convert], objects: list[dict[str, Any]], sizes: list[int], runs: int
) -> dict[int, dict[str, tuple[float, int]]]:
    """Median seconds and rows by size and subject; all take turns, so that noise hits all alike."""
    times: dict[tuple[int, str], list[tuple[float, int]]] = {}
    for _ in range(runs):
        for many in sizes:
            for name, convert in subjects.items():
                took = seconds(convert, objects[:many])
                times.setdefault((many, name), []).append(took)
    return {
        many: {
            name: (statistics.median(took_s for took_s, _ in took), took[0][1])
            for (size, name), took in times.items()
            if size == many
        }
        for many in sizes
    }


def line(name: str, many: int, took_s: float, rows: int) -> str:
    made = f"{rows:>9,} {rows / took_s:>11,.0f}" if rows > 1 else f"{'-':>9} {'-':>11}"
    return f"{name:<10} {many:>8,} {made} {took_s:>8.3f} {took_s / many * 1e6:>10.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[10_000, 50_000, 100_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--upstream", metavar="DIR", help="where `congress` can be imported from")
    options = parser.parse_args()

    ours = Translators([SERVERS])
    subjects: dict[str, Convert] = {"ours": lambda objects: ours.convert(objects, "servers")}
    subjects["unchanged"] = lambda objects: [fingerprint(objects)]
    theirs = upstream_convert(options.upstream) if options.upstream else None
    if theirs is not None:
        same = servers(200, options.seed)
        assert theirs(same) == ours.convert(same, "servers"), "the rows differ"
        subjects["upstream"] = theirs

    print(f"Python {sys.version.split()[0]}, median of {options.runs} runs, seed {options.seed}")
    print(f"{'who':<10} {'objects':>8} {'rows':>9} {'rows/s':>11} {'cpu s':>8} {'us/object':>10}")
    objects = servers(max(options.objects), options.seed)
    medians = measured(subjects, objects, options.objects, options.runs)
    for many, by_name in medians.items():
        for name, (took_s, rows) in by_name.items():
            print(line(name, many, took_s, rows))
        if theirs is not None:
            ratio = by_name["upstream"][0] / by_name["ours"][0]
            print(f"  ours is {ratio:.1f} times as fast")
    per_object = [by_name["ours"][0] / many for many, by_name in medians.items()]
    spread = max(per_object) / min(per_object)
    print(f"time per object, largest to smallest over the sizes: {spread:.2f} (1 is linear)")


if __name__ == "__main__":
    main()
