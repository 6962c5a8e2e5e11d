"""What the end of a worker means: asked for, from outside, or a fault of its own."""

import signal
from dataclasses import dataclass

from congress_dse.manager.roster import EXIT_BOOT_FAILED, Member
from congress_dse.supervision import Verdict

SIGKILL = 9  # by number: Windows has no name for it


@dataclass(frozen=True)
class End:
    """How a worker ended: in a few words, the whole cause, and whether it counts against it."""

    text: str
    cause: str
    counted: bool


def ending(member: Member, exit_code: int | None, note: str) -> End:
    """Tell what the death of `member` means; `note` is what its black box holds."""
    text = _words(member, exit_code)
    cause = member.failure.strip() or note.strip()
    from_outside = member.state == "ready" and not member.kill_cause
    killed = exit_code is not None and exit_code == -SIGKILL
    counted = not (from_outside and (killed or member.phase == "leaving"))
    return End(text, f"{text}\n{cause}" if cause else text, counted)


def _words(member: Member, exit_code: int | None) -> str:
    if member.kill_cause:
        return member.kill_cause
    if member.phase == "leaving":
        return "asked to leave from outside"
    if exit_code == EXIT_BOOT_FAILED or member.phase == "boot":
        return "could not build its service"
    if exit_code is not None and exit_code < 0:
        return _signal_words(-exit_code)
    when = "before it was ready" if member.ready_at is None else "while serving"
    return f"exit code {exit_code} {when}"


def _signal_words(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    hint = ", perhaps out of memory" if number == SIGKILL else ""
    return f"killed by signal {number} ({name}{hint})"


def given_up(name: str, verdict: Verdict, period_s: float) -> str:
    """The last line of a master whose worker died too often."""
    first = one_line(str(verdict.cause))
    return f"{name}: died {verdict.deaths} times in {period_s:.0f} s, given up; first: {first}"


def one_line(cause: str) -> str:
    """A cause of many lines in one, for a last line that says it all."""
    lines = (line.strip() for line in cause.splitlines())
    return " | ".join(line for line in lines if line.strip("^~ "))  # marks under a line say nothing
