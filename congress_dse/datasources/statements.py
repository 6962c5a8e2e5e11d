"""SQL statements of a configuration: that they only read, and how one is made to read changes only.

A guard against accidents and copied scripts, in front of the read-only transaction in which the
statement runs; what a function does that a SELECT calls is for the database to forbid.
"""

import re
from collections.abc import Callable

READING = ("SELECT", "WITH", "VALUES", "TABLE", "SHOW")

_NOT_CODE = re.compile(
    r"""
      --[^\n]* | /\*.*?\*/                      # comments
    | '(?:[^']|'')*' | "(?:[^"]|"")*"           # text, quoted names
    | `[^`]*` | \[[^\]\n]*\]                    # quoted names of MySQL, of SQL Server
    | \$(\w*)\$.*?\$\1\$                        # text of PostgreSQL
    """,
    re.DOTALL | re.VERBOSE,
)
_WORDS = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|REPLACE|INTO|CREATE|DROP|ALTER|TRUNCATE)\b")
_CALLED = re.compile(r"\bREPLACE\s*\(|\.\s*\w+|\bFOR\s+(NO\s+KEY\s+)?UPDATE\b")


def writes(statement: str) -> str:
    """What makes `statement` more than one that reads, or "" for nothing."""
    code = _NOT_CODE.sub(" ", statement).strip().rstrip(";").strip()
    if ";" in code:
        return "is more than one statement"
    first = re.match(r"\(*\s*(\w*)", code)
    word = first[1].upper() if first else ""
    if word not in READING:
        return f"begins with {word or 'nothing'}; allowed: {', '.join(READING)}"
    found = _WORDS.search(_CALLED.sub(" ", code.upper()))
    if found is None:
        return ""
    return f"has the word {found[1]}, which writes; a column of that name needs quotes"


def literal(statement: str) -> str:
    """`statement` as SQLAlchemy's ``text`` takes it: a colon in it marks no parameter."""
    return statement.strip().rstrip(";").replace(":", "\\:")


def changed_since(statement: str, column: str, quote: Callable[[str], str]) -> str:
    """The rows of `statement` that are as new as the parameter ``since``, or newer.

    As new, too: another row of the same moment may have come after the last read.
    """
    name = literal(quote(column))
    rows = f"({literal(statement)}\n) AS dse_rows"
    return f"SELECT * FROM {rows} WHERE dse_rows.{name} >= :since"  # noqa: S608 - quoted
