"""The runtimes side by side: messages per second of processor time, beside raw queues of each loop.

``python -m benchmarks.runtimes [--many N] [--json]``. Every figure is of a process of its own. The
last column is how many times an ``eventlet.Queue`` ping-pong on eventlet's own hub it makes.
"""

import argparse
import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import time

MODES = ["green", "mixed", "asyncio"]
if importlib.util.find_spec("uvloop"):
    MODES.append("uvloop")
ROWS = {
    "queue": "raw queue of the loop, ping-pong",
    "mailbox": "two actors, ping-pong over their mailboxes",
    "tell": "one way over the bus, to one service",
    "coroutine": "commands to a coroutine handler that is suspended once",
    "plain": "commands to a plain handler, in the same way",
    "spawn": "services made",
    "stop": "services ended",
}


def queue(many):
    if runtime.NAME not in {"green", "mixed"}:
        return runtime.coroutines.wait(runtime.coroutines.task(_asyncio_queue(many)))
    import eventlet

    there, back = eventlet.Queue(), eventlet.Queue()

    def answer():
        while True:
            back.put(there.get())

    eventlet.spawn(answer)
    begun = time.process_time()
    for n in range(many // 2):
        there.put(n)
        back.get()
    return many / (time.process_time() - begun)


async def _asyncio_queue(many):
    there, back = asyncio.Queue(), asyncio.Queue()

    async def answer():
        while True:
            await back.put(await there.get())

    task = asyncio.ensure_future(answer())
    begun = time.process_time()
    for n in range(many // 2):
        await there.put(n)
        await back.get()
    took_s = time.process_time() - begun
    task.cancel()
    return many / took_s


def mailbox(many):
    from congress_dse.d6message import d6msg

    over = runtime.Waiter()

    class Player(runtime.Actor):
        running = True

        def __init__(self, name):
            super().__init__()
            self.name, self.inbox = name, runtime.Mailbox(name)
            self.left = many // 2

        def receive(self, msg):
            self.left -= 1
            if self.left > 0:
                self.other.inbox.put(msg)
            else:
                over.send()

    one, two = Player("one"), Player("two")
    one.other, two.other = two, one
    one.begin()
    two.begin()
    begun = time.process_time()
    one.inbox.put(d6msg("k", type="cmd"))
    over.wait()
    return many / (time.process_time() - begun)


def _told(many, factory):
    from congress_dse.d6cage import d6Cage

    over, bus = runtime.Waiter(), d6Cage(name="bench")
    service = bus.createservice("s", factory=factory)
    service.over, service.left = over, many
    begun = time.process_time()
    sent = 0
    while sent < many:  # no more at a time than the mailbox takes
        for _ in range(min(5000, many - sent)):
            bus.tell("s", "x")
        sent += 5000
        runtime.sleep(0)
        while not service.inbox.empty():
            runtime.sleep(0)
    over.wait()
    return many / (time.process_time() - begun)


def _services():
    from congress_dse.deepsix import deepSix

    class Plain(deepSix):
        def cmdhandler(self, msg):
            self.left -= 1
            if not self.left:
                self.over.send()

    class Suspended(deepSix):
        async def cmdhandler(self, msg):
            await asyncio.sleep(0)
            self.left -= 1
            if not self.left:
                self.over.send()

    class Quiet(deepSix):
        pass

    return Plain, Suspended, Quiet


def tell(many):
    return _told(many, _services()[0])


def plain(many):
    return _many_at_once(many, _services()[0])


def coroutine(many):
    return _many_at_once(many, _services()[1])


def _many_at_once(many, factory, services=100):
    """The same to many services, as an engine has them: their handlers overlap."""
    from congress_dse.d6cage import d6Cage

    bus, each = d6Cage(name="bench"), many // services
    made = [bus.createservice(f"s{n}", factory=factory) for n in range(services)]
    for service in made:
        service.over, service.left = runtime.Waiter(), each
    runtime.sleep(0.1)
    begun = time.process_time()
    for _ in range(each):
        for service in made:
            bus.tell(service.name, "x")
    for service in made:
        service.over.wait()
    return many / (time.process_time() - begun)


def spawn(many):
    return _lives(many)[0]


def stop(many):
    return _lives(many)[1]


def _lives(many):
    from congress_dse.d6cage import d6Cage

    many //= 100
    bus, quiet = d6Cage(name="bench"), _services()[2]
    begun = time.process_time()
    for n in range(many):
        bus.createservice(f"s{n}", factory=quiet)
    born = time.process_time()
    runtime.sleep(0)
    ending = time.process_time()
    bus.d6stop(3600)
    return many / (born - begun), many / (time.process_time() - ending)


def measured(mode, row, many):
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.runtimes", "--child", row]
    env = {**os.environ, "CONGRESS_DSE_RUNTIME": mode}
    done = subprocess.run(
        [*command, "--many", str(many)], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{mode} {row}: {done.stderr[-500:]}")
    return float(done.stdout)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runtimes", description=__doc__)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(globals()[options.child](options.many), flush=True)
        os._exit(0)
    found = {}
    for _ in range(options.rounds):
        for row in ROWS:
            for mode in MODES:
                found.setdefault((row, mode), []).append(measured(mode, row, options.many))
    best = {key: sorted(values)[len(values) // 2] for key, values in found.items()}
    if options.json:
        print(json.dumps({f"{row} {mode}": value for (row, mode), value in best.items()}))
        return
    unit = best["queue", "green"]
    for row, what in ROWS.items():
        print(what)
        for mode in MODES:
            value = best[row, mode]
            print(f"    {mode:<8} {value:>12,.0f}/s of processor time {value / unit:>8.2f}")


if __name__ == "__main__":
    if "--child" in sys.argv:
        from congress_dse.runtime import chosen as runtime
    main()
