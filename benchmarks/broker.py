"""Messages through RabbitMQ: our link beside bare kombu, pika and oslo.messaging's fanout cast.

``python -m benchmarks.broker [--url rabbit://guest:guest@127.0.0.1:5672/]`` runs each subject with
a publisher and a consumer in processes of their own, first with one update of 1 KB in a message,
then with ten. It prints updates a second, the processor time of one update on either side, and how
long a message took at 200 messages a second. What each promises stands beside it: ours are
persistent, confirmed and acknowledged. Trust the processor time more than the rate: the broker
shares the machine.
``pip install congress-dse[bench,rabbit,notifications]``
"""

import argparse
import json
import statistics
import struct
import subprocess
import sys
import time
from contextlib import suppress
from urllib.parse import urlsplit

SIZE_B = 1000  # of one update
PACE_S, PACED = 0.005, 600
HEAD = struct.Struct(">dI")
SUBJECTS = {
    "ours": "persistent, confirmed, acked",
    "kombu": "transient, acked",
    "kombu confirms": "persistent, each confirmed, acked",
    "pika": "transient, acked",
    "pika confirms": "persistent, each confirmed, acked",
    "oslo.messaging": "fanout cast",
}
SLOW = 4  # so many times fewer messages where each is waited for


class Ours:
    """Both sides; the hub sleeps or handles, as it would in an engine."""

    def __init__(self, url, subject, name):
        from congress_dse.links.broker import Broker
        from congress_dse.runtime import chosen as runtime

        self.runtime, self.came, states = runtime, [], []
        self.broker = Broker(
            url,
            name=f"bench-{name}",
            unpatched=runtime.unpatched,
            on_message=lambda body, _key: self.came.append(body),
            on_state=states.append,
        )
        if name == "consumer":
            self.broker.bind("bench.updates")
        self.broker.start()
        while not states:
            runtime.sleep(0.01)

    def publish(self, body):
        while not self.broker.publish("bench.updates", body):
            self.runtime.sleep(0.001)

    def pause(self, seconds):
        self.runtime.sleep(seconds)

    def settle(self):
        while self.broker.statistics().outbox:
            self.runtime.sleep(0.002)

    def consume(self, take):
        while True:
            batch, self.came[:] = self.came[:], []
            for body in batch:
                if take(body):
                    return
            if batch:
                self.broker.done(len(batch))
            else:
                self.runtime.sleep(0.001)

    def end(self):
        self.broker.close(2)
        self.broker.join(3)


class Kombu:
    def __init__(self, url, subject, name):
        import kombu

        self.confirms = subject.endswith("confirms")
        options = {"confirm_publish": True} if self.confirms else {}
        where = url.replace("rabbit://", "amqp://")
        self.connection = kombu.Connection(where, transport_options=options)
        exchange = kombu.Exchange(f"bench.{subject}", "topic", durable=False, auto_delete=True)
        self.queue = kombu.Queue(
            f"bench.{subject}", exchange, "bench.#", durable=self.confirms, auto_delete=True
        )
        self.producer = kombu.Producer(self.connection.channel(), exchange)
        self.kombu = kombu
        if name == "consumer":
            self.queue(self.connection.channel()).declare()

    def publish(self, body):
        self.producer.publish(body, routing_key="bench.updates", delivery_mode=1 + self.confirms)

    def pause(self, seconds):
        time.sleep(seconds)

    def settle(self):
        pass

    def consume(self, take):
        done = []

        def on_message(message):
            if take(bytes(message.body)):
                done.append(1)
            message.ack()

        channel = self.connection.channel()
        channel.basic_qos(0, 500, False)
        with self.kombu.Consumer(channel, [self.queue], on_message=on_message):
            print("ready", flush=True)
            while not done:
                self.connection.drain_events()

    def end(self):
        self.connection.close()


class Pika:
    def __init__(self, url, subject, name):
        import pika

        confirms = subject.endswith("confirms")
        at = urlsplit(url)
        who = pika.PlainCredentials(at.username, at.password)
        where = pika.ConnectionParameters(at.hostname, at.port, credentials=who)
        self.connection = pika.BlockingConnection(where)
        self.channel = self.connection.channel()
        self.properties = pika.BasicProperties(delivery_mode=1 + confirms)
        self.queue = f"bench.{subject}"
        self.channel.exchange_declare(self.queue, "topic", auto_delete=True)
        if name == "consumer":
            self.channel.queue_declare(self.queue, durable=confirms, auto_delete=True)
            self.channel.queue_bind(self.queue, self.queue, "bench.#")
            self.channel.basic_qos(prefetch_count=500)
        elif confirms:
            self.channel.confirm_delivery()

    def publish(self, body):
        self.channel.basic_publish(self.queue, "bench.updates", body, self.properties)

    def pause(self, seconds):
        self.connection.sleep(seconds)

    def settle(self):
        self.connection.process_data_events()

    def consume(self, take):
        def on_message(channel, method, _properties, body):
            over = take(body)
            channel.basic_ack(method.delivery_tag)
            if over:
                channel.stop_consuming()

        self.channel.basic_consume(self.queue, on_message)
        print("ready", flush=True)
        self.channel.start_consuming()

    def end(self):
        self.connection.close()


class Oslo:
    def __init__(self, url, subject, name):
        import oslo_messaging
        from oslo_config import cfg

        cfg.CONF([])  # the one that the library registers its own options with
        self.messaging = oslo_messaging
        self.transport = oslo_messaging.get_rpc_transport(cfg.CONF, url)
        target = oslo_messaging.Target(topic="bench", fanout=True)
        self.client = oslo_messaging.get_rpc_client(self.transport, target)

    def publish(self, body):
        self.client.cast({}, "take", body=body.decode("latin-1"))

    def pause(self, seconds):
        time.sleep(seconds)

    def settle(self):
        pass

    def consume(self, take):
        import threading

        over, lock = threading.Event(), threading.Lock()

        class Endpoint:
            def take(self, _context, body):
                with lock:
                    if take(body.encode("latin-1")):
                        over.set()

        target = self.messaging.Target(topic="bench", server="consumer")
        server = self.messaging.get_rpc_server(
            self.transport, target, [Endpoint()], executor="threading"
        )
        server.start()
        time.sleep(1)  # it consumes soon; it does not say when
        print("ready", flush=True)
        over.wait()
        server.stop()

    def end(self):
        self.transport.cleanup()


CLASSES = {"ours": Ours, "kombu": Kombu, "pika": Pika, "oslo.messaging": Oslo}


def made(subject, url, name):
    return CLASSES[subject.split()[0]](url, subject, name)


def publisher(subject, url, many, updates):
    """Send all at once, then some at a pace."""
    side = made(subject, url, "publisher")
    padding = b"x" * (SIZE_B * updates - HEAD.size)
    begun, begun_s = time.monotonic(), time.process_time()
    for number in range(many):
        side.publish(HEAD.pack(time.monotonic(), number) + padding)
    side.settle()
    spent_s, took_s = time.process_time() - begun_s, time.monotonic() - begun
    side.pause(0.5)
    for number in range(many, many + PACED):
        side.publish(HEAD.pack(time.monotonic(), number) + padding)
        side.pause(PACE_S)
    side.settle()
    print(json.dumps({"publisher_s": spent_s, "publish_s": took_s}), flush=True)
    side.end()


def consumer(subject, url, many, updates):
    """Take all in; the paced ones tell how long they took."""
    side = made(subject, url, "consumer")
    late, marks, seen = [], [], [0]

    def take(body):
        sent, number = HEAD.unpack_from(body)
        seen[0] += 1
        if seen[0] in {1, many}:  # by count: not everybody keeps the order
            marks.append((time.monotonic(), time.process_time()))
        if number >= many:
            late.append(time.monotonic() - sent)
        return seen[0] == many + PACED

    if subject == "ours":
        print("ready", flush=True)
    side.consume(take)
    (first, first_s), (last, last_s) = marks
    centiles = statistics.quantiles(late, n=100)
    figures = {"consumer_s": last_s - first_s, "consume_s": last - first}
    print(json.dumps({**figures, "p50_s": centiles[49], "p99_s": centiles[98]}), flush=True)
    side.end()


def measured(subject, url, many, updates):
    """The figures of one run."""
    if subject.endswith("confirms") or subject == "oslo.messaging":
        many //= SLOW
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.broker", "--url", url]
    command += ["--many", str(many), "--updates", str(updates), "--subject", subject]
    with subprocess.Popen([*command, "--role", "consumer"], stdout=subprocess.PIPE) as taking:
        try:
            assert taking.stdout.readline() == b"ready\n"
            done = subprocess.run(
                [*command, "--role", "publisher"], stdout=subprocess.PIPE, timeout=300, check=True
            )
            came = taking.stdout.readline()
            with suppress(subprocess.TimeoutExpired):
                taking.wait(5)
        finally:
            taking.kill()
    return {"updates": many * updates, **json.loads(done.stdout), **json.loads(came)}


def show(subject, figures, updates):
    rate = figures["updates"] / max(figures["publish_s"], figures["consume_s"])
    cpu = [figures[f"{side}_s"] / figures["updates"] * 1e6 for side in ("publisher", "consumer")]
    waits = [figures[name] * 1e3 for name in ("p50_s", "p99_s")]
    print(
        f"{subject:<16} {SUBJECTS[subject]:<34} {updates:>3} {rate:>10,.0f} "
        f"{cpu[0]:>9.1f} {cpu[1]:>9.1f} {waits[0]:>8.2f} {waits[1]:>8.2f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="rabbit://guest:guest@127.0.0.1:5672/")
    parser.add_argument("--many", type=int, default=12_000, help="messages")
    parser.add_argument("--updates", type=int, help="in a message; without it, 1 and 10")
    parser.add_argument("--subject", choices=SUBJECTS)
    parser.add_argument("--role", choices=("publisher", "consumer"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        role = {"publisher": publisher, "consumer": consumer}[options.role]
        role(options.subject, options.url, options.many, options.updates)
        return
    print(
        f"{'':<16} {'':<34} {'upd':>3} {'updates/s':>10} "
        f"{'publ us':>9} {'cons us':>9} {'p50 ms':>8} {'p99 ms':>8}"
    )
    for updates in [options.updates] if options.updates else [1, 10]:
        for subject in [options.subject] if options.subject else SUBJECTS:
            show(subject, measured(subject, options.url, options.many, updates), updates)


if __name__ == "__main__":
    main()
