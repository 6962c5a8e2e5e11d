"""200 HTTP sources polled every second by one worker, and the same by a thread each.

``python -m benchmarks.sources`` starts one small server, then the two, one after the other, and
prints for each the processor time it took per poll and how late its polls began. Lateness is the
time from when a poll was due to when it began; the first poll of each source is left out.
"""

import argparse
import json
import math
import socket
import statistics
import subprocess
import sys
import threading
import time

BODY = json.dumps([{"id": n, "name": f"server-{n}", "state": "up"} for n in range(20)]).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
PERIOD_S = 1.0
COLUMNS = ("id", "name", "state")


def serve():
    """Answer every request on every connection with the same JSON."""
    import asyncio

    async def answer(reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(HEAD % len(BODY) + BODY)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run():
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1000)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(run())


def engine(port, sources, seconds):
    """The engine: http_json drivers on one cage."""
    from congress_dse.d6cage import d6Cage
    from congress_dse.datasources.http_json_driver import HttpJsonDriver
    from congress_dse.runtime import chosen as runtime

    late, failed = [], []

    class Measured(HttpJsonDriver):
        def _start_poll(self):
            due = self.polling.due()
            if due is not None and due > 0:
                late.append(runtime.now() - due)
            super()._start_poll()

        def mark_stale(self, table, cause):
            failed.append(str(cause))
            super().mark_stale(table, cause)

    cage = d6Cage()
    args = {
        "url": f"http://127.0.0.1:{port}/",
        "table": {"servers": "@"},
        "columns": {"servers": ", ".join(COLUMNS)},
        "poll_time": PERIOD_S,
    }
    begun, used = time.monotonic(), time.process_time()
    for number in range(sources):
        cage.createservice(f"source{number}", factory=Measured, args=args)
        runtime.sleep(PERIOD_S / sources)
    runtime.sleep(max(0.0, seconds - (time.monotonic() - begun)))
    report(late, failed, time.process_time() - used, sources)
    cage.d6stop()


def threads(port, sources, seconds):
    """The plain way: a thread each, with a session of requests."""
    import requests

    late, failed, end = [], [], time.monotonic() + seconds

    def poll(delay_s):
        session = requests.Session()
        session.trust_env = False
        time.sleep(delay_s)
        due = time.monotonic()
        while time.monotonic() < end:
            try:
                found = session.get(f"http://127.0.0.1:{port}/", timeout=10).json()
                {tuple(item[name] for name in COLUMNS) for item in found}
            except requests.RequestException as error:
                failed.append(str(error))
            due += PERIOD_S
            time.sleep(max(0.0, due - time.monotonic()))
            late.append(time.monotonic() - due)

    used = time.process_time()
    every = [threading.Thread(target=poll, args=(PERIOD_S * n / sources,)) for n in range(sources)]
    for one in every:
        one.start()
    for one in every:
        one.join()
    report(late, failed, time.process_time() - used, sources)


def report(late, failed, cpu_s, sources):
    """One line of JSON for the parent."""
    late.sort()
    at = {f"p{p}_ms": 1000 * late[max(0, math.ceil(len(late) * p / 100) - 1)] for p in (50, 99)}
    found = {
        "polls": len(late) + sources,
        "failed": len(failed),
        "cpu_s": cpu_s,
        "mean_ms": 1000 * statistics.fmean(late),
        **at,
        "max_ms": 1000 * late[-1],
    }
    print(json.dumps(found), flush=True)


ROLES = {"engine": engine, "threads": threads}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "server":
        serve()
        return
    if args.role:
        ROLES[args.role](args.port, args.sources, args.seconds)
        return
    me = [sys.executable, "-m", "benchmarks.sources"]
    server = subprocess.Popen([*me, "--role", "server"], stdout=subprocess.PIPE, text=True)
    try:
        port = server.stdout.readline().strip()
        socket.create_connection(("127.0.0.1", int(port))).close()
        print(f"{args.sources} sources, each polled every {PERIOD_S:g} s, {args.seconds:g} s long")
        head = ("polls", "failed", "cpu/s %", "cpu/poll ms", "late: mean ms", "p50", "p99", "max")
        print(f"{'':8}" + "".join(f"{text:>14}" for text in head))
        for role in ROLES:
            given = ["--port", port, "--sources", str(args.sources), "--seconds", str(args.seconds)]
            told = subprocess.run(
                [*me, "--role", role, *given],
                capture_output=True,
                text=True,
                check=True,
                timeout=args.seconds + 60,
            ).stdout
            f = json.loads(told.splitlines()[-1])
            cpu = (100 * f["cpu_s"] / args.seconds, 1000 * f["cpu_s"] / f["polls"])
            figures = (*cpu, f["mean_ms"], f["p50_ms"], f["p99_ms"], f["max_ms"])
            counts = f"{f['polls']:>14}{f['failed']:>14}"
            print(f"{role:8}{counts}" + "".join(f"{figure:>14.2f}" for figure in figures))
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
