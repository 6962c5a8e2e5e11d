"""A program that patches itself first, as many written for oslo.service do."""

import eventlet

eventlet.monkey_patch()

from congress_dse import service  # noqa: E402


class Patched(service.Service):
    """Prints in a greenthread of its own."""

    def start(self):
        self.tg.add_thread(print, "patched runs", flush=True)


if __name__ == "__main__":
    service.launch(None, Patched(), workers=2).wait()
