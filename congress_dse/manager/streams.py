"""Standard error without a buffer: what a full disk does not take of a log is lost, and no more.

Python begins and ends processes with their streams flushed. Text that cannot be written would stay
in a buffer, and fail each start of a worker, and the end of every process, with the disk's error.
"""

import io
import sys


def unbuffer() -> None:
    """Have standard error keep nothing back; one that is no plain file stays as it is."""
    stream = sys.stderr
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, io.FileIO):
        sys.stderr = io.TextIOWrapper(
            raw,  # as it is with PYTHONUNBUFFERED
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=True,
            write_through=True,
        )
