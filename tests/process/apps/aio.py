"""A worker under asyncio, whose hooks are coroutine functions."""

import asyncio
import os
import sys

from common import manager

from congress_dse.manager import Service


class Waiter(Service):
    """Waits in a coroutine."""

    runtime = "asyncio"

    async def run(self):
        print(f"waiter {self.worker_id} waits as {os.getpid()}", flush=True)
        await asyncio.sleep(3600)

    async def reload(self):
        await asyncio.sleep(0)
        print("waiter reloaded", "eventlet" in sys.modules, flush=True)

    async def terminate(self):
        await asyncio.sleep(0)
        print("waiter ends", flush=True)


if __name__ == "__main__":
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    app = manager(liveness_s=float(options.get("liveness", 30)))
    app.add(Waiter)
    app.run()
