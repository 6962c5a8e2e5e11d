"""Locks: what tooz leaves to the library of each service: limits, proofs, and how a lock is left.

tooz has one word for getting a lock and one for giving it back. Whether a lock is ours at this
moment, how long a call may take, and what becomes of a lock that cannot be given back differs from
service to service; it is known here, and nowhere else.
"""

import base64
import logging
import os
import secrets
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

with warnings.catch_warnings():
    # A library of tooz's looks whether there is an eventlet, which says at import that it is old.
    warnings.filterwarnings("ignore", message="\nEventlet is deprecated")
    import tooz
    from tooz import coordination

from congress_dse.exceptions import ConfigError
from congress_dse.leases import Leases

LOG = logging.getLogger(__name__)

Unable = tooz.NotImplemented  # the service has no such thing
Forgotten = (coordination.GroupNotCreated, coordination.MemberNotJoined)
StillThere = coordination.MemberAlreadyExist

# What to install for a scheme, where it is not `tooz[scheme]`.
EXTRAS = {"etcd3+http": "etcd3gw", "etcd3+https": "etcd3gw", "kazoo": "zookeeper"}
USELESS = {
    "ipc": "its locks are of one host, and outlive who has them",
    "kubernetes": "its locks have no end: what a dead engine had, nobody would take over",
}
# For libpq, where the environment says nothing else: a silent server is given up, and the server
# gives up the sessions of a dead host, by their keepalives, before tomorrow.
LIBPQ = {
    "PGCONNECT_TIMEOUT": "3",
    "PGOPTIONS": "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3",
}


def coordinator(url: str, leases: Leases) -> Any:
    """Tooz's coordinator for `url`, not started; raises ConfigError where there can be none."""
    for name, value in LIBPQ.items():
        os.environ.setdefault(name, value)
    scheme = urlsplit(url).scheme
    if scheme in USELESS:
        raise ConfigError(f"[links] coordination: not with {scheme!r}: {USELESS[scheme]}")
    member = f"{leases.node}.{os.getpid()}.{secrets.token_hex(4)}".encode()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="\nEventlet is deprecated")
            made = coordination.get_coordinator(url, member, **_limits(scheme, leases))
    except (tooz.ToozError, RuntimeError, ImportError, ValueError, TypeError) as error:
        needs = f"pip install 'tooz[{EXTRAS.get(scheme, scheme)}]'"
        hint = f"is there such a one, and what it needs: {needs}?"
        raise ConfigError(f"[links] coordination: no service {scheme!r}; {hint}") from error
    if scheme == "redis":
        _without_retries(made)
    return made


def _limits(scheme: str, leases: Leases) -> dict[str, Any]:
    ttl_s, beat_s = str(leases.times.ttl_s), leases.times.beat_s
    limits: dict[str, Any] = {"lock_timeout": ttl_s, "membership_timeout": ttl_s, "timeout": ttl_s}
    limits["socket_timeout"] = limits["socket_connect_timeout"] = str(beat_s)
    if scheme in {"zookeeper", "kazoo"}:
        # Else it waits longer and longer before it looks whether the service is back: for hours.
        limits["connection_retry"] = {"max_tries": -1, "max_delay": beat_s}
    return limits


def _without_retries(made: Any) -> None:
    """Have a call of Redis fail when it fails: its client would try for longer than a lease."""
    never = import_module("redis.retry").Retry(import_module("redis.backoff").NoBackoff(), 0)
    make = vars(type(made))["_make_client"].__get__(None, type(made))

    def client(*args: Any) -> Any:
        found = make(*args)
        manager = getattr(found.connection_pool, "sentinel_manager", None)
        for each in (found, *(manager.sentinels if manager is not None else ())):
            each.set_retry(never)
        return found

    vars(made)["_make_client"] = client


def got(lock: Any) -> bool:
    """Whether `lock`, which this node has not, was free and is ours now."""
    if lock.acquire(blocking=False):
        return True
    if type(lock).__name__ == "ZooKeeperLock":
        _tidy(vars(lock)["_client"], vars(lock)["_lock"])
    return False


def _tidy(client: Any, lock: Any) -> None:
    """Take back bids of ours that a broken connection left in ZooKeeper's queue.

    They live as long as the session does, and nobody behind them would ever have the lock.
    """

    def take_back(path: str) -> None:
        if client.get(path)[0] == lock.data:
            client.delete(path)

    for bid in client.get_children(lock.path):
        tried(partial(take_back, f"{lock.path}/{bid}"))  # another's may be gone by now


def proof(lock: Any) -> bool:
    """Whether `lock` is ours at this moment, as its service says; raises what its library does."""
    prove = PROOFS.get(type(lock).__name__)
    return bool(lock.is_still_owner() if prove is None else prove(lock))


def _of_etcd(lock: Any) -> bool:
    """Tooz refreshes its lease, and does not look whether that was over: the key says whose it is.

    It is read from the majority, as etcd reads unless told otherwise.
    """
    about = vars(lock)
    mine = base64.b64decode(about["_uuid"])
    return mine in about["_coord"].client.get(about["_key"].decode())


def _of_zookeeper(lock: Any) -> bool:
    """Our bid is there still; its name is its own.

    Any server answers with what it knows, also one that is cut off: first it catches up. tooz takes
    a lock for lost when the connection breaks, which its session may well survive.
    """
    client, held = vars(lock)["_client"], vars(lock)["_lock"]
    client.sync(held.path)
    return held.node is not None and client.exists(f"{held.path}/{held.node}") is not None


def _of_session(lock: Any) -> bool:
    """A lock of a database lives as long as its session, at which tooz has no word for looking."""
    connection = vars(lock).get("_conn")
    if connection is None:
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        connection.commit()
    except Exception as error:  # noqa: BLE001 (of whatever library it is; the session is gone)
        LOG.debug("coordination: %s", error)
        return False
    return True


PROOFS: dict[str, Callable[[Any], bool]] = {
    "Etcd3Lock": _of_etcd,
    "ZooKeeperLock": _of_zookeeper,
    "PostgresLock": _of_session,
    "MySQLLock": _of_session,
}


def leave(lock: Any) -> None:
    """Give a lock back, as far as that can be; in any case it is kept alive no longer."""
    tried(lock.release)
    about = vars(lock)
    connection, owner = about.get("_conn"), about.get("_coord")
    if connection is not None:  # a session that was cut may live on at the server, with its lock
        lock.acquired = False
        tried(connection.close)
    if owner is not None:  # it renews what it believes to be its own: nobody would have it again
        vars(owner).get("_acquired_locks", set()).discard(lock)


def tried(call: Callable[[], Any]) -> None:
    """Make a call that may fail, of whatever library a service needs."""
    try:
        call()
    except Exception as error:  # noqa: BLE001
        LOG.debug("coordination: %s: %s", call, error)
