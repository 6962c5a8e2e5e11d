"""The wire: what nodes say to each other, as bytes and back; no I/O.

A frame is its length in four bytes, big-endian, and one msgpack value. Values are of a fixed set of
types, and come back in the type that they had: None, bool, int of any size, float, str, bytes,
list, tuple, set, frozenset, dict, date, datetime, Decimal and UUID. Nothing else is taken, and
nothing is ever unpickled. A message larger than `CHUNK_B` travels in several frames, so that a
large table does not hold up what is urgent.

What comes from outside is bounded: a frame by `FRAME_MAX_B`, a message by `MESSAGE_MAX_B`, nesting
by `DEPTH_MAX`; anything that breaks a rule raises WireError.
"""

import itertools
import struct
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

import msgpack

from congress_dse.exceptions import WireError

CHUNK_B = 256 * 1024  # a message above this is cut; each part leaves room for others
FRAME_MAX_B = 1024 * 1024  # a part and its envelope, with room to spare
MESSAGE_MAX_B = 512 * 1024 * 1024  # about five million rows of eight cells
PARTIAL_MAX = 16  # messages that one peer may have half sent
DEPTH_MAX = 32  # nested tuples and sets; lists and dicts are bounded by msgpack itself

_LENGTH = struct.Struct(">I")
_PART = "part"


def encode(message: Iterable[Any]) -> bytes:
    """One message as a msgpack value; raises WireError naming the type that cannot travel."""
    try:
        data = _inner(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WireError(f"a message that cannot travel: {error}") from error
    if len(data) > MESSAGE_MAX_B:
        raise WireError(f"a message of {len(data)} bytes; the limit is {MESSAGE_MAX_B}")
    return data


def decode(data: bytes) -> list[Any]:
    """The message that `data` holds; raises WireError for what is none."""
    message = _unpacked(data, 0)
    if not isinstance(message, list) or not message:
        raise WireError("a message is a list that opens with its kind")
    return message


def frame(data: bytes) -> bytes:
    """`data` with its length before it."""
    return _LENGTH.pack(len(data)) + data


def parts(data: bytes, number: int) -> list[bytes]:
    """`data` as it travels: as it is, or in parts that bear `number` and whether more follow."""
    if len(data) <= CHUNK_B:
        return [data]
    cuts = range(0, len(data), CHUNK_B)
    return [
        encode([_PART, number, at + CHUNK_B < len(data), data[at : at + CHUNK_B]]) for at in cuts
    ]


class Frames:
    """Bytes of a stream, in; the values of whole frames, out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read; return the frames that it completes, without their lengths."""
        buffer = self._buffer
        buffer += data
        found, at = [], 0
        while len(buffer) - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(buffer, at)
            if size > FRAME_MAX_B:
                raise WireError(f"a frame of {size} bytes; the limit is {FRAME_MAX_B}")
            end = at + _LENGTH.size + size
            if len(buffer) < end:
                break
            found.append(bytes(buffer[at + _LENGTH.size : end]))
            at = end
        del buffer[:at]
        return found

    def size(self) -> int:
        """Bytes of a frame that has begun and not ended."""
        return len(self._buffer)

    def put_back(self, frames: list[bytes]) -> None:
        """Have these come first from the next `feed`."""
        self._buffer[:0] = b"".join(map(frame, frames))


class Messages:
    """Frames of one peer, in; whole messages, out."""

    def __init__(self) -> None:
        self._partial: dict[int, list[bytes]] = {}
        self._held_b = 0

    def take(self, data: bytes) -> list[Any] | None:
        """Take one frame; return the message that it is or completes, or None."""
        message = decode(data)
        if message[0] != _PART:
            return message
        if len(message) != 4 or [type(x) for x in message[1:]] != [int, bool, bytes]:
            raise WireError("a part of a message that is none")
        _, number, more, piece = message
        self._held_b += len(piece)
        if self._held_b > MESSAGE_MAX_B or len(self._partial) > PARTIAL_MAX:
            raise WireError(f"parts of over {MESSAGE_MAX_B} bytes or {PARTIAL_MAX} messages")
        pieces = self._partial.setdefault(number, [])
        pieces.append(piece)
        if more:
            return None
        del self._partial[number]
        whole = b"".join(pieces)
        self._held_b -= len(whole)
        return decode(whole)


def flat(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Rows by their width, the cells of each width in one list: the cheapest way to send many."""
    by_width: dict[int, list[tuple[Any, ...]]] = {}
    for row in rows:
        by_width.setdefault(len(row), []).append(row)
    return [
        [width, len(same) if not width else list(chain.from_iterable(same))]
        for width, same in by_width.items()
    ]


def unflat(groups: Any) -> set[tuple[Any, ...]]:
    """The rows that `flat` sent; raises WireError for what are none."""
    rows: set[tuple[Any, ...]] = set()
    try:
        for width, cells in groups:
            if not width:
                rows.add(())
            elif not isinstance(cells, list) or len(cells) % width or width < 0:
                raise WireError("rows that are none: cells do not fill them")
            else:
                rows.update(zip(*[iter(cells)] * width, strict=True))
    except (TypeError, ValueError) as error:
        raise WireError(f"rows that are none: {error}") from error
    return rows


def numbers() -> Any:
    """Numbers for the parts of one sender's messages."""
    return itertools.count(1).__next__


def _packed(value: Any) -> Any:
    """What msgpack has no type for, as one of ours."""
    made = _PACK.get(type(value))
    if made is None:
        raise TypeError(f"{type(value).__module__}.{type(value).__qualname__}")
    code, pack = made
    return msgpack.ExtType(code, pack(value))


def _inner(values: Iterable[Any]) -> bytes:
    packed: bytes = msgpack.packb(
        list(values), default=_packed, strict_types=True, unicode_errors="surrogatepass"
    )
    return packed


def _unpacked(data: bytes, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise WireError(f"values nested deeper than {DEPTH_MAX}")

    def ext(code: int, inner: bytes) -> Any:
        made = _UNPACK.get(code)
        if made is None:
            raise WireError(f"a value of the unknown type {code}")
        return made(inner, depth + 1)

    try:
        return msgpack.unpackb(
            data,
            ext_hook=ext,
            use_list=True,
            strict_map_key=False,
            unicode_errors="surrogatepass",
        )
    except WireError:
        raise
    except (
        ValueError,
        TypeError,
        ArithmeticError,
        RecursionError,
        msgpack.UnpackException,
    ) as error:
        raise WireError(f"bytes that are no message: {type(error).__name__}: {error}") from error


_PACK: dict[type, tuple[int, Any]] = {
    tuple: (1, _inner),
    set: (2, _inner),
    frozenset: (3, _inner),
    datetime: (4, lambda v: v.isoformat().encode()),
    date: (5, lambda v: v.isoformat().encode()),
    Decimal: (6, lambda v: str(v).encode()),
    UUID: (7, lambda v: v.bytes),
    int: (8, lambda v: str(v).encode()),  # over 64 bits: msgpack's own have no room for it
}
_UNPACK: dict[int, Any] = {
    1: lambda data, depth: tuple(_unpacked(data, depth)),
    2: lambda data, depth: set(_unpacked(data, depth)),
    3: lambda data, depth: frozenset(_unpacked(data, depth)),
    4: lambda data, _: datetime.fromisoformat(data.decode()),
    5: lambda data, _: date.fromisoformat(data.decode()),
    6: lambda data, _: Decimal(data.decode()),
    7: lambda data, _: UUID(bytes=data),
    8: lambda data, _: int(data.decode()),
}
