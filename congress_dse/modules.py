"""Modules of services: found by name, or loaded from a file, and loaded anew for a reload."""

import importlib
import importlib.util
import sys
from types import ModuleType

from congress_dse import exceptions


def load(name: str, filename: str) -> None:
    """Import the file `filename` as the module `name`; nothing happens when that is imported.

    Raises DataServiceError, and leaves nothing behind, when the file cannot be read or executed.
    """
    if name not in sys.modules:
        sys.modules[name] = _executed(name, filename)


def anew(name: str) -> None:
    """Import the module `name` again from its source; the old one stays when that fails."""
    old = sys.modules.get(name)
    filename = getattr(old, "__file__", None)
    if filename is None:
        raise exceptions.DataServiceError(f"error reloading module {name!r}: it has no source file")
    sys.modules[name] = _executed(name, filename)


def find(name: str, driver: bool = False) -> ModuleType:
    """The module `name` among those imported.

    With `driver`, `name` is a dotted class name, whose module is imported if need be.
    """
    if not driver:
        module = sys.modules.get(name)
        if module is None:
            raise exceptions.DataServiceError(f"module {name!r} does not exist")
        return module
    path = name.rpartition(".")[0]
    try:
        return importlib.import_module(path)
    except Exception as error:
        raise exceptions.DataServiceError(
            f"error loading module {path!r}: {type(error).__name__}: {error}"
        ) from error


def _executed(name: str, filename: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, filename)
    if spec is None or spec.loader is None:
        raise exceptions.DataServiceError(
            f"error loading module {name!r} from {filename!r}: not a Python source file"
        )
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # as an import does: dataclasses and pickling look it up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise exceptions.DataServiceError(
            f"error loading module {name!r} from {filename!r}: {type(error).__name__}: {error}"
        ) from error
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
    return module
