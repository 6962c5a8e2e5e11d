"""Nodes of a bus as tests see them: what came, which states were entered."""

from contextlib import contextmanager

from congress_dse.links.broker import Broker, BrokerLimits
from congress_dse.runtime import chosen as runtime
from tests.support.engine import wait_for

QUICK = {"heartbeat_s": 2, "probe_s": 0.5, "probe_limit_s": 3}


class Node:
    """A broker's link whose messages are handled at once, unless it is told to `hold` them."""

    def __init__(self, url, name, hold=False, **limits):
        self.got, self.states = [], []
        self.room = self.unproven = self._came = 0
        self.hold = hold
        self.broker = Broker(
            url,
            name=name,
            unpatched=runtime.unpatched,
            on_message=self._take,
            on_state=self._enter,
            on_room=self._note_room,
            limits=BrokerLimits(**{**QUICK, **limits}),
        )

    def _take(self, body, key):
        self.got.append((body, key))
        if not self.hold:
            self.broker.done()

    def _enter(self, state):
        # Called by the link's own thread: the statistics are those of this moment.
        self.states.append(str(state))
        seen = self.broker.statistics()
        if state == "up":
            came = seen.consumed > self._came or seen.unhandled
            proofs = {"probe": seen.probe_s is not None, "delivery": came}
            self.unproven += not proofs.get(seen.proof, False)
        elif state == "down":
            self._came = seen.consumed

    def _note_room(self):
        self.room += 1

    @property
    def state(self):
        return self.states[-1] if self.states else "connecting"

    @property
    def bodies(self):
        return [int(body) for body, _ in self.got]


@contextmanager
def joined(url, *names, up=True, **options):
    """Nodes that are up, and that leave at the end; none was ever up without a proof."""
    nodes = [Node(url, name, **options) for name in names]
    for node in nodes:
        node.broker.start()
    try:
        if up:
            wait_for(lambda: all(node.state == "up" for node in nodes))
        yield nodes if len(nodes) > 1 else nodes[0]
    finally:
        for node in nodes:
            node.broker.close(5)
        wait_for(lambda: all(node.state == "closed" for node in nodes))
    assert not any(node.unproven for node in nodes)


class Stream:
    """Publishes numbers at a pace until it is stopped; `sent` are those that were taken in."""

    def __init__(self, node, key, pause_s=0.002):
        self.node, self.key, self.pause_s = node, key, pause_s
        self.sent = []
        self._stopped = False
        self._number = 0
        self._thread = runtime.spawn(self._run)

    def _run(self):
        while not self._stopped:
            self._number += 1
            if self.node.broker.publish(self.key, str(self._number).encode()):
                self.sent.append(self._number)
            runtime.sleep(self.pause_s)

    def stop(self):
        self._stopped = True
        self._thread.wait()
