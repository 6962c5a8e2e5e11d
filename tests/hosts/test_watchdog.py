"""Who blocks the hub is named while he does: service, method and line. Scenario 17."""

import asyncio
import logging
from pathlib import Path

import pytest

from congress_dse import deepsix
from congress_dse.runtime import chosen as runtime


class Blocking(deepsix.deepSix):
    """Blocks the whole thread, in each of the ways there are, until `go` is set."""

    go = None

    def cmdhandler(self, msg):
        if msg.dataindex == "beside":
            self.spawn(self.held_up)
        elif msg.dataindex == "coroutine":
            return self.held_up_too()  # what is returned is awaited
        else:
            self.held_up()
        return None

    def held_up(self):
        self.seen = self.go.wait(60)  # here

    async def held_up_too(self):
        await asyncio.sleep(0)
        self.seen = self.go.wait(60)  # there


@pytest.fixture
def watched(host):
    """A watchdog, and an event of native threads that is set when it has spoken."""
    said, go = [], runtime.unpatched("threading").Event()

    class Heard(logging.Handler):
        def emit(self, record):
            if "has blocked" in record.getMessage():
                said.append(record.getMessage())
                go.set()

    log, handler = logging.getLogger("congress_dse.runtime.watchdog"), Heard()
    log.addHandler(handler)
    dog = runtime.watchdog(0.3)
    yield host.createservice("s", factory=Blocking), go, said, dog
    dog.stop()
    log.removeHandler(handler)


@pytest.mark.parametrize("kind", ["turn", "beside", "coroutine"])
def test_a_handler_that_blocks_is_named_with_its_line_while_it_does(host, watched, wait_for, kind):
    service, go, said, dog = watched
    service.go, service.seen = go, None
    host.tell("s", kind)
    wait_for(lambda: service.seen is not None)
    assert service.seen is True  # it was named before it went on
    name, mark = ("held_up_too", "# there") if kind == "coroutine" else ("held_up", "# here")
    lines = Path(__file__).read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if line.endswith(f"  {mark}"))
    assert f"s: Blocking.{name} has blocked the hub" in said[0]
    assert f"{__file__}:{number};" in said[0]
    assert dog.blocks == {"s": 1}


def test_while_nothing_happens_the_watchdog_sleeps_and_then_wakes(host, watched, wait_for):
    service, go, _, dog = watched
    wait_for(lambda: dog.asleep)
    service.go, service.seen = go, None
    host.tell("s", "turn")
    wait_for(lambda: service.seen)
    assert dog.blocks == {"s": 1}
