"""Configuration: every option of the engine by its group, and what a file may not hold.

It is read by a master too, which has no runtime: what a datasource's section may hold is its
driver's to say, in `sources`.
"""

import importlib.util
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from oslo_config import cfg, types

from congress_dse import exceptions
from congress_dse.links.broker_url import BrokerURL
from congress_dse.manager import options as processes, scratch

DATASOURCE = "datasource:"  # opens the name of a section that makes a datasource

DEFAULT_OPTIONS = [
    cfg.StrOpt(
        "runtime",
        choices=[
            ("green", "greenthreads on eventlet, with a patched standard library"),
            ("mixed", "greenthreads on eventlet's asyncio hub, and nothing patched"),
            ("asyncio", "plain asyncio; eventlet need not be installed"),
            ("uvloop", "the same on the loop of the package uvloop"),
        ],
        sample_default="green where eventlet is installed, else asyncio",
        help="What the engine's processes run on. The environment variable CONGRESS_DSE_RUNTIME "
        "goes before it. It is changed by a new start.",
    ),
    cfg.BoolOpt("debug", default=False, mutable=True, help="Log at DEBUG instead of INFO."),
    cfg.FloatOpt(
        "blocked_after",
        default=1.0,
        min=0,
        help="Seconds after which a handler that lets nobody else have his turn is named in the "
        "log, with its line, and counted; 0 never. It is changed by a new start.",
    ),
    cfg.StrOpt(
        "log_file",
        help="File to log to; without it, the log goes to standard error.",
        metavar="PATH",
    ),
]

LINKS = "links"

LINKS_OPTIONS = [
    cfg.StrOpt(
        "node",
        default=socket.gethostname(),
        sample_default="<the host's name>",
        help="What the nodes of this engine are called after; each engine of a bus its own.",
    ),
    cfg.StrOpt(
        "transport_url",
        secret=True,
        help="RabbitMQ that joins this engine with those of other hosts, in OpenStack's form: "
        "rabbit://user:password@host1:5672,user:password@host2:5672/vhost?ssl=1. Without it the "
        "engine is alone.",
        metavar="URL",
    ),
    cfg.StrOpt(
        "exchange",
        default="congress_dse",
        help="Name of the exchange, and beginning of the names of the queues, at the broker; "
        "engines with the same one are one bus.",
    ),
    cfg.StrOpt(
        "coordination",
        secret=True,
        metavar="URL",
        help="Service that coordinates the engines which have the same sources, as a URL of tooz: "
        "redis://, etcd3+http://, zookeeper://, postgresql://, mysql://, file://. Each source runs "
        "on one of them at a time, and another takes it over when that one is gone. Without it, "
        "an engine runs all of its sources.",
    ),
    cfg.IntOpt(
        "coordination_lease",
        default=10,
        min=5,
        help="Seconds in which the sources of an engine that is gone run on another. One that "
        "cannot reach the coordination service stops its sources after a third of this. The same "
        "for all.",
    ),
]

TRACING = "tracing"

TRACING_OPTIONS = [
    cfg.BoolOpt(
        "opentelemetry",
        default=False,
        help="Make OpenTelemetry spans of asks, of handled messages and of the REST API's "
        "requests. Where they go is for OpenTelemetry's own environment variables to say: "
        "OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER. It is read when "
        "a worker starts.",
    ),
]

DATABASE_OPTIONS = [
    cfg.StrOpt(
        "connection",
        secret=True,
        help="SQLAlchemy URL of the database of the sources that are created over the API. By "
        "default an SQLite file: sources.sqlite in $XDG_STATE_HOME/congress-dse, or in "
        "~/.local/state/congress-dse. Engines that share it share these sources.",
        metavar="URL",
    ),
]

API_OPTIONS = [
    cfg.BoolOpt("enabled", default=True, help="Whether the engine serves its REST API."),
    cfg.HostAddressOpt("bind_host", default="127.0.0.1", help="Address that the API binds."),
    cfg.PortOpt("bind_port", default=1789, help="Port that the API binds; 0 is any free one."),
    cfg.IntOpt(
        "api_workers",
        default=1,
        min=0,
        mutable=True,
        help="API workers, each a process; 0 serves the API in the engine's own processes, as does "
        "[processes] workers = 0. From or to 0 it is changed by a new start.",
    ),
    cfg.StrOpt(
        "auth",
        default="none",
        choices=[
            ("none", "whoever reaches the address may ask: on a loopback address alone"),
            ("token", "static tokens, of tokens_file"),
            ("keystone", "Keystone's tokens, as [keystone_authtoken] says"),
        ],
        help="How clients are authenticated.",
    ),
    cfg.BoolOpt(
        "allow_unauthenticated",
        default=False,
        help="Serve without authentication on an address that other machines reach.",
    ),
    cfg.StrOpt(
        "tokens_file",
        metavar="PATH",
        help="File of static tokens, a line for each: NAME:TOKEN, or NAME:TOKEN:reader for one "
        "that may read only.",
    ),
    cfg.StrOpt("tls_cert", metavar="PATH", help="Certificate chain (PEM); with it, HTTPS alone."),
    cfg.StrOpt(
        "tls_key", metavar="PATH", help="Private key (PEM), where it is not in tls_cert's file."
    ),
    cfg.FloatOpt(
        "max_staleness",
        default=60,
        min=0,
        help="Seconds for which the last good rows of a source that cannot be read are still "
        "served; then its rows are answered with 503 until it can be.",
    ),
    cfg.IntOpt(
        "rows_cache",
        default=32 * 2**20,
        min=0,
        help="Bytes of tables, as the JSON that clients get, that one API worker keeps: while a "
        "table has not changed, which its source is asked for at each read, they are sent again "
        "without being made again. 0 keeps none.",
    ),
    cfg.IntOpt(
        "max_body_size",
        default=16 * 2**20,
        min=1024,
        help="Bytes that the body of a request may have.",
    ),
    cfg.IntOpt(
        "max_header_size", default=16384, min=1024, help="Bytes that a request's headers may have."
    ),
    cfg.IntOpt(
        "max_connections", default=4096, min=1, help="Connections that one worker has at a time."
    ),
    cfg.FloatOpt(
        "client_timeout",
        default=30,
        min=0.1,
        help="Seconds in which a client must have sent its request, and taken a part of the "
        "answer; one that is slower is cut off.",
    ),
    cfg.FloatOpt(
        "keepalive",
        default=75,
        min=0,
        help="Seconds for which a connection without a request is kept; 0 closes it at once.",
    ),
    cfg.FloatOpt(
        "drain_timeout",
        default=5,
        min=0,
        help="Seconds that clients have at a stop for their last requests.",
    ),
]

_TYPES: dict[type, Any] = {int: types.Integer(), float: types.Float(), str: types.String()}

# Sections that libraries read, once they are asked for: keystonemiddleware and oslo.policy.
OF_OTHERS = frozenset({"keystone_authtoken", "oslo_policy"})

GROUPS: dict[str, list[Any]] = {
    "DEFAULT": DEFAULT_OPTIONS,
    LINKS: LINKS_OPTIONS,
    processes.GROUP: [
        cfg.Opt(o.name, type=_TYPES[o.kind], default=o.default, mutable=o.mutable, help=o.help)
        for o in processes.OPTIONS
    ],
    "api": API_OPTIONS,
    "database": DATABASE_OPTIONS,
    TRACING: TRACING_OPTIONS,
}


def read(files: Iterable[str]) -> cfg.ConfigOpts:
    """Read configuration files; raises ConfigError where one cannot be read or parsed.

    What else may be wrong with them is told by `faults`.
    """
    names = list(files)
    for name in names:
        if not Path(name).is_file():
            raise exceptions.ConfigError(f"{name}: no such file")
        try:
            Path(name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise exceptions.ConfigError(f"{name}: cannot be read: {one_line(error)}") from error
    conf = cfg.ConfigOpts()
    for group, opts in GROUPS.items():
        conf.register_opts(opts, group=None if group == "DEFAULT" else group)
    try:
        conf([], project="congress-dse", default_config_files=names, default_config_dirs=[])
    except (cfg.Error, OSError) as error:
        raise exceptions.ConfigError(one_line(error)) from error
    return conf


def faults(conf: cfg.ConfigOpts) -> list[str]:
    """A line for each section and option at fault, outside the datasources' sections."""
    return [*_unknown(conf), *(_wrong(conf) or _links(conf[LINKS]))]


def parsed(conf: cfg.ConfigOpts) -> list[dict[str, dict[str, list[str]]]]:
    """The sections of each file, as text: for those whose options nobody registers."""
    every = []
    for name in conf.default_config_files:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(name, sections).parse()
        every.append(sections)
    return every


def control_path(conf: cfg.ConfigOpts) -> str:
    """Where the master of this configuration listens for orders."""
    given: str = conf[processes.GROUP].control_socket
    if given:
        return given
    owner = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return str(Path(scratch.home()) / f"congress-dse-{owner}.control")


def database(conf: cfg.ConfigOpts) -> str:
    """The SQLAlchemy URL of the engine's database."""
    return conf.database.connection or f"sqlite:///{state_path('sources.sqlite')}"


def state_path(name: str) -> str:
    """Where the engine keeps `name` over a restart, if nothing else is configured."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return str(Path(home) / "congress-dse" / name)


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())


def _unknown(conf: cfg.ConfigOpts) -> list[str]:
    """A line for each section and option that nobody reads: most often it is misspelt."""
    known = {group: {option.dest for option in opts} for group, opts in GROUPS.items()}
    wrong = []
    for file in parsed(conf):
        for section, values in file.items():
            if section.startswith(DATASOURCE):
                continue
            if section in OF_OTHERS:
                continue
            if section not in known:
                wrong.append(f"[{section}]: no such section; a datasource is [{DATASOURCE}NAME]")
                continue
            wrong += [f"[{section}] {k}: no such option" for k in values if k not in known[section]]
    return wrong


def _links(options: Any) -> list[str]:
    """A line for what is wrong with the link to other hosts; no password is in it."""
    if not options.transport_url:
        return []
    if importlib.util.find_spec("amqp") is None:
        return ["[links] transport_url: needs the library amqp; install congress-dse[rabbit]"]
    try:
        BrokerURL.parse(options.transport_url)
    except exceptions.ConfigError as error:
        return [f"[{LINKS}] {error}"]
    return []


def _wrong(conf: cfg.ConfigOpts) -> list[str]:
    """A line for each option whose value is not of its type."""
    wrong = []
    for group, opts in GROUPS.items():
        for option in opts:
            try:
                (conf if group == "DEFAULT" else conf[group])[option.dest]
            except (cfg.Error, ValueError) as error:
                wrong.append(f"[{group}] {option.dest}: {one_line(error)}")
    return wrong
