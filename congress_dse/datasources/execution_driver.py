"""ExecutionDriver: what a driver can do to its source, beside reading it.

An action is a method of the driver, or of a client of its source, that was made known. It is asked
for by a request with the action's name and the arguments ``{'positional': [...], 'named':
{...}}``, runs beside the actor, and its result, or its error, is the answer.
"""

import functools
import inspect
import logging
from typing import Any

from congress_dse import exceptions
from congress_dse.d6message import d6msg
from congress_dse.runtime import chosen as runtime

LOG = logging.getLogger(__name__)

Arguments = dict[str, Any]


class ExecutionDriver:
    """The actions of a driver; stands beside a DataSourceDriver among the base classes."""

    name: str

    @property
    def executable_methods(self) -> dict[str, list[Any]]:
        """Name of each action to [its arguments, what it does]."""
        found: dict[str, list[Any]] = self.__dict__.setdefault("_executable_methods", {})
        return found

    def add_executable_method(
        self, method_name: str, method_args: list[dict[str, str]], method_desc: str = ""
    ) -> None:
        """Make an action known; `method_args` is a list of ``{'name', 'description'}``."""
        self.executable_methods.setdefault(method_name, [method_args, method_desc])

    def add_executable_client_methods(self, client: Any, api_prefix: str) -> None:
        """Make every public method of `client`, and of its parts from `api_prefix`, an action."""
        for name, method in _methods(client, api_prefix):
            names = [p for p in inspect.signature(method).parameters if p != "self"]
            args = [{"name": arg, "description": "None"} for arg in names]
            self.add_executable_method(name, args, inspect.getdoc(method) or "")

    def get_actions(self) -> dict[str, list[dict[str, Any]]]:
        """Every action, by name, in the form of Congress's API."""
        known = sorted(self.executable_methods.items())
        return {
            "results": [
                {"name": name, "args": args, "description": text} for name, (args, text) in known
            ]
        }

    def execute(self, action: str, action_args: Arguments) -> Any:
        """Do `action`: here, the driver's own method. Raises RequestFailed for what is none."""
        self.check_executable(action)
        return self._execute_api(self, action, action_args)

    def check_executable(self, action: str) -> None:
        """Raise RequestFailed for what is no action."""
        if action not in self.executable_methods:
            known = ", ".join(sorted(self.executable_methods)) or "none"
            raise exceptions.RequestFailed(f"{self.name} has no action {action!r}; it has {known}")

    def reqhandler(self: Any, msg: d6msg) -> None:
        """Do an action beside the actor, and answer with what it returns or raises."""
        self.spawn(self._execute_beside, msg)

    def _execute_beside(self: Any, msg: d6msg) -> None:
        try:
            result = runtime.finish(self.execute(msg.dataindex, msg.body or {}))
        except runtime.Killed:
            self._refuse(msg, exceptions.EngineError(f"{self.name} has ended"))
            raise
        except BaseException as error:
            described = self.describe(runtime.failure(error))
            LOG.warning("%s: action %s failed: %s", self.name, msg.dataindex, described)
            failure = exceptions.RequestFailed(f"{self.name}: action {msg.dataindex}: {described}")
            failure.__cause__ = error
            self.do(lambda: self.answer(msg, failure))
        else:
            self.do(lambda: self.answer(msg, result))

    @staticmethod
    def _execute_api(client: Any, action: str, action_args: Arguments) -> Any:
        """Call the method of `client` that `action` names, with dots for its parts.

        What a client of a source does may block; where nothing is patched it does so in a thread.
        """
        method = functools.reduce(getattr, action.split("."), client)
        given, named = action_args.get("positional", ()), action_args.get("named", {})
        if runtime.PATCHED or isinstance(client, ExecutionDriver):
            return method(*given, **named)
        return runtime.in_thread(functools.partial(method, *given, **named))


def _methods(client: Any, prefix: str) -> list[tuple[str, Any]]:
    """(dotted name, method) of a client's public methods and, one level down, of its parts."""
    found = []
    for name in dir(client):
        part = None if name.startswith("_") else getattr(client, name, None)
        if inspect.ismethod(part) or inspect.isfunction(part):
            found.append((name, part))
        elif part is not None and type(part).__module__.startswith(prefix):
            inner = inspect.getmembers(part, inspect.ismethod)
            found += [(f"{name}.{n}", m) for n, m in inner if not n.startswith("_")]
    return found
