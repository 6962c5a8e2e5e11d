"""Two services of a launcher with one worker: in this process."""

import os

from congress_dse import service


class One(service.Service):
    """Prints."""

    word = "one"

    def start(self):
        print(f"{self.word} runs in {os.getpid()}", flush=True)

    def reset(self):
        print(f"{self.word} reloads", flush=True)

    def stop(self):
        print(f"{self.word} ends", flush=True)


class Two(One):
    """Beside it."""

    word = "two"


if __name__ == "__main__":
    launcher = service.launch(None, One(), restart_method="mutate")
    launcher.launch_service(Two())
    launcher.wait()
