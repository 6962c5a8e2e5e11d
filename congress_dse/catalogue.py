"""Catalogue: every source there is to be: those of the configuration, and those of the store."""

import logging
import re
import uuid
from functools import cache
from typing import Any

from congress_dse import config, exceptions, sources
from congress_dse.datasources.datasource_driver import DataSourceDriver
from congress_dse.sources import Source
from congress_dse.store import Entry, Store

LOG = logging.getLogger(__name__)

GIVEN = uuid.UUID("b0d7b3a1-5a52-4c1e-9a3e-5f0a3c1d7a10")  # makes the ids of configured sources
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:]*")
NAME_MAX = 200  # characters; a key of the bus has at most 255 bytes
# The bus has these keys already, or makes them of a service's name.
TAKEN = re.compile(
    r"(d6cage|router|watch|engines|allservices|api|facts)([.].*)?|(local|engine)[.].*"
)


class Catalogue:
    """What a process knows of sources. The store may be None: then there is only what is given."""

    def __init__(self, files: list[str], store: Store | None) -> None:
        self._files = files
        self._store = store
        self._kept: list[Entry] = []
        self._every: list[Entry] = []
        self._found: dict[str, Entry] = {}
        # Who starts the engine has told what is left out.
        self._give(sources.usable(config.read(files))[0])

    def reload(self) -> None:
        """Read the configuration again; raises ConfigError, and changes nothing."""
        self._give(sources.sources(config.read(self._files)))

    def _give(self, found: list[Source]) -> None:
        self._given = [(_entry(source), source) for source in found]
        self._gather(self._kept)

    def _gather(self, kept: list[Entry]) -> None:
        """Put what is given and what is kept together; a name goes before an id."""
        given = [entry for entry, _ in self._given]
        names = {entry.name for entry in given}
        self._kept, self._every = kept, [*given, *(e for e in kept if e.name not in names)]
        backwards = self._every[::-1]
        self._found = {e.id: e for e in backwards} | {e.name: e for e in backwards}

    def entries(self) -> list[Entry]:
        """Every source; of two with one name, the configuration's."""
        return list(self._all()[1])

    def find(self, name_or_id: str) -> Entry | None:
        """The source of this name or id."""
        self._all()
        return self._found.get(name_or_id)

    def options(self, entry: Entry) -> list[Any] | None:
        """The options of a source's driver; None for a driver that is not there any more."""
        if entry.given:
            drivers = [source.driver for given, source in self._given if given.id == entry.id]
            return drivers[0].options() if drivers else None
        try:
            return sources.installed_driver(entry.driver).options()
        except exceptions.ConfigError:
            return None

    def wanted(self) -> tuple[int, list[Source]]:
        """The store's revision, and all that is to run.

        A stored one that its driver does not take any more is left out, and logged.
        """
        revision, every = self._all()
        found = self.configured()
        for entry in every:
            if entry.enabled and not entry.given:
                try:
                    found.append(made(entry))
                except exceptions.ConfigError as error:
                    LOG.error("source %s is left out: %s", entry.name, config.one_line(error))
        return revision, found

    def configured(self) -> list[Source]:
        """The sources of the configuration files alone."""
        return [source for _, source in self._given]

    def events(self, limit: int, before: int = 0, kind: str = "") -> list[dict[str, Any]]:
        """What happened to the engine, newest first; raises StoreError."""
        return self._stored().events(limit, before, kind)

    def add(self, entry: Entry) -> int:
        """Keep a new source; the revision. Raises NameTaken, StoreError, ConfigError."""
        store = self._stored()
        if any(entry.name == e.name or entry.id == e.id for e, _ in self._given):
            raise exceptions.NameTaken(f"a source named {entry.name!r} exists already")
        return store.add(entry)

    def remove(self, entry: Entry) -> int:
        """Forget a stored source; the revision."""
        return self._stored().remove(entry)

    def _stored(self) -> Store:
        if self._store is None:
            raise exceptions.StoreError("there is no database for sources: [database] connection")
        return self._store

    def _all(self) -> tuple[int, list[Entry]]:
        revision, kept = (0, self._kept) if self._store is None else self._store.read()
        if kept is not self._kept:
            self._gather(kept)
        return revision, self._every


def store(conf: Any) -> Store:
    """The database that `conf` names; raises ConfigError for none that there can be."""
    return Store(config.database(conf))


def made(entry: Entry) -> Source:
    """The source that `entry` describes; raises ConfigError for what its driver does not take."""
    driver = sources.installed_driver(entry.driver)
    given = {**entry.config}
    if entry.description and any(o.dest == "description" for o in driver.options()):
        given.setdefault("description", entry.description)
    args = sources.checked(driver, given, entry.name)
    return Source(entry.name, driver, args, driver_name=entry.driver)


@cache
def installed() -> tuple[dict[str, type[DataSourceDriver]], dict[str, str]]:
    """Every installed driver, and why others are none; looked for once in a process."""
    return sources.installed()


def wrong_name(name: Any) -> str:
    """What is wrong with the name of a source; empty for a good one."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return "must begin with a letter, and hold letters, digits, '_', '.' and ':' alone"
    if len(name) > NAME_MAX:
        return f"has {len(name)} characters; allowed are {NAME_MAX}"
    return "is one of the engine's own" if TAKEN.fullmatch(name) else ""


def _entry(source: Source) -> Entry:
    about = str(source.args.get("description", ""))
    id_ = str(uuid.uuid5(GIVEN, source.name))
    return Entry(id_, source.name, source.driver_name, about, dict(source.args), given=True)
