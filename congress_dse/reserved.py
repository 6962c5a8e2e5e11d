"""Reserved: names that the class of a service may not take by accident.

A service is its class and the engine's in one object: a method of it that happens to be called as
one of the engine's own is called in its place, and the service never begins, or never ends. Python
says nothing of that, so it is told here, when the class is made.

Taken are the names by which the engine calls an actor, the attributes that an actor is given, and
every name of the engine's with a leading underscore. Free are the documented hooks and all names of
OpenStack Congress's DSE, which its drivers may override as they always did. Who overrides one of
the engine's names on purpose says so with ``typing.override``.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from congress_dse.exceptions import ReservedName

OURS = frozenset({"congress_dse", "eventlet", "greenlet"})


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Names of Congress's deepSix, and of what a subclass may say of itself.
FREE = _names(
    """
    send start stop log log_debug log_info log_warning log_error log_exception
    publish push prepush_processor reserved_dataindex reply subscriber_list
    subscribe unsubscribe request command schedule reqtimeout getSubData subscription_list
    receive insub inunsub inpull inreq incmd inpubrep inshut _running
    _webhook_handler _execute_api
    mailbox_capacity mailbox_policy announced last_failure counters ask waiting
    """
)
# What a greenlet and its hub call, or look at, in the one runtime or the other.
GREENLET = _names("run switch throw parent dead gr_frame main link wait kill")
# What the constructors set: a method of that name could never be called.
GIVEN = _names(
    """
    name args keys inbox dataPath running cleaned on_failure pubdata subdata scheduuids
    begun cause in_hand in_hand_since unfinished handled failures waited_s mailbox_s handler_s
    """
)


def check(cls: type, actor: type) -> None:
    """Raise ReservedName where the new class `cls`, or a base of it, hides a name that is taken.

    `actor` is the engine's first class of a service, on which all others build.
    """
    bases = tuple(base for base in cls.__mro__ if ours(base))
    taken = _taken(bases, actor)
    for base in cls.__mro__:
        if not ours(base):
            for name, owner in _hidden(base, taken):
                raise ReservedName(
                    f"class {base.__qualname__} defines {name!r}, a name of the engine's own "
                    f"({owner}): choose another, or mark it with typing.override if it is meant"
                )


def ours(cls: type) -> bool:
    """Whether a class is the engine's own."""
    return cls.__module__.partition(".")[0] in OURS


@cache
def _taken(bases: tuple[type, ...], actor: type) -> dict[str, str]:
    """Each name that is the engine's own, and whose it is."""
    taken = dict.fromkeys(GREENLET, "greenlet")
    for base in reversed(bases):
        # Of the greenlet's own public names only those above count, and of a driver's none.
        public = issubclass(actor, base) and base.__module__.startswith("congress_dse")
        for name in vars(base).keys() - FREE:
            if not name.startswith(("__", "_abc_")) and (public or name.startswith("_")):
                taken[name] = f"{base.__module__}.{base.__qualname__}"
    return taken


def _hidden(base: type, taken: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in vars(base).items():
        code = callable(value) or isinstance(value, property | classmethod | staticmethod)
        if name in taken and not _meant(value):
            yield name, taken[name]
        elif name in GIVEN and code and not _meant(value):
            yield name, "an attribute of every service"


def _meant(value: Any) -> bool:
    inner = value.fget if isinstance(value, property) else value
    return bool(getattr(inner, "__override__", False))
