"""Two services of a manager, without workers."""

import os

from common import manager

from congress_dse.manager import Service


class One(Service):
    """Runs in a greenthread."""

    runtime = "green"
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


if __name__ == "__main__":
    app = manager()
    app.add(One, workers=0)
    app.add(Two, workers=0)
    app.run()
