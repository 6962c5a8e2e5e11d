"""Coroutine endpoints of oslo.messaging: a thread for each call beside a task for each call.

``python -m benchmarks.endpoints [--url rabbit://guest:guest@127.0.0.1:5672/] [--calls N]``: many
remote calls at once, each of which waits 0.5 s in its endpoint. It prints, of every runtime in a
process of its own, how long all of them took, how many were in the endpoint at a time, and the
processor time of both sides. Client and server share the process.
``pip install congress-dse[bench,notifications]``
"""

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import time
import uuid

MODES = ("green", "mixed", "asyncio")
WAIT_S = 0.5


class Endpoint:
    inside = most = 0

    async def work(self, ctxt):
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(WAIT_S)
        self.inside -= 1


def run(url, calls, at_once):
    """(seconds, calls at a time, seconds of processor time)."""
    from oslo_config import cfg

    from congress_dse.datasources import oslo_endpoints
    from congress_dse.runtime import chosen as runtime

    def beside(call):
        return call() if runtime.PATCHED else runtime.in_thread(call)

    oslo, topic, endpoint = oslo_endpoints.messaging(), uuid.uuid4().hex, Endpoint()
    transport = oslo.get_rpc_transport(cfg.CONF, url=url)
    target = oslo.Target(topic=topic, server="s")
    server = oslo_endpoints.rpc_server(transport, target, [endpoint], at_once)
    beside(server.start)
    client = oslo.get_rpc_client(transport, oslo.Target(topic=topic), timeout=60)
    beside(lambda: client.call({}, "work"))  # connections are made with the first
    begun, used = time.monotonic(), time.process_time()
    asking = [runtime.spawn(beside, lambda: client.call({}, "work")) for _ in range(calls)]
    for thread in asking:
        thread.wait()
    return time.monotonic() - begun, endpoint.most, time.process_time() - used


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endpoints", description=__doc__)
    parser.add_argument("--url", default="fake://")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        with contextlib.redirect_stderr(None):
            took = run(options.url, options.calls, options.child)
        print(*took, flush=True)
        os._exit(0)
    print(f"{options.calls} calls of {WAIT_S} s at once over {options.url.split(':')[0]}")
    for mode in MODES:
        for at_once, what in ((0, "threads"), (1000, "tasks")):
            child = ["--url", options.url, "--calls", str(options.calls), "--child", str(at_once)]
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "benchmarks.endpoints", *child],
                env={**os.environ, "CONGRESS_DSE_RUNTIME": mode},
                capture_output=True,
                text=True,
                check=True,
            )
            wall_s, most, cpu_s = map(float, done.stdout.split())
            print(f"    {mode:<8} {what:<8} {wall_s:6.2f} s {most:5.0f} at once {cpu_s:6.2f} s cpu")


if __name__ == "__main__":
    main()
