"""host: this machine's processes, processors, disks, network interfaces and connections."""

from collections.abc import Callable
from typing import Any

import psutil

from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.runtime import chosen as runtime

# psutil keeps an object for each process, with a lock that eventlet has made one of greenthreads:
# two native threads that want it hang. So one at a time lists processes, by a lock of the system's.
_LISTING = runtime.unpatched("_thread").allocate_lock()

MB = 1024 * 1024

Row = tuple[Any, ...]


class HostDriver(PollingDataSourceDriver):
    """The tables of one machine; one that the system does not let us read is stale, alone."""

    DESCRIPTION = "This machine: processes, cpus, disks, network_interfaces, connections."
    SCHEMA = {
        "processes": ("pid", "ppid", "name", "user", "status", "threads", "memory_mb"),
        "cpus": ("cpu", "busy_percent"),
        "disks": ("device", "mountpoint", "fstype", "total_mb", "used_mb"),
        "network_interfaces": ("name", "family", "address", "netmask", "up", "speed_mbit", "mtu"),
        "connections": (
            "family",
            "type",
            "local_address",
            "local_port",
            "remote_address",
            "remote_port",
            "status",
            "pid",
        ),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cpu_times = psutil.cpu_times(percpu=True)

    def update_from_datasource(self) -> None:
        for table, read in {**READERS, "cpus": self.cpus}.items():
            if self.wanted(table):
                with self.reading(table):
                    # A machine with many processes or sockets takes a while to look through.
                    self.state[table] = self.blocking(read)

    def cpus(self) -> set[Row]:
        """The share of time each processor was busy since the last poll."""
        before, now = self._cpu_times, psutil.cpu_times(percpu=True)
        self._cpu_times = now
        return {
            (at, _busy_percent(*pair)) for at, pair in enumerate(zip(before, now, strict=False))
        }


def processes() -> set[Row]:
    """One row for each process; one that ends while it is read is left out."""
    wanted = ["pid", "ppid", "name", "username", "status", "num_threads", "memory_info"]
    rows = set()
    with _LISTING:
        for process in psutil.process_iter(wanted):
            pid, ppid, name, user, status, threads, memory = map(process.info.get, wanted)
            used_mb = round(memory.rss / MB) if memory else 0
            rows.add((pid, ppid, name or "", user or "", status, threads or 0, used_mb))
    return rows


def disks() -> set[Row]:
    """One row for each mounted disk that can be looked at."""
    rows = set()
    for disk in psutil.disk_partitions():
        try:
            usage = psutil.disk_usage(disk.mountpoint)
        except OSError:
            continue
        total_mb, used_mb = round(usage.total / MB), round(usage.used / MB)
        rows.add((disk.device, disk.mountpoint, disk.fstype, total_mb, used_mb))
    return rows


def network_interfaces() -> set[Row]:
    """One row for each address of each interface."""
    known = psutil.net_if_stats()
    rows = set()
    for name, addresses in psutil.net_if_addrs().items():
        about = known.get(name)
        state = (str(about.isup), about.speed, about.mtu) if about else ("False", 0, 0)
        for a in addresses:
            rows.add((name, a.family.name, a.address or "", a.netmask or "", *state))
    return rows


def connections() -> set[Row]:
    """One row for each socket of the internet families."""
    rows = set()
    for c in psutil.net_connections(kind="inet"):
        local, remote = c.laddr or ("", 0), c.raddr or ("", 0)
        rows.add((c.family.name, c.type.name, *local[:2], *remote[:2], c.status, c.pid or 0))
    return rows


def _busy_percent(before: Any, now: Any) -> int:
    total_s = sum(now) - sum(before)
    return round(100 * (1 - (now.idle - before.idle) / total_s)) if total_s > 0 else 0


READERS: dict[str, Callable[[], set[Row]]] = {
    "processes": processes,
    "disks": disks,
    "network_interfaces": network_interfaces,
    "connections": connections,
}


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> HostDriver:
    """Make the service, as a cage asks for it."""
    return HostDriver(name, keys, inbox, datapath, args)
