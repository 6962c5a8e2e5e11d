"""Links between processes: ours beside what they are made of, and beside other libraries.

``python -m benchmarks.links`` prints, each figure from processes of its own:

* local: orders of 1 KB over our local link, over a bare Unix socket and over
  multiprocessing.connection;
* RabbitMQ: the same over our link, beside bare kombu, pika and oslo.messaging's fanout cast (as
  ``benchmarks.broker`` measures them) and beside the connection that our link is built on;
* nodes: what one change of a table costs its publisher when 1, 2, 4 and 8 processes follow it;
* resync: how long a process that joins takes to have a table of 100,000 rows;
* slow: a table that changes 200 times a second, followed by 100 services of one process: how late a
  change is at those that are fast, while all are, and while one of them takes 20 ms for each
  update; how many changes were merged away for them, how long a publication takes, and how long
  after the last change all have it.

``--only local`` and so on runs one part. Ours carries each order from a service through mailbox,
route and bridge to a service of the other process; the others carry bytes. Trust the processor time
more than the rate: all share the machine. ``pip install congress-dse[bench,rabbit,notifications]``
"""

import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from multiprocessing import connection

SIZE_B = 1000
PACE_S, PACED = 0.005, 400
HEAD = struct.Struct(">dI")
ROWS = 100_000
CHANGES = 2_000
NODES = (1, 2, 4, 8)
OURS = ("local", "rabbit")
WAITING_B = 1 << 20
CROWD, BEAT_S, BEATS = 100, 0.005, 3_000
WARM = 500  # changes that are not measured
SLOW_S = 0.02


class Ours:
    """Our link: a service tells another one, in another process."""

    def __init__(self, options, name):
        from congress_dse.d6cage import d6Cage
        from congress_dse.links.local import Local
        from congress_dse.links.rabbit import Rabbit
        from congress_dse.runtime import chosen as runtime

        self.runtime = runtime
        self.cage = d6Cage(name)
        self.cage.bus.node = f"{name}.{os.getpid()}@bench"
        if options.subject == "local":
            self.link = Local(self.cage, options.place, f"{name}.{os.getpid()}")
        else:
            self.link = Rabbit(self.cage, options.url, exchange="bench_links")

    def wait(self, condition):
        while not condition():
            self.runtime.sleep(0.002)

    def connect(self):
        self.wait(lambda: self.cage.bus.taken("taker"))

    def send(self, body):
        self.cage.tell("taker", "take", body)
        self._sent = getattr(self, "_sent", 0) + 1
        if not self._sent % 50:
            self.runtime.sleep(0)
            while self._waits():
                self.runtime.sleep(0.001)

    def _waits(self):
        return any(
            link.transport.statistics()["waiting_b"] > WAITING_B or len(link.inbox) > 1000
            for link in self.cage.bus.links.values()
        )

    def pause(self, seconds):
        self.runtime.sleep(seconds)

    def receive(self, take):
        from congress_dse.deepsix import deepSix

        over = []

        class Taker(deepSix):
            def cmdhandler(self, msg):
                if take(msg.body):
                    over.append(1)

        self.cage.createservice("taker", factory=Taker)
        print("ready", flush=True)
        self.wait(lambda: over)

    def end(self):
        self.wait(lambda: not self._waits())
        self.runtime.sleep(0.2)
        self.link.close()
        self.cage.d6stop()


class Bare:
    """A Unix socket: a length, then the bytes."""

    def __init__(self, options, name):
        self.path = os.path.join(options.place, "socket")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def send(self, body):
        self.sock.sendall(len(body).to_bytes(4) + body)

    def pause(self, seconds):
        time.sleep(seconds)

    def receive(self, take):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen()
        print("ready", flush=True)
        stream = listener.accept()[0].makefile("rb")
        while not take(stream.read(int.from_bytes(stream.read(4)))):
            pass

    def end(self):
        pass


class Multiprocessing(Bare):
    def connect(self):
        self.other = connection.Client(self.path, "AF_UNIX")

    def send(self, body):
        self.other.send_bytes(body)

    def receive(self, take):
        listener = connection.Listener(self.path, "AF_UNIX", backlog=8)
        print("ready", flush=True)
        other = listener.accept()
        while not take(other.recv_bytes()):
            pass


CLASSES = {"local": Ours, "rabbit": Ours, "socket": Bare, "mp.connection": Multiprocessing}


def publisher(options):
    """Send all at once, then some at a pace."""
    side = CLASSES[options.subject](options, "publisher")
    side.connect()
    padding = b"x" * (SIZE_B - HEAD.size)
    begun, begun_s = time.monotonic(), time.process_time()
    for number in range(options.many):
        side.send(HEAD.pack(time.monotonic(), number) + padding)
    spent_s, took_s = time.process_time() - begun_s, time.monotonic() - begun
    side.pause(1.0)
    for number in range(options.many, options.many + PACED):
        side.send(HEAD.pack(time.monotonic(), number) + padding)
        side.pause(PACE_S)
    print(json.dumps({"publisher_s": spent_s, "publish_s": took_s}), flush=True)
    side.end()


def consumer(options):
    """Take all in; the paced ones tell how long they took."""
    side = CLASSES[options.subject](options, "consumer")
    late, marks, seen = [], [], [0]

    def take(body):
        sent, number = HEAD.unpack_from(body)
        seen[0] += 1
        if seen[0] in {1, options.many}:
            marks.append((time.monotonic(), time.process_time()))
        if number >= options.many:
            late.append(time.monotonic() - sent)
        return seen[0] == options.many + PACED

    side.receive(take)
    (first, first_s), (last, last_s) = marks
    centiles = statistics.quantiles(late, n=100)
    figures = {"consumer_s": last_s - first_s, "consume_s": last - first}
    print(json.dumps({**figures, "p50_s": centiles[49], "p99_s": centiles[98]}), flush=True)
    side.end()


def owner(options):
    """Own a table; change it row by row while `followers` follow; say what a change costs."""
    from congress_dse.deepsix import deepSix
    from congress_dse.rows import Delta

    side = Ours(options, "owner")
    table = side.cage.createservice("table", factory=deepSix)
    rows = {(n, f"name of {n}", n * 0.5, n % 7 == 0) for n in range(options.many)}
    table.do(lambda: table.publish("t", rows))
    print("ready", flush=True)
    side.wait(lambda: len(table.subscriber_list()) and followers(side) >= options.followers)
    side.pause(1.0)
    begun, begun_s = time.monotonic(), time.process_time()
    for number in range(CHANGES):
        new = {(options.many + number, "changed", 0.0, False)}
        table.do(lambda new=new: table.publish("t", Delta(new, set())))
        side.runtime.sleep(0)
        while side._waits():
            side.runtime.sleep(0.001)
    spent_s = time.process_time() - begun_s
    print(json.dumps({"cpu_s": spent_s, "took_s": time.monotonic() - begun}), flush=True)
    side.runtime.in_thread(sys.stdin.readline)
    side.end()


def followers(side):
    links = side.cage.bus.links.values()
    return sum(len(t["followers"]) for link in links for t in link.outlets.statistics())


def follower(options):
    """Follow the table; say when all of it is here, and when all changes are."""
    from congress_dse.deepsix import deepSix

    begun = time.monotonic()
    side = Ours(options, "follower")
    seen = []
    made = side.cage.createservice(f"follower.{os.getpid()}", factory=deepSix)
    made.do(lambda: made.subscribe("table", "t", callback=lambda m: seen.append(len(m.body.data))))
    side.wait(lambda: side.cage.bus.taken("table"))
    met = time.monotonic()
    side.wait(lambda: seen and seen[-1] >= options.many)
    print(json.dumps({"met_s": met - begun, "resync_s": time.monotonic() - met}), flush=True)
    side.wait(lambda: seen[-1] >= options.many + CHANGES)
    print(json.dumps({"equal_at": time.monotonic()}), flush=True)
    side.runtime.in_thread(sys.stdin.readline)
    side.end()


def ticker(options):
    """Own a small table and change it at a pace; say how long each publication took."""
    from congress_dse.deepsix import deepSix
    from congress_dse.rows import Delta

    side = Ours(options, "ticker")
    table = side.cage.createservice("table", factory=deepSix)
    took = []

    def publish(delta):
        begun = time.monotonic()
        table.publish("t", delta)
        took.append(time.monotonic() - begun)

    rows = deque((-n, 0.0) for n in range(CROWD))
    table.do(lambda: table.publish("t", set(rows)))
    print("ready", flush=True)
    side.wait(lambda: followers(side) >= 1)
    side.pause(1.0)
    begun, begun_s = time.monotonic(), time.process_time()
    for number in range(BEATS):
        side.pause(max(0.0, begun + number * BEAT_S - time.monotonic()))
        rows.append((number, time.monotonic()))
        delta = Delta({rows[-1]}, {rows.popleft()})
        table.do(lambda delta=delta: publish(delta))
    side.wait(lambda: len(took) == BEATS)
    told = {"cpu_s": time.process_time() - begun_s, "longest_s": max(took[WARM:])}
    print(json.dumps({**told, "last_at": rows[-1][1]}), flush=True)
    side.runtime.in_thread(sys.stdin.readline)
    side.end()


def crowd(options):
    """Many services that follow; the first takes its time. Say how late the others are."""
    from congress_dse.deepsix import deepSix

    side = Ours(options, "crowd")
    late, has = [], [0] * CROWD

    class Follower(deepSix):
        place = 0

        def take(self, msg):
            now = time.monotonic()
            for number, sent in msg.body.added:
                if number >= WARM and self.place:
                    late.append(now - sent)
                has[self.place] = max(has[self.place], number)
            if options.slow and not self.place:
                side.runtime.sleep(options.slow)

    for place in range(CROWD):
        made = side.cage.createservice(f"follower.{place}", factory=Follower)
        made.place = place
        made.do(lambda made=made: made.subscribe("table", "t", callback=made.take))
    side.wait(lambda: min(has[1:]) == BEATS - 1)
    side.wait(lambda: has[0] == BEATS - 1)
    centiles = statistics.quantiles(late, n=1000)
    told = {"p50_s": centiles[499], "p99_s": centiles[989], "p999_s": centiles[998]}
    told |= {"changes": len(late), "equal_at": time.monotonic(), "cpu_s": time.process_time()}
    print(json.dumps(told), flush=True)
    side.runtime.in_thread(sys.stdin.readline)
    side.end()


ROLES = {
    "publisher": publisher,
    "consumer": consumer,
    "owner": owner,
    "follower": follower,
    "ticker": ticker,
    "crowd": crowd,
}


def start(options, role, subject, many, place, count=0, slow=0.0):
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.links", "--role", role]
    command += ["--url", options.url, "--subject", subject, "--many", str(many)]
    command += ["--place", place, "--followers", str(count), "--slow", str(slow)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def orders(options, subject, many):
    """Orders from one process to another."""
    with tempfile.TemporaryDirectory() as place:
        taking = start(options, "consumer", subject, many, place)
        assert taking.stdout.readline() == "ready\n"
        giving = start(options, "publisher", subject, many, place)
        figures = json.loads(giving.stdout.readline()) | json.loads(taking.stdout.readline())
        ended(giving, taking)
    rate = many / max(figures["publish_s"], figures["consume_s"])
    cpu = [figures[f"{side}_s"] / many * 1e6 for side in ("publisher", "consumer")]
    row(subject, rate, cpu, figures["p50_s"], figures["p99_s"])


def row(subject, rate, cpu, p50_s, p99_s):
    print(
        f"{subject:<26} {rate:>10,.0f} {cpu[0]:>9.1f} {cpu[1]:>9.1f} "
        f"{p50_s * 1e3:>8.2f} {p99_s * 1e3:>8.2f}",
        flush=True,
    )


def following(options, subject, many, count):
    """A table of one process, followed by several others; (figures, each one's figures)."""
    with tempfile.TemporaryDirectory() as place:
        own = start(options, "owner", subject, many, place, count)
        assert own.stdout.readline() == "ready\n"
        others = [start(options, "follower", subject, many, place) for _ in range(count)]
        whole = [json.loads(other.stdout.readline()) for other in others]
        cost = json.loads(own.stdout.readline())
        done = [json.loads(other.stdout.readline()) for other in others]
        assert all(one["equal_at"] for one in done)
        ended(own, *others)
    return cost, whole


def ended(*processes):
    for process in processes:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def local(options):
    head()
    for subject, many in (("socket", 50_000), ("mp.connection", 50_000), ("local", 20_000)):
        orders(options, subject, many)


def rabbit(options):
    from benchmarks import broker

    head()
    orders(options, "rabbit", 10_000)
    for subject in broker.SUBJECTS:
        many = 8_000
        figures = broker.measured(subject, options.url, many, 1)
        rate = figures["updates"] / max(figures["publish_s"], figures["consume_s"])
        cpu = [figures[f"{s}_s"] / figures["updates"] * 1e6 for s in ("publisher", "consumer")]
        named = "our connection alone" if subject == "ours" else subject
        row(named, rate, cpu, figures["p50_s"], figures["p99_s"])


def nodes(options):
    print(f"{'link':<10} {'nodes':>6} {'publisher us a change':>24} {'changes/s':>12}")
    for subject in OURS:
        for count in NODES:
            cost, _ = following(options, subject, 1_000, count)
            cpu = cost["cpu_s"] / CHANGES * 1e6
            rate = CHANGES / cost["took_s"]
            print(f"{subject:<10} {count:>6} {cpu:>24.1f} {rate:>12,.0f}", flush=True)


def resync(options):
    print(f"{'link':<10} {'rows':>8} {'joined after s':>15} {'the whole after s':>18}")
    for subject in OURS:
        _, (whole,) = following(options, subject, ROWS, 1)
        met, took = whole["met_s"], whole["resync_s"]
        print(f"{subject:<10} {ROWS:>8,} {met:>15.2f} {took:>18.2f}", flush=True)


def slow(options):
    """Each link in turn with all fast and with one slow, twice: the machine is not the same."""
    print(
        f"{'link':<8} {'slow ms':>8} {'p50 ms':>8} {'p99 ms':>8} {'p99.9 ms':>9} {'left out':>9} "
        f"{'publish, longest ms':>20} {'all equal after s':>18}"
    )
    for subject in OURS:
        for slow_s in (0.0, SLOW_S) * 2:
            with tempfile.TemporaryDirectory() as place:
                ticks = start(options, "ticker", subject, BEATS, place)
                assert ticks.stdout.readline() == "ready\n"
                follows = start(options, "crowd", subject, BEATS, place, slow=slow_s)
                told = json.loads(ticks.stdout.readline())
                seen = json.loads(follows.stdout.readline())
                ended(follows, ticks)
            merged = (CROWD - 1) * (BEATS - WARM) - seen["changes"]
            late = [seen[name] * 1e3 for name in ("p50_s", "p99_s", "p999_s")]
            print(
                f"{subject:<8} {slow_s * 1e3:>8.0f} {late[0]:>8.2f} {late[1]:>8.2f} "
                f"{late[2]:>9.2f} {merged:>9} {told['longest_s'] * 1e3:>20.2f} "
                f"{seen['equal_at'] - told['last_at']:>18.2f}",
                flush=True,
            )


def head():
    print(f"{'':<26} {'orders/s':>10} {'send us':>9} {'take us':>9} {'p50 ms':>8} {'p99 ms':>8}")


PARTS = {"local": local, "rabbit": rabbit, "nodes": nodes, "resync": resync, "slow": slow}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="rabbit://guest:guest@127.0.0.1:5672/")
    parser.add_argument("--only", choices=PARTS)
    hidden = {"subject": str, "many": int, "place": str, "followers": int, "slow": float}
    for name, kind in hidden.items():
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        ROLES[options.role](options)
        return
    for name, part in PARTS.items():
        if options.only in {None, name}:
            print(f"\n{name}")
            part(options)


if __name__ == "__main__":
    main()
