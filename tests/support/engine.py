"""What tests of drivers need of an engine: a bus, one source on it, and the time to wait for it."""

from contextlib import contextmanager

from congress_dse import sources
from congress_dse.d6cage import d6Cage
from congress_dse.datasources.datasource_driver import STALE
from congress_dse.deepsix import deepSix
from congress_dse.runtime import chosen as runtime

WITHIN_S = 20.0


def wait_for(condition, within_s=WITHIN_S):
    """Let others run until `condition()` is true, and return what it says; fail when it is late."""
    end = runtime.now() + within_s
    while not (value := condition()):
        assert runtime.now() < end, f"not within {within_s} s"
        runtime.sleep(0.005)
    return value


def made(driver, args, name=""):
    """A driver that stands alone: it polls when it is told to."""
    cls = sources.driver(driver)
    name = name or driver
    return cls(name, [name], None, None, sources.checked(cls, args, name))


class Follower(deepSix):
    """A service that follows tables and remembers what it was shown last."""

    def follow(self, source, *tables):
        self.seen = {}
        self.updates = []
        for table in tables:
            self.subscribe(source, table, callback=self.take)

    def take(self, msg):
        self.seen[msg.dataindex] = set(msg.body.data or ())
        self.updates.append(msg.dataindex)

    def causes(self):
        """Table to cause, of those that are stale."""
        return {table: cause for table, cause, _ in self.seen.get(STALE, ())}


@contextmanager
def bus():
    """A bus that is stopped at the end."""
    cage = d6Cage(name="drivers-bus")
    try:
        yield cage
    finally:
        cage.d6stop()


def serve(cage, driver, args, *tables, name=""):
    """Put a source on the bus and follow its tables; return (source, follower)."""
    cls = sources.driver(driver)
    name = name or driver
    source = cage.createservice(name, factory=cls, args=sources.checked(cls, args, name))
    follower = cage.createservice(f"{name}-follower", factory=Follower)
    follower.follow(name, *tables, STALE)
    return source, follower


@contextmanager
def longest_stall():
    """Measure the longest time in which nobody else could run; yields a list with it at the end."""
    worst = [0.0]

    def tick():
        before = runtime.now()
        while True:
            runtime.sleep(0.001)
            now = runtime.now()
            worst[0] = max(worst[0], now - before - 0.001)
            before = now

    ticker = runtime.spawn(tick)
    runtime.sleep(0)
    try:
        yield worst
    finally:
        ticker.kill()
