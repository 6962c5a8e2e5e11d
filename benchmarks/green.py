"""green: the same things done with eventlet alone: GreenThreads and its Queue, nothing around."""

from collections.abc import Callable
from typing import Any

import eventlet

from benchmarks.meter import Meter

IDLE_S = 6.0


def _reader(queue: eventlet.Queue, handle: Callable[[Any], None]) -> None:
    while True:
        handle(queue.get())


class _Count:
    def __init__(self, target: int) -> None:
        self.seen, self.target = 0, target
        self.reached = eventlet.Event()

    def up(self, _message: Any) -> None:
        self.seen += 1
        if self.seen == self.target:
            self.reached.send()


def tell(many: int, meter: Meter) -> None:
    for count, watch in ((many // 10, Meter()), (many, meter)):
        queue, handled = eventlet.Queue(), _Count(count)
        reader = eventlet.spawn(_reader, queue, handled.up)
        with watch:
            for number in range(count):
                queue.put(number)
            handled.reached.wait()
        reader.kill()


def tell_one(many: int, meter: Meter) -> None:
    queue, handled = eventlet.Queue(), _Count(1)
    eventlet.spawn(_reader, queue, handled.up)
    for count, watch in ((many // 10, Meter()), (many, meter)):
        with watch:
            for number in range(count):
                handled.seen, handled.reached = 0, eventlet.Event()
                queue.put(number)
                handled.reached.wait()


def ask(many: int, meter: Meter) -> None:
    """Ping-pong over two queues."""
    there, back = eventlet.Queue(), eventlet.Queue()
    eventlet.spawn(_reader, there, back.put)
    for count, watch in ((many // 10, Meter()), (many, meter)):
        with watch:
            for number in range(count):
                there.put(number)
                back.get()


def fan_out(many: int, meter: Meter) -> None:
    handled = _Count(0)
    queues = [eventlet.Queue() for _ in range(1000)]
    for queue in queues:
        eventlet.spawn(_reader, queue, handled.up)
    eventlet.sleep(0)
    for rounds, watch in ((1, Meter()), (many // len(queues), meter)):
        handled.seen, handled.target = 0, rounds * len(queues)
        handled.reached = eventlet.Event()
        with watch:
            for number in range(rounds):
                for queue in queues:
                    queue.put(number)
            handled.reached.wait()


def spawn(many: int, meter: Meter) -> None:
    with meter:
        made = _readers(many, _Count(0))
    assert len(made) == many


def spawn_and_handle(many: int, meter: Meter) -> None:
    handled = _Count(many)
    with meter:
        for queue, _ in _readers(many, handled):
            queue.put(0)
        handled.reached.wait()


def stop(many: int, meter: Meter) -> None:
    made = _readers(many, _Count(0))
    eventlet.sleep(0)
    with meter:
        for _, thread in made:
            thread.kill()


def memory(many: int, meter: Meter) -> None:
    with meter:
        made = _readers(many, _Count(0))
        eventlet.sleep(0)
    assert len(made) == many


def idle(many: int, meter: Meter) -> None:
    made = _readers(many, _Count(0))
    eventlet.sleep(1)
    with meter:
        eventlet.sleep(IDLE_S)
    assert len(made) == many


def _readers(many: int, handled: _Count) -> list[tuple[eventlet.Queue, Any]]:
    queues = [eventlet.Queue() for _ in range(many)]
    return [(queue, eventlet.spawn(_reader, queue, handled.up)) for queue in queues]
