"""What the applications under test share: a log on stderr, a manager with a control socket."""

import logging
import os

from congress_dse.manager import ServiceManager


def manager(**options):
    """A manager as an application would make it."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"
    )
    return ServiceManager(control=os.environ.get("APP_CONTROL", ""), **options)
