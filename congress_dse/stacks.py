"""The stacks of this process's threads, as text."""

import sys
import traceback


def thread_stacks() -> str:
    """The stack of every native thread; may be called from any."""
    parts = []
    for ident, frame in sys._current_frames().items():  # noqa: SLF001 (there is no other way in)
        parts.append(f"thread {ident}:\n" + "".join(traceback.format_stack(frame)))
    return "\n".join(parts)
