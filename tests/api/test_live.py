"""The live routes, on an engine in this process: what it says of itself is so."""

import pytest

from congress_dse.deepsix import deepSix
from congress_dse.runtime import chosen as runtime

ROWS = "data-sources/given/tables/alarms/rows"
LETTERS = "engine/dead-letters"


class Follower(deepSix):
    """Follows a table; waits in the callback until it is let go on."""

    def follow(self, source, table):
        self.seen = []
        self.hold = None
        self.subscribe(source, table, callback=self.take)

    def take(self, msg):
        self.seen.append(msg.body.version)
        if self.hold is not None:
            self.hold.wait(20)


class Asker(deepSix):
    """Asks another service in its own turn, and answers when it is told to."""

    def asks(self, key):
        self.error = None
        self.do(lambda: self._ask(key))

    def _ask(self, key):
        try:
            self.ask(key, "question", timeout_s=20)
        except Exception as error:
            self.error = error

    def reqhandler(self, msg):
        return None


class Failing(deepSix):
    """Fails with the first command, and takes it the next time."""

    tries = 0

    def cmdhandler(self, msg):
        self.tries += 1
        if self.tries == 1:
            raise ValueError("not this time")


@pytest.fixture
def one(running):
    return running()


def of(answer, **wanted):
    """The only result that has all of this."""
    assert answer.status == 200, answer.body
    results = answer.json["results"]
    (found,) = [r for r in results if all(r[k] == v for k, v in wanted.items())]
    return found


def test_every_service_is_told_with_its_mailbox_and_its_class(one, wait_for):
    cage = one.engine.cage
    follower = cage.createservice("follower", factory=Follower)
    found = of(one.client.get("engine/services"), service="follower")
    assert found["class"].endswith("test_live.Follower")
    assert (found["kind"], found["state"], found["depth"]) == ("service", "idle", 0)
    assert found["node"] == cage.bus.node
    follower.hold = runtime.Waiter()
    follower.do(lambda: follower.hold.wait(20))
    follower.do(lambda: None)
    wait_for(lambda: follower.in_hand is not None)
    found = of(one.client.get("engine/services?kind=service"), service="follower")
    assert (found["state"], found["depth"]) == ("busy", 1)
    assert "do" in found["in_hand"]
    follower.hold.send()
    assert {r["kind"] for r in one.client.get("engine/services?kind=source").json["results"]} == {
        "source"
    }


def test_a_service_that_failed_says_what_it_failed_of(one, wait_for):
    failing = one.engine.cage.createservice("failing", factory=Failing)
    one.engine.cage.tell("failing", "break")
    wait_for(lambda: failing.failures)
    found = of(one.client.get("engine/services"), service="failing")
    assert (found["failed"], found["last_error"]) == (1, "ValueError: not this time")


def test_the_tree_has_groups_restarts_and_causes(one, wait_for):
    cage = one.engine.cage
    cage.group("pair", "all")
    cage.createservice("mortal", factory=Failing, group="pair", on_failure="restart")
    cage.tell("mortal", "break")
    wait_for(
        lambda: cage.upkeep.restarts()["mortal"] == 3
    )  # each life fails with it, then it rests
    wait_for(lambda: cage.letters() and cage.service_object("mortal").running)
    answer = one.client.get("engine/tree")
    (tree,) = answer.json["results"]
    assert answer.json["master"] is None
    (pair,) = [group for group in tree["groups"] if group["group"] == "pair"]
    (child,) = pair["children"]
    assert (pair["strategy"], child["name"], child["restarts"]) == ("all", "mortal", 3)
    assert child["last_error"] == "ValueError: not this time"
    free = next(group for group in tree["groups"] if group["group"] == "")
    assert "given" in [c["name"] for c in free["children"]]


def test_a_table_has_rows_version_and_the_lag_of_each_follower(one, wait_for):
    cage, api = one.engine.cage, one.client
    api("PUT", ROWS, json=[[1, "a"]])
    quick = cage.createservice("quick", factory=Follower)
    slow = cage.createservice("slow", factory=Follower)
    quick.follow("given", "alarms")
    slow.follow("given", "alarms")
    wait_for(lambda: quick.seen and slow.seen)
    slow.hold = runtime.Waiter()
    for number in range(2, 6):
        api("PUT", ROWS, json=[[number, "a"], [0, "b"]])
    wait_for(lambda: len(quick.seen) == 5)
    found = of(api.get("engine/tables/given/alarms"), table="alarms")
    assert (found["rows"], found["version"], found["followers"]) == (2, quick.seen[-1], 2)
    lags = {s["subscriber"]: s["lag"] for s in found["subscribers"]}
    assert lags == {"quick": 0, "slow": 3}  # one is in its hand, and counts as seen
    assert found["lag"] == 3
    slow.hold.send()
    slow.hold = None
    wait_for(lambda: slow.seen[-1] == quick.seen[-1])
    found = of(api.get("engine/tables?service=given"), table="alarms")
    assert found["lag"] == 0
    assert found["age_s"] >= 0
    assert api.get("engine/tables/given/nothing").status == 404


def test_rows_are_read_in_pages_of_one_version(one):
    api, path = one.client, "engine/tables/given/alarms/rows"
    rows = [[n, "x"] for n in range(25)]
    api("PUT", ROWS, json=rows)
    found, marker = [], ""
    while True:
        page = api.get(f"{path}?limit=10&marker={marker}").json
        assert (page["total"], page["columns"]) == (25, ["id", "severity"])
        found += page["rows"]
        marker = page["marker"]
        if not marker:
            break
        api("PUT", ROWS, json=[[7, "y"]])  # a change in between
    assert sorted(found) == rows
    assert api.get(path).json["rows"] == [[7, "y"]]
    assert api.get(f"{path}?marker=1.2.3").status == 410
    assert api.get(f"{path}?limit=0").status == 400
    assert api.get("engine/tables/nobody/alarms/rows").status == 404


def test_a_source_says_how_its_polls_fare(one, wait_rows, tmp_path):
    api = one.client
    wait_rows("data-sources/files/tables/t")
    found = of(api.get("engine/sources"), source="files")
    assert (found["state"], found["tables"], found["rows"]) == ("fresh", 1, 2)
    poll = found["poll"]
    assert poll["every_s"] == 0.1
    assert poll["polls"] >= 1
    assert poll["last_s"] >= 0
    assert poll["circuit"] == "closed"
    assert of(api.get("engine/sources"), source="given")["poll"] is None
    (tmp_path / "tables" / "t.csv").write_text("name,cpus\nbroken\n")
    # The table is stale before its poll is over, and counted.
    while not (found := of(api.get("engine/sources"), source="files"))["poll"]["failures"]:
        runtime.sleep(0.01)
    assert found["state"] in {"stale", "down"}
    assert "row 2" in found["stale"][0]["cause"]
    table = of(api.get("engine/tables"), service="files", table="t")
    assert "row 2" in table["stale"]["cause"]


def test_a_dead_letter_is_listed_replayed_once_and_gone(one, wait_for):
    cage, api = one.engine.cage, one.client
    failing = cage.createservice("failing", factory=Failing)
    cage.tell("failing", "break", {"why": "a test"})
    wait_for(cage.letters)
    (letter,) = api.get(LETTERS).json["results"]
    assert (letter["reason"], letter["receiver"], letter["type"]) == ("failed", "failing", "cmd")
    assert "a test" in letter["body"]
    assert "not this time" in letter["stack"]
    assert api("POST", f"{LETTERS}/{letter['id']}?action=replay").json == {"replayed": True}
    wait_for(lambda: failing.tries == 2)
    assert api.get(LETTERS).json["results"] == []
    assert api("POST", f"{LETTERS}/{letter['id']}?action=replay").status == 404
    assert api("POST", f"{LETTERS}/{letter['id']}").status == 400
    assert api("POST", f"{LETTERS}/{letter['id']}?action=eat").status == 501


def test_a_dead_letter_is_discarded(one, wait_for):
    cage, api = one.engine.cage, one.client
    for number in range(3):
        cage.tell(f"nobody-{number}", "anything")
    answer = api.get(f"{LETTERS}?limit=2").json
    assert [r["key"] for r in answer["results"]] == ["nobody-2", "nobody-1"]
    assert answer["total"] == 3
    assert api("DELETE", f"{LETTERS}/{answer['results'][0]['id']}").json is None
    assert [r["key"] for r in api.get(LETTERS).json["results"]] == ["nobody-1", "nobody-0"]
    for wrong in ("x", "x~1", f"{cage.bus.node}~99", f"{cage.bus.node}~x"):
        assert api("DELETE", f"{LETTERS}/{wrong}").status == 404
    assert api.get(f"{LETTERS}?reason=nonsense").json["results"] == []


def test_who_waits_for_whom_is_told_with_its_place_in_the_code(one, wait_for):
    cage, api = one.engine.cage, one.client
    first = cage.createservice("first", factory=Asker)
    cage.createservice("second", factory=Asker)
    first.asks("second")
    wait_for(cage.asks.waits)
    answer = api.get("engine/waits")
    wait = of(answer, who="first")
    assert (wait["whom"], wait["what"], wait["circle"]) == ("second", "question", False)
    assert "test_live.py" in wait["at"]
    assert answer.json["circles"] == []
    assert of(api.get("engine/services"), service="first")["state"] == "waiting"


def test_the_stack_of_a_service_shows_where_it_is(one, wait_for):
    cage, api = one.engine.cage, one.client
    first = cage.createservice("first", factory=Asker)
    cage.createservice("second", factory=Asker)
    first.asks("second")
    wait_for(cage.asks.waits)
    found = of(api.get("engine/stacks/first"), service="first")
    assert "in _ask" in found["stack"]
    assert found["in_hand"]
    assert api.get("engine/stacks/nobody").status == 404


def test_the_node_itself_is_told(one):
    node = of(one.client.get("engine/nodes"), node=one.engine.cage.bus.node)
    assert node["services"] >= 4
    assert node["pid"] > 0
    assert one.client.get("engine/nodes").json["silent"] == []
    assert one.client.get("engine/links").json["results"] == []


def test_everybody_who_was_asked_is_named(one):
    (asked,) = one.client.get("engine/services").json["asked"]
    assert (asked["node"], asked["answered"], asked["blocked_s"]) == (
        one.engine.cage.bus.node,
        True,
        0,
    )


def test_without_a_master_its_workers_are_unavailable(one):
    answer = one.client.get("engine/workers")
    assert answer.status == 503
    assert answer.error == (503, "the master does not answer")


def test_the_timeline_is_empty_before_anything_was_written(one):
    assert one.client.get("engine/timeline").json == {"results": []}
