"""ours: the engine's way of doing each thing that is measured."""

from typing import Any

from benchmarks.meter import Meter
from congress_dse import d6cage, deepsix
from congress_dse.d6message import d6msg
from congress_dse.rows import Delta
from congress_dse.runtime import chosen as runtime

IDLE_S = 6.0


class Service(deepsix.deepSix):
    """Answers requests with their body, and counts commands and updates."""

    mailbox_capacity = 1_000_000  # Pykka's and eventlet's queues have no bound
    count: "Count"

    def reqhandler(self, msg: Any) -> Any:
        return msg.body

    def cmdhandler(self, msg: Any) -> None:
        self.count.up()

    def updated(self, msg: Any) -> None:
        self.count.up()


class Count:
    """Counts up to a target, for which one greenthread may wait."""

    def __init__(self) -> None:
        self.seen = self.target = 0
        self.reached = runtime.Waiter()

    def up(self) -> None:
        self.seen += 1
        if self.seen == self.target:
            self.reached.send()

    def to(self, target: int) -> runtime.Waiter:
        self.seen, self.target, self.reached = 0, target, runtime.Waiter()
        return self.reached


def _cage(*names: str) -> tuple[Any, ...]:
    cage = d6cage.d6Cage("bench")
    made = [cage.createservice(name, factory=Service) for name in names]
    runtime.sleep(0.01)
    return (cage, *made)


def tell(many: int, meter: Meter) -> None:
    cage, service = _cage("a")
    service.count = Count()

    def tells(count: int) -> None:
        handled = service.count.to(count)
        for number in range(count):
            cage.tell("a", "work", number)
        handled.wait()

    tells(many // 10)
    with meter:
        tells(many)


def tell_one(many: int, meter: Meter) -> None:
    cage, service = _cage("a")
    service.count = Count()
    for count, watch in ((many // 10, Meter()), (many, meter)):
        with watch:
            for number in range(count):
                handled = service.count.to(1)
                cage.tell("a", "work", number)
                handled.wait()


def send(many: int, meter: Meter) -> None:
    _, sender, service = _cage("a", "b")
    service.count = Count()

    def sends(count: int) -> None:
        for number in range(count):
            sender.send(d6msg("b", "a", "", "cmd", "work", number))

    for count, watch in ((many // 10, Meter()), (many, meter)):
        handled = service.count.to(count)
        with watch:
            sender.do(lambda count=count: sends(count))
            handled.wait()


def ask(many: int, meter: Meter) -> None:
    cage, _ = _cage("a")

    def asks(count: int) -> None:
        for number in range(count):
            cage.ask("a", "question", number)

    asks(many // 10)
    with meter:
        asks(many)


def fan_out(many: int, meter: Meter) -> None:
    """`many` deliveries, to 1,000 subscribers each time."""
    followers = [f"s{number}" for number in range(1000)]
    _, publisher, *services = _cage("p", *followers)
    shared = Count()
    for service in services:
        service.count = shared
        service.do(lambda s=service: s.subscribe("p", "t", callback=s.updated))
    runtime.sleep(0.05)

    def publishes(rows: range) -> None:
        for row in rows:
            publisher.publish("t", Delta(added=[(row,)]))

    rounds = many // len(services)
    for rows, watch in ((range(1), Meter()), (range(1, rounds + 1), meter)):
        arrived = shared.to(len(rows) * len(services))
        with watch:
            publisher.do(lambda rows=rows: publishes(rows))
            arrived.wait()


def spawn(many: int, meter: Meter) -> None:
    with meter:
        made = [_alone(number) for number in range(many)]
    assert len(made) == many


def spawn_and_handle(many: int, meter: Meter) -> None:
    """Until each has handled its first message."""
    handled = Count()
    waiter = handled.to(many)
    made = []
    with meter:
        for number in range(many):
            service = _alone(number)
            service.count = handled
            service.inbox.put(d6msg("", "", "", "cmd"))
            made.append(service)
        waiter.wait()


def _alone(number: int) -> Service:
    return deepsix.spawnService(Service, f"s{number}", (), runtime.Mailbox())


def create(many: int, meter: Meter) -> None:
    """Through the cage: name, routes, supervision, until all is quiet."""
    cage = d6cage.d6Cage("bench")
    with meter:
        for number in range(many):
            cage.createservice(f"s{number}", factory=Service)
        while not cage.at_rest():
            runtime.sleep(0)


def stop(many: int, meter: Meter) -> None:
    cage, *_ = _cage(*(f"s{number}" for number in range(many)))
    with meter:
        killed = cage.d6stop(100.0)
    assert not killed


def memory(many: int, meter: Meter) -> None:
    with meter:
        cage, *_ = _cage(*(f"s{number}" for number in range(many)))
    assert len(cage.services) == many + 1


def idle(many: int, meter: Meter) -> None:
    _cage(*(f"s{number}" for number in range(many)))
    runtime.sleep(1)
    with meter:
        runtime.sleep(IDLE_S)
