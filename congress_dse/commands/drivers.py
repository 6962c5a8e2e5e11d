"""List the drivers, show what one takes, or try one: poll once and print its tables."""

import argparse
import json
import logging
import sys
from collections.abc import Iterable
from typing import Any

from congress_dse import exceptions, sources
from congress_dse.datasources import options as secrets
from congress_dse.datasources.datasource_driver import DataSourceDriver, PollingDataSourceDriver
from congress_dse.watch import readable

FAILED = 1
ROWS = 20  # of each table, for people


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    orders = parser.add_subparsers(metavar="ORDER", required=True)
    for name, order, text in (
        ("list", list_drivers, "list every installed driver"),
        ("show", show, "show a driver's options and tables"),
        ("try", try_out, "poll once and print the tables"),
    ):
        own = orders.add_parser(name, help=text, description=order.__doc__)
        own.set_defaults(order=order)
        own.add_argument("--json", action="store_true", help="print one JSON object")
        if name != "list":
            own.add_argument("driver", help="name of a driver, or path of a module file")
        if name == "try":
            own.add_argument(
                "--config",
                action="append",
                default=[],
                metavar="OPTION=VALUE",
                help="an option of the driver; given several times where it takes several values",
            )
            own.add_argument(
                "--rows", type=int, default=ROWS, help=f"rows shown of a table (default {ROWS})"
            )


def run(args: argparse.Namespace) -> int:
    """Do the order; raises ConfigError for wrong input."""
    return int(args.order(args))


def list_drivers(args: argparse.Namespace) -> int:
    """List every installed driver, and why one cannot be used."""
    found, causes = sources.installed()
    texts = {name: made_by.DESCRIPTION or _first_line(made_by) for name, made_by in found.items()}
    if args.json:
        about = {name: {"description": text} for name, text in texts.items()}
        _print_json({**about, **{name: {"cannot_be_used": why} for name, why in causes.items()}})
    else:
        lines = {**texts, **{name: f"cannot be used: {why}" for name, why in causes.items()}}
        _print_columns(sorted(lines.items()))
    return 0


def show(args: argparse.Namespace) -> int:
    """Show the options of a driver and, as far as they are known before a poll, its tables."""
    made_by = sources.driver(args.driver)
    options = [_about(option) for option in made_by.options()]
    tables = {table: _names(columns) for table, columns in made_by.get_schema().items()}
    if args.json:
        about = {"description": made_by.DESCRIPTION, "options": options, "tables": tables}
        _print_json({"driver": args.driver, **about})
        return 0
    _print(f"{args.driver}: {made_by.DESCRIPTION or _first_line(made_by)}", "", "Options:")
    for option in options:
        marks: list[str] = [
            option["default"],
            *(mark for mark in ("secret", "several") if option[mark]),
        ]
        _print(f"  {option['name']} ({', '.join(marks)})", f"      {option['help']}")
    _print("", "Tables:" if tables else "Tables: known when it has been polled")
    _print_columns((f"  {table}", ", ".join(names)) for table, names in tables.items())
    return 0


def try_out(args: argparse.Namespace) -> int:
    """Poll once and print the tables; exit code 1 where the poll, or one of its tables, failed."""
    logging.getLogger("congress_dse").addHandler(logging.NullHandler())  # causes are printed
    made_by = sources.driver(args.driver)
    options = sources.checked(made_by, _given(made_by, args.config), args.driver)
    if issubclass(made_by, PollingDataSourceDriver):
        options["lazy_tables"] = []
    try:
        source = made_by("try", (), None, None, options)
    except Exception as error:  # noqa: BLE001 - a driver's own, and its author is to see it
        hidden = secrets.secrets(made_by.options(), options)
        sys.stderr.write(f"congress-dse: {args.driver}: {secrets.describe(error, hidden)}\n")
        return FAILED
    try:
        if isinstance(source, PollingDataSourceDriver):
            source.poll()
        _print_tables(source, args)
        return _print_causes(source, args.driver)
    finally:
        if hasattr(source, "cleanup"):
            source.cleanup()


def _given(made_by: type[DataSourceDriver], pairs: Iterable[str]) -> dict[str, Any]:
    """The options of the command line; those that may come several times as lists."""
    several = {option.dest for option in made_by.options() if option.multi}
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise exceptions.ConfigError(f"--config {key}: not of the form OPTION=VALUE")
        if key in several:
            given.setdefault(key, []).append(value)
        else:
            given[key] = value
    return given


def _print_tables(source: DataSourceDriver, args: argparse.Namespace) -> None:
    columns = {table: _names(names) for table, names in source.schema().items()}
    if args.json:
        tables = {
            table: {
                "columns": columns.get(table, []),
                "rows": readable(source.state.get(table, ())),
            }
            for table in {**columns, **source.state}
        }
        stale = {table: held.cause for table, held in source.stale.items()}
        _print_json({"driver": args.driver, "tables": tables, "stale": stale})
        return
    for table in sorted({**columns, **source.state}):
        rows = readable(source.state.get(table, ()))
        _print(f"{table}: {len(rows)} rows")
        heads = [tuple(columns[table])] if columns.get(table) else []
        _print_columns([*heads, *rows[: args.rows]], indent="  ")
        if len(rows) > args.rows:
            _print(f"  ... and {len(rows) - args.rows} more (--rows)")


def _print_causes(source: DataSourceDriver, driver: str) -> int:
    causes = {table: held.cause for table, held in source.stale.items() if table != "*"}
    if source.last_error is not None and not causes:
        causes["the poll failed"] = source.describe(source.last_error)
    for table, cause in causes.items():
        sys.stderr.write(f"congress-dse: {driver}: {table}: {cause}\n")
    return FAILED if causes or source.last_error is not None else 0


def _about(option: Any) -> dict[str, Any]:
    default = "required" if option.required else f"default {option.default!r}"
    if option.default is None and not option.required:
        default = "optional"
    return {
        "name": option.dest,
        "required": bool(option.required),
        "default": default,
        "secret": bool(option.secret),
        "several": bool(option.multi),
        "help": option.help or "",
    }


def _names(columns: Iterable[Any]) -> list[str]:
    return [col if isinstance(col, str) else str(col["name"]) for col in columns]


def _first_line(made_by: type[DataSourceDriver]) -> str:
    return (made_by.__doc__ or "").strip().partition("\n")[0]


def _print(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _print_json(data: Any) -> None:
    _print(json.dumps(data, indent=2, default=str, ensure_ascii=False))


def _print_columns(rows: Iterable[Iterable[Any]], indent: str = "") -> None:
    """Rows as aligned columns; the last is as wide as it likes."""
    lines = [[str(cell) for cell in row] for row in rows]
    width: dict[int, int] = {}
    for line in lines:
        for at, cell in enumerate(line):
            width[at] = max(width.get(at, 0), len(cell))
    for line in lines:
        padded = [cell.ljust(width[at]) for at, cell in enumerate(line)]
        _print(indent + "  ".join(padded).rstrip())
