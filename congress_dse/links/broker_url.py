"""The URL of a RabbitMQ in the form of OpenStack's ``transport_url``: hosts, virtual host, TLS.

``rabbit://user:password@host1:5672,user:password@[::1]:5672/vhost?ssl=1&ssl_ca_file=/etc/ca.pem``

A host without a user has that of the host before it, the first one ``guest``. Reserved characters
(``@ : / , ? #``) in a name or a password are written as %XX. An error names the part at fault, and
neither it nor the text of a URL shows a password.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from congress_dse import exceptions

PORT, TLS_PORT = 5672, 5671
GUEST = ("guest", "guest")  # RabbitMQ's own default, which it takes from loopback only
FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
FILES = ("ssl_ca_file", "ssl_cert_file", "ssl_key_file")
FORM = "rabbit://user:password@host:port,user:password@host:port/vhost"

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\[\]:]+))(?::(\d{1,5}))?")


@dataclass(frozen=True)
class BrokerHost:
    """One host of the URL, and who we are there."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class BrokerTLS:
    """How the broker is trusted, and how it may trust us; paths, or None."""

    ca_file: str | None = None  # None: those that the system trusts
    cert_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True)
class BrokerURL:
    """Where the broker is: one host or several of a cluster, tried in this order."""

    hosts: tuple[BrokerHost, ...]
    vhost: str = "/"
    tls: BrokerTLS | None = None

    @classmethod
    def parse(cls, text: str) -> "BrokerURL":
        """Take the URL apart; raises ConfigError with the part at fault."""
        try:
            url = urlsplit(text)
        except ValueError:
            # Its text, and so a traceback with it, may have the password.
            raise _error("a '[' or ']' is out of place", "[::1]:5672") from None
        if url.scheme != "rabbit":
            raise _error(f"the scheme is {url.scheme!r}", "it has to be rabbit, as in " + FORM)
        if url.fragment or "@" in url.path + url.query:
            raise _error("an '@' or a '#' follows the hosts", "in a password they are %40 and %23")
        tls = _tls(url.query)
        port = PORT if tls is None else TLS_PORT
        vhost = unquote(url.path.removeprefix("/")) or "/"
        return cls(tuple(_hosts(url.netloc, port)), vhost, tls)

    def __str__(self) -> str:
        hosts = ",".join(f"{host.user}:***@{host}" for host in self.hosts)
        vhost = "" if self.vhost == "/" else self.vhost
        return f"rabbit://{hosts}/{vhost}{'' if self.tls is None else '?ssl=1'}"


def _hosts(text: str, default_port: int) -> Iterator[BrokerHost]:
    user, password = GUEST
    for number, part in enumerate(text.split(","), 1):
        who, at, where = part.rpartition("@")
        if at:
            name, _, secret = who.partition(":")
            user, password = unquote(name), unquote(secret)
            if not user:
                raise _error(f"host {number} has an empty user", "user:password@host")
        found = _HOST.fullmatch(where)
        if not found:
            # Not shown: what stands there may be the rest of a password.
            raise _error(
                f"host {number} is no name or address with a port after it",
                "host:5672, [::1]:5672; ',', ':' and '/' in a password are %2C, %3A and %2F",
            )
        port = int(found[3] or default_port)
        if not 0 < port < 65536:
            raise _error(f"the port of host {number} is out of range", "1 to 65535")
        yield BrokerHost(found[1] or found[2], port, user, password)


def _tls(query: str) -> BrokerTLS | None:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(options.keys() - {"ssl", *FILES})
    if unknown:
        raise _error(f"unknown option {', '.join(unknown)}", ", ".join(["ssl", *FILES]))
    flag = options.pop("ssl", "1" if options else "0").lower()
    if flag not in FLAGS:
        raise _error("the option ssl is neither on nor off", ", ".join(FLAGS))
    if not FLAGS[flag]:
        return None
    if "ssl_key_file" in options and "ssl_cert_file" not in options:
        raise _error("ssl_key_file without ssl_cert_file", "both, or neither")
    return BrokerTLS(*(options.get(name) for name in FILES))


def _error(fault: str, allowed: str) -> exceptions.ConfigError:
    return exceptions.ConfigError(f"transport_url: {fault}; allowed: {allowed}")
