"""An engine under load: many services, a large table, and one of each kind of trouble."""

from congress_dse import deepsix
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.runtime import chosen as runtime

SERVICES, ROWS, BEHIND = 1000, 100_000, 400
PLACES = ("amsterdam", "bogota", "cairo", "dakar", "essen")


class Worker(deepsix.deepSix):
    """One of many."""

    def cmdhandler(self, msg):
        """Take a message."""


class Slow(deepsix.deepSix):
    """Never gets through what it is sent."""

    def cmdhandler(self, msg):
        runtime.sleep(3600)


class Waiter(deepsix.deepSix):
    """Waits for one who does not answer."""

    def cmdhandler(self, msg):
        self.ask("slow", "answer-me", timeout_s=3600)


class Broken(deepsix.deepSix):
    """Fails at every message, and is restarted."""

    def cmdhandler(self, msg):
        raise ValueError(f"cannot do {msg.dataindex}")


class Teller(deepsix.deepSix):
    """Publishes a table, and is no source."""

    def cmdhandler(self, msg):
        self.publish("told", {(msg.dataindex, number) for number in range(3)})


class CrowdDriver(PollingDataSourceDriver):
    SCHEMA = {"many": ("id", "place", "load"), "ticks": ("name", "count", "state")}

    def __init__(self, name, keys, inbox, datapath, args):
        super().__init__(name, keys, inbox, datapath, args)
        self.count = 0
        self.after(0.05, self.crowd)

    def crowd(self):
        cage = self.dataPath
        for number in range(SERVICES):
            cage.createservice(f"worker-{number:04d}", factory=Worker)
        cage.createservice("slow", factory=Slow)
        cage.createservice("waiter", factory=Waiter)
        cage.createservice("broken", factory=Broken, on_failure="restart")
        for number in range(BEHIND):
            cage.tell("slow", f"work-{number}")
        cage.tell("waiter", "wait")  # while another one never answers
        cage.tell("broken", "break")
        cage.createservice("teller", factory=Teller)
        cage.tell("teller", "news")
        for number in range(3):
            cage.tell(f"nobody-{number}", "hello", {"number": number, "text": "who hears me?"})
        self.after(0.5, self.talk)

    def talk(self):
        self.count += 1
        for number in range(self.count % 7, SERVICES, 7):
            self.dataPath.tell(f"worker-{number:04d}", "work")
        self.after(0.5, self.talk)

    def update_from_datasource(self):
        self.state["many"] = (
            {(n, PLACES[n % len(PLACES)], n * 7919 % 1000) for n in range(ROWS)}
            if "many" not in self.state
            else self.state["many"]
        )
        self.state["ticks"] = {
            (place, self.count + n, "even" if (self.count + n) % 2 == 0 else "odd")
            for n, place in enumerate(PLACES)
        }


def d6service(name, keys, inbox, datapath, args):
    return CrowdDriver(name, keys, inbox, datapath, args)
