"""Workers that take jobs from a directory; one job is poison.

A job is a file; its text says what it does: ``ok``, ``die`` (SIGKILL), ``raise``. The file is left
in place until it is done, as a broker redelivers what was not acknowledged.
"""

import os
import sys
import time
from pathlib import Path

from common import manager

from congress_dse.exceptions import Poisoned
from congress_dse.manager import Service


class Taker(Service):
    """Takes one job after the other."""

    def __init__(self, worker_id, directory):
        super().__init__(worker_id)
        self.directory = Path(directory)

    def run(self):
        while True:
            for job in sorted(self.directory.glob(f"*.{self.worker_id}")):
                try:
                    with self.place.in_hand(job.name, {"text": job.read_text()}):
                        self.work(job)
                except Poisoned:
                    continue
                except ValueError:
                    print(f"{job.name} raised", flush=True)
            time.sleep(0.01)

    def work(self, job):
        text = job.read_text()
        print(f"{job.name} begun by {os.getpid()}", flush=True)
        if text == "die":
            os.kill(os.getpid(), 9)
        if text == "raise":
            raise ValueError("this job raises")
        job.unlink()
        print(f"{job.name} done", flush=True)

    def replay(self, payload):
        print(f"replayed {payload['text']}", flush=True)


if __name__ == "__main__":
    app = manager()
    app.add(Taker, 2, args=(sys.argv[1],))
    app.run()
