"""Way: how a worker's cage joins its bus. A master makes it, so nothing here has a runtime."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Way:
    """Plain values, for they cross to a spawned process.

    `home` is the directory of the engine's local links, `host` what its nodes are called after,
    `control` where its master listens for orders, `leases` where its lease worker is found.
    """

    home: str
    host: str
    control: str = ""
    leases: str = ""
