"""Two services of a manager, without workers: ``debug.py [RUNTIME [refuse]]``.

With ``refuse`` every reload is refused.
"""

import os
import sys

from common import manager

from congress_dse.manager import Service


class One(Service):
    """Runs beside the loop."""

    runtime = sys.argv[1] if sys.argv[1:] else "green"
    word = "one"

    def run(self):
        print(f"{self.word} runs in {os.getpid()}", flush=True)

    def reload(self):
        print(f"{self.word} reloads", flush=True)

    def terminate(self):
        print(f"{self.word} ends", flush=True)


class Two(One):
    """Beside it."""

    word = "two"


def refuse():
    raise ValueError("this configuration is bad")


if __name__ == "__main__":
    app = manager()
    if sys.argv[2:]:
        app.register_hooks(on_reload=refuse)
    app.add(One, workers=0)
    app.add(Two, workers=0)
    app.run()
