"""threads: the same things done with Pykka: an actor a native thread."""

import threading
import time
from typing import Any

import pykka

from benchmarks.meter import Meter

IDLE_S = 6.0


class _Count:
    """Counts up to a target from many threads."""

    def __init__(self, target: int = 0) -> None:
        self.seen, self.target = 0, target
        self.lock = threading.Lock()
        self.reached = threading.Event()

    def up(self) -> None:
        with self.lock:
            self.seen += 1
        if self.seen == self.target:
            self.reached.set()


class _Asked(pykka.ThreadingActor):
    """Answers with what it is asked."""

    def on_receive(self, message: Any) -> Any:
        return message


class _Told(pykka.ThreadingActor):
    """Counts what it is told; alone, so without a lock."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def on_receive(self, message: Any) -> None:
        self.seen += 1
        if message is not None:
            message.set()


class _Shared(pykka.ThreadingActor):
    """Counts what it is told together with others."""

    def __init__(self, count: _Count) -> None:
        super().__init__()
        self.count = count

    def on_receive(self, message: Any) -> None:
        self.count.up()


def tell(many: int, meter: Meter) -> None:
    actor = _Told.start()
    for count, watch in ((many // 10, Meter()), (many, meter)):
        handled = threading.Event()
        with watch:
            for _ in range(count - 1):
                actor.tell(None)
            actor.tell(handled)
            handled.wait()


def tell_one(many: int, meter: Meter) -> None:
    actor, handled = _Told.start(), threading.Event()
    for count, watch in ((many // 10, Meter()), (many, meter)):
        with watch:
            for _ in range(count):
                handled.clear()
                actor.tell(handled)
                handled.wait()


def ask(many: int, meter: Meter) -> None:
    actor = _Asked.start()
    for count, watch in ((many // 10, Meter()), (many, meter)):
        with watch:
            for number in range(count):
                actor.ask(number)


def fan_out(many: int, meter: Meter) -> None:
    handled = _Count()
    actors = [_Shared.start(handled) for _ in range(1000)]
    for rounds, watch in ((1, Meter()), (many // len(actors), meter)):
        handled.seen, handled.target = 0, rounds * len(actors)
        handled.reached.clear()
        with watch:
            for number in range(rounds):
                for actor in actors:
                    actor.tell(number)
            handled.reached.wait()


def spawn(many: int, meter: Meter) -> None:
    with meter:
        made = [_Asked.start() for _ in range(many)]
    assert len(made) == many


def spawn_and_handle(many: int, meter: Meter) -> None:
    handled = _Count(many)
    with meter:
        for _ in range(many):
            _Shared.start(handled).tell(0)
        handled.reached.wait()


def stop(many: int, meter: Meter) -> None:
    made = [_Asked.start() for _ in range(many)]
    with meter:
        pykka.ActorRegistry.stop_all()
    assert len(made) == many


def memory(many: int, meter: Meter) -> None:
    with meter:
        made = [_Asked.start() for _ in range(many)]
        time.sleep(0.1)
    assert len(made) == many


def idle(many: int, meter: Meter) -> None:
    made = [_Asked.start() for _ in range(many)]
    time.sleep(1)
    with meter:
        time.sleep(IDLE_S)
    assert len(made) == many
