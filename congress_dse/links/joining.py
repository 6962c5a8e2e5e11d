"""Joining: make the cage of this process a node of its bus, over every link that it is to have."""

import os
from typing import Any

from congress_dse.links.local import Local
from congress_dse.links.way import Way


def join(cage: Any, way: Way, worker: str) -> list[Any]:
    """Join `cage` as the worker of this name; return its links, each with a ``close``.

    Raises LinkError where a link cannot be had.
    """
    name = f"{worker}.{os.getpid()}"  # a worker and its replacement may overlap
    cage.bus.node = f"{name}@{way.host}"
    return [Local(cage, way.home, name)] if way.home else []
