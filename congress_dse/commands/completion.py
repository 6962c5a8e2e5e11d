"""Print the tab completion of a shell: ``source <(congress-dse completion bash)``."""

import argparse
import itertools
import sys
from importlib import import_module
from typing import Any

from congress_dse import exceptions
from congress_dse.commands import asking

BASH = """_congress_dse() {
    local IFS=$'\\n'
    COMPREPLY=($(congress-dse completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    if [[ ${#COMPREPLY[@]} == 0 ]]; then
        COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
    fi
}
complete -F _congress_dse congress-dse
"""
ZSH = """#compdef congress-dse
_congress_dse() {
    local -a found
    found=("${(@f)$(congress-dse completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found" ]]; then compadd -- "${found[@]}"; else _files; fi
}
compdef _congress_dse congress-dse
"""
FISH = """function __congress_dse
    set -l words (commandline -opc) (commandline -ct)
    congress-dse completion words -- $words[2..-1] 2>/dev/null
end
complete -c congress-dse -a '(__congress_dse)'
"""
SHELLS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("shell", choices=[*SHELLS, "words"], help="words: what a shell asks for")
    parser.add_argument("words", nargs="*", help="the words of the line, the last one unfinished")


def run(args: argparse.Namespace) -> int:
    """Print the script, or the words that may come next; return the exit code."""
    if args.shell in SHELLS:
        sys.stdout.write(SHELLS[args.shell])
    else:
        sys.stdout.writelines(f"{word}\n" for word in candidates(args.words or [""]))
    return 0


def candidates(words: list[str]) -> list[str]:
    """What the last of `words` may become."""
    *before, last = words
    commands = import_module("congress_dse.cli").COMMANDS
    if not before:
        return [name for name in commands if name.startswith(last)]
    if before[0] not in commands:
        return []
    parser = argparse.ArgumentParser(add_help=True, exit_on_error=False)
    import_module(f"congress_dse.commands.{before[0].replace('-', '_')}").add_arguments(parser)
    return [word for word in _next(parser, before[1:], last) if word.startswith(last)]


def _next(parser: argparse.ArgumentParser, before: list[str], last: str) -> list[str]:
    """The options, or what may stand at this place."""
    actions: list[Any] = parser._actions  # noqa: SLF001 (argparse has no public list of them)
    options = {name: action for action in actions for name in action.option_strings}
    if before and before[-1] in options and options[before[-1]].nargs != 0:
        return _values(options[before[-1]], before)
    if last.startswith("-"):
        return sorted(options)
    place, given = 0, iter(before)
    for word in given:
        if word in options and options[word].nargs != 0:
            next(given, None)
        elif not word.startswith("-"):
            place += 1
    positional = [action for action in actions if not action.option_strings]
    return _values(positional[place], before) if place < len(positional) else sorted(options)


def _values(action: Any, before: list[str]) -> list[str]:
    if action.choices:
        return [str(choice) for choice in action.choices]
    kind = getattr(action, "completes", "")
    if not kind:
        return []
    try:
        return asking.names(_where(before), kind)
    except exceptions.EngineError:
        return []


def _where(before: list[str]) -> argparse.Namespace:
    """The engine that the line so far means."""
    found = argparse.Namespace(config_file=[], control="")
    for word, value in itertools.pairwise(before):
        if word == "--config-file":
            found.config_file.append(value)
        elif word == "--control":
            found.control = value
    return found
