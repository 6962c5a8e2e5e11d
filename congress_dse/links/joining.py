"""Joining: make the cage of this process a node of its bus, over every link that it is to have."""

import os
from typing import Any

from congress_dse.links.local import Local
from congress_dse.links.rabbit import Rabbit
from congress_dse.links.way import Way


def join(cage: Any, way: Way, worker: str, options: Any) -> list[Any]:
    """Join `cage` as the worker of this name; return its links, each with a ``close``.

    `options` are those of ``[links]``. Raises LinkError where a link cannot be had, ConfigError
    where an option is wrong; a broker that is not there is waited for.
    """
    name = f"{worker}.{os.getpid()}"  # a worker and its replacement may overlap
    cage.bus.node = f"{name}@{way.host}"
    links: list[Any] = [Local(cage, way.home, name)] if way.home else []
    if options.transport_url:
        links.append(Rabbit(cage, options.transport_url, options.exchange))
    return links
