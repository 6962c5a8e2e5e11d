"""Messages between master, workers and operators: one JSON object a line, nothing pickled."""

import json
from typing import Any

LINE_MAX_B = 4 * 1024 * 1024
Message = dict[str, Any]


class Lines:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes; return the messages they complete. Raises ValueError on what is none."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_MAX_B:
            raise ValueError(f"a line over {LINE_MAX_B} bytes")
        return [self._parse(line) for line in whole if line]

    @staticmethod
    def _parse(line: bytes) -> Message:
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError("a line that is no object")
        return message


def encode(message: Message) -> bytes:
    """One message as a line; what JSON has no word for becomes text."""
    return json.dumps(message, default=str).encode() + b"\n"
