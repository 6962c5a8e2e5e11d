"""The command congress-dse: finds the module of a command, runs it, and tells what was wrong."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from congress_dse import exceptions

WRONG_INPUT = 2

COMMANDS = {
    "serve": "run an engine: a master and its workers",
    "drivers": "list drivers, show one, and try one: poll once and print its tables",
    "check": "check a configuration, and say what it serves",
    "doctor": "say what stands between this installation and one without eventlet",
    "status": "show the master, its services, their workers and the last reload",
    "workers": "show the workers; resize a service, restart or drain a worker",
    "reload": "read the configuration again",
    "stop": "stop a running engine",
    "top": "the engine as it lives: nodes, services, sources, again and again",
    "services": "show every service, those that wait most first",
    "tree": "show the supervision: master, workers, groups, services",
    "tables": "show every table, and how far its followers lag (--lag)",
    "rows": "show the rows of a table",
    "tail": "follow a table: its rows, and then every change",
    "sources": "show every source: polls, failures, what is not up to date",
    "dead-letters": "show messages that nobody handled; replay or discard them",
    "waits": "show who waits for whom, and circles",
    "stack": "show the stack of a service or worker, also while its hub is blocked",
    "nodes": "show every node of the bus",
    "links": "show every link between nodes",
    "leases": "show which sources this engine may run, of several engines",
    "timeline": "show what happened, also before the last start",
    "log-level": "set the level of the log of a running engine",
    "routes": "show every link's state, and where each key of the bus leads",
    "parked": "show work that ended its workers too often, or give it out again",
    "completion": "print the tab completion for bash, zsh or fish",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 failed, 2 wrong input."""
    given = list(sys.argv[1:] if argv is None else argv)
    name = given[0] if given else ""
    if name not in COMMANDS:
        return _overview(name)
    try:
        command = import_module(f"congress_dse.commands.{name.replace('-', '_')}")
        parser = argparse.ArgumentParser(prog=f"congress-dse {name}", description=command.__doc__)
        command.add_arguments(parser)
        return int(command.run(parser.parse_args(given[1:])))
    except exceptions.ConfigError as error:
        sys.stderr.writelines(f"congress-dse: {line}\n" for line in str(error).splitlines())
        return WRONG_INPUT


def _overview(name: str) -> int:
    """Show what commands there are; it is an error to have asked for another."""
    asked = name in {"-h", "--help", "help"}
    lines = ["usage: congress-dse COMMAND ...", ""]
    lines += [f"  {command:<12} {what}" for command, what in COMMANDS.items()]
    lines += ["", "congress-dse COMMAND --help tells more."]
    if name and not asked:
        lines = [f"congress-dse: no command {name!r}", *lines]
    (sys.stdout if asked else sys.stderr).write("\n".join(lines) + "\n")
    return 0 if asked else WRONG_INPUT
