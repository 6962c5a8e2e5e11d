"""Show who waits for whom, for how long, where in the code, and the circles among them."""

import argparse
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from congress_dse.commands import asking, common, showing
from congress_dse.commands.showing import BAD, Column, seconds

COLUMNS = [
    Column("WHO", "who"),
    Column("WORKER", "worker"),
    Column("WAITS FOR", "whom"),
    Column("ABOUT", "what"),
    Column("SINCE", lambda w: seconds(w["for_s"]), number=True),
    Column("CIRCLE", lambda w: Text("yes", style=BAD) if w["circle"] else ""),
    Column("AT", "at", long=True),
]

add_arguments = common.add_control


def run(args: argparse.Namespace) -> int:
    """Ask, and show; return the exit code."""
    control = common.control(args)
    return showing.run(args, lambda: asking.waits(control), shown)


def shown(told: dict[str, Any]) -> RenderableType:
    """The circles, and all who wait."""
    rings = [Text("circle: " + " -> ".join([*r, r[0]]), style=BAD) for r in told["circles"]]
    found = sorted(told["results"], key=lambda wait: -wait["for_s"])
    return showing.whole(told, *rings, showing.table(COLUMNS, found, "nobody waits for another"))
