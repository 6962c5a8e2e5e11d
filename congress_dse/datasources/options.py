"""Options of drivers: what every source has, their defaults, and how secrets stay unseen."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oslo_config import cfg

from congress_dse import exceptions

HIDDEN = "<hidden>"
DEADLINE_S = 30.0
_PASSWORD_IN_URL = re.compile(r"(\b[a-zA-Z][\w+.-]*://[^\s/:@]*):[^\s/@]+@")

COMMON = [
    cfg.StrOpt("description", default="", help="What this source is, for people."),
]
POLLING = [
    cfg.FloatOpt(
        "poll_time",
        default=10,
        min=0,
        help="Seconds from one poll to the next; 0 polls only when a refresh is requested.",
    ),
    cfg.FloatOpt(
        "poll_deadline",
        default=DEADLINE_S,
        min=0.1,
        help="Seconds after which a poll that has not ended is given up.",
    ),
    cfg.FloatOpt(
        "retry_max",
        min=0.1,
        help="Longest wait in seconds before a source that failed is tried again; "
        "by default the poll_time.",
    ),
    cfg.ListOpt(
        "lazy_tables",
        default=[],
        help="Tables that are read only while somebody follows them.",
    ),
]


def with_defaults(options: Iterable[Any], args: Mapping[str, Any] | None) -> dict[str, Any]:
    """`args` with the default of every option that they lack; neither is changed."""
    return {**{option.dest: option.default for option in options}, **(args or {})}


def secrets(options: Iterable[Any], args: Mapping[str, Any]) -> list[str]:
    """The texts that must not be seen: the values of secret options."""
    return [text for o in options if o.secret for text in _texts(args.get(o.dest))]


def masked(text: str, hide: Iterable[str] = ()) -> str:
    """`text` without the texts to hide and without the password of any URL."""
    for secret in sorted(hide, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _PASSWORD_IN_URL.sub(rf"\1:{HIDDEN}@", text)


def shown(options: Iterable[Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """`args` as they may be shown: secrets, and passwords in URLs, are hidden."""
    secret = {option.dest for option in options if option.secret}
    return {
        key: HIDDEN if key in secret and value else _shown(value) for key, value in args.items()
    }


def describe(cause: BaseException | str, hide: Iterable[str] = ()) -> str:
    """A cause in one line, without secrets."""
    text = " ".join(str(cause).split())
    if not isinstance(cause, (str, exceptions.EngineError)):
        kind = type(cause).__name__
        text = f"{kind}: {text}" if text else kind
    return masked(text, hide)


def _texts(value: Any) -> Iterator[str]:
    """Every text inside a value: an option that may be given several times is a list."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
    elif value:
        yield str(value)


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shown(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(part) for part in value]
    return masked(value) if isinstance(value, str) else value
