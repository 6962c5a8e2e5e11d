"""file: the CSV, JSON and YAML files of a folder as tables; ``hosts.csv`` is the table ``hosts``.

A file is read again when its time or size changed. One that cannot be read, or is half written,
keeps the table's last good rows and makes it stale; one that is gone leaves an empty table.
"""

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import yaml
from oslo_config import cfg

from congress_dse import exceptions
from congress_dse.datasources import values
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.datasources.options import describe

SETTLED_S = 2.0  # a file whose end may be missing is taken as it is once it rested so long

Row = tuple[Any, ...]

FAULTS = (ValueError, RecursionError, csv.Error, yaml.YAMLError, exceptions.SourceError)


class FileDriver(PollingDataSourceDriver):
    """The tables of one folder."""

    DESCRIPTION = "The CSV, JSON and YAML files of a folder, read again when they change."
    OPTIONS: ClassVar[list[Any]] = [
        cfg.StrOpt("path", required=True, help="The folder; each file in it is a table.")
    ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.path = Path(self.args["path"])
        self.columns: dict[str, Row] = {}
        self._seen: dict[str, tuple[str, int, int]] = {}

    @classmethod
    def check(cls, args: dict[str, Any]) -> list[tuple[str, str]]:
        """(option, what is wrong with its value) of every option that cannot work."""
        path = Path(args["path"])
        return [] if path.is_dir() else [("path", f"no folder at {str(path)!r}")]

    def schema(self) -> dict[str, Row]:
        """The columns of each table are those of its file, as it was last read."""
        return {**super().schema(), **{t: self.columns[t] for t in self.state if t in self.columns}}

    def update_from_datasource(self) -> None:
        if not self.path.is_dir():
            raise exceptions.SourceError(f"no folder at {str(self.path)!r}")
        found = self._files()
        for table in (self.state.keys() | self.stale.keys()) - found.keys() - {"*"}:
            self.state.pop(table, None)
            self._seen.pop(table, None)
            self.mark_fresh(table)
        for table, file in found.items():
            if self.wanted(table):
                self._read(table, file)

    def _files(self) -> dict[str, Path]:
        """The file of each table; where two files have one name, the first is taken."""
        found: dict[str, Path] = {}
        for file in sorted(self.path.iterdir()):
            if file.suffix.lower() in READERS and file.name[0] != "." and not file.is_dir():
                found.setdefault(file.stem, file)
        return found

    def _read(self, table: str, file: Path) -> None:
        with self.reading(table):
            about = file.stat()
            seen = (file.name, about.st_mtime_ns, about.st_size)
            if self._seen.get(table) == seen and table not in self.stale:
                self.keep(table)
                return
            text = file.read_text(encoding="utf-8-sig")
            age_s = time.time() - about.st_mtime
            if not text.endswith("\n") and age_s < SETTLED_S:
                raise exceptions.SourceError(
                    f"{file.name} may be half written: its last line is not ended, "
                    f"and it changed less than {SETTLED_S:g} s ago"
                )
            columns, rows = self._parsed(file, text)
            self.state[table], self.columns[table] = rows, columns
            self._seen[table] = seen

    @staticmethod
    def _parsed(file: Path, text: str) -> tuple[Row, set[Row]]:
        try:
            return READERS[file.suffix.lower()](text)
        except FAULTS as error:
            raise exceptions.SourceError(f"{file.name}: {describe(error)}") from error


def read_csv(text: str) -> tuple[Row, set[Row]]:
    """Columns and rows of CSV text whose first line names the columns; a blank line is no row."""
    lines = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    if not lines:
        raise exceptions.SourceError("the first line, which names the columns, is missing")
    columns, rows = tuple(lines[0]), [tuple(line) for line in lines[1:]]
    for number, row in enumerate(rows, 2):
        if len(row) != len(columns):
            raise exceptions.SourceError(
                f"row {number} has {len(row)} fields, the first line names {len(columns)}"
            )
    return columns, set(rows)


def read_json(text: str) -> tuple[Row, set[Row]]:
    """Columns and rows of a JSON list."""
    return values.table(json.loads(text))


def read_yaml(text: str) -> tuple[Row, set[Row]]:
    """Columns and rows of a YAML list; a date or a time is text in ISO 8601."""
    return values.table(yaml.load(text, Loader=_Yaml))  # noqa: S506 - a safe one


class _Yaml(yaml.SafeLoader):
    """YAML of plain values; tells where a date stands that is none."""

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value!r} is no date: {error}", node.start_mark
            ) from error


_Yaml.add_constructor("tag:yaml.org,2002:timestamp", _Yaml.construct_yaml_timestamp)


READERS: dict[str, Callable[[str], tuple[Row, set[Row]]]] = {
    ".csv": read_csv,
    ".json": read_json,
    ".yaml": read_yaml,
    ".yml": read_yaml,
}


def d6service(name: str, keys: Any, inbox: Any, datapath: Any, args: Any) -> FileDriver:
    """Make the service, as a cage asks for it."""
    return FileDriver(name, keys, inbox, datapath, args)
