"""A trace and a deadline go where messages go: over mailboxes, links and processes."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import uuid

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from congress_dse import config, exceptions, spans, telemetry, tracing
from congress_dse.d6cage import d6Cage
from congress_dse.deepsix import deepSix
from congress_dse.links import wire
from congress_dse.links.local import Local
from congress_dse.links.rabbit import Rabbit
from congress_dse.runtime import chosen as runtime
from congress_dse.tracing import Trace, here
from tests.support.engine import wait_for as wait_until
from tests.support.rabbit import local_url

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = Trace(f"00-{TRACE_ID}-00f067aa0ba902b7-01", "vendor=1")
OUTSIDE = tracing.read(f"00-{'1' * 32}-{'2' * 16}-01")


class Noting(deepSix):
    """Notes the trace of what it handles, and hands on what it is told to."""

    def __init__(self, *args):
        self.traces = []
        super().__init__(*args)

    def note(self, msg):
        self.traces.append((msg.dataindex, msg.trace))

    def cmdhandler(self, msg):
        self.note(msg)
        if msg.dataindex == "publish":
            self.publish("t", {(msg.body,)})
        elif msg.dataindex == "beside":
            self.spawn(lambda: self.do(lambda: self.dataPath.tell(msg.body, "work")))
        elif msg.body:
            self.dataPath.tell(msg.body, "work")

    def reqhandler(self, msg):
        self.note(msg)
        if msg.dataindex == "fail":
            raise ValueError("no")
        if msg.dataindex == "never":
            return None
        if msg.dataindex == "left":
            return msg.deadline - runtime.now()
        key, *rest = msg.body
        return self.ask(key, *rest, timeout_s=60) if key else "answer"


@pytest.fixture(params=["local", pytest.param("rabbit", marks=pytest.mark.rabbit)])
def cages(request, nothing_left, tmp_path, wait_for):
    """Two cages, joined by a link."""
    made = [d6Cage(f"traced{number}") for number in range(2)]
    for number, cage in enumerate(made):
        cage.bus.node = f"node{number}"
    if request.param == "local":
        links = [Local(cage, str(tmp_path / "links"), cage.bus.node) for cage in made]
    else:
        exchange = f"test_{uuid.uuid4().hex[:8]}"
        links = [Rabbit(cage, local_url(), exchange) for cage in made]
    wait_for(lambda: all(cage.bus.directory.nodes for cage in made))
    yield made
    for link in links:
        link.close()
    for cage in made:
        cage.d6stop()


@pytest.fixture
def exporter():
    """Spans are made, and kept here."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    here.make(spans.Spans(provider))
    yield kept
    here.make(None)
    provider.shutdown()


@pytest.fixture
def services(cages, wait_for):
    """One at each cage: they see each other."""
    made = [c.createservice(f"s{n}", ["s"], factory=Noting) for n, c in enumerate(cages)]
    wait_for(lambda: cages[0].table.routes("s1") and cages[1].table.routes("s0"))
    return made


def test_what_is_sent_in_a_handler_continues_the_trace_of_its_message(cages, services, wait_for):
    one, two = services
    with here.serving("outside", GIVEN):
        cages[0].tell("s1", "work", "s0")
    wait_for(lambda: one.traces)
    assert two.traces == [("work", GIVEN)]
    assert one.traces == [("work", GIVEN)]
    cages[0].tell("s1", "work", "s0")
    wait_for(lambda: len(one.traces) == 2)
    assert two.traces[1] == one.traces[1] == ("work", None)


def test_what_is_done_beside_a_service_is_part_of_its_trace(cages, services, wait_for):
    _, two = services
    with here.serving("outside", GIVEN):
        cages[0].tell("s0", "beside", "s1")
    wait_for(lambda: two.traces)
    assert two.traces == [("work", GIVEN)]


def test_a_coroutine_function_s_turn_is_part_of_its_trace(cages, services, wait_for):
    class Waiting(Noting):
        """Hands on what it is told after it has waited."""

        async def cmdhandler(self, msg):
            await asyncio.sleep(0)
            self.dataPath.tell(msg.body, "work")

    cages[0].createservice("waiting", factory=Waiting)
    with here.serving("outside", GIVEN):
        cages[0].tell("waiting", "later", "s1")
    wait_for(lambda: services[1].traces)
    assert services[1].traces == [("work", GIVEN)]


def test_an_update_and_an_answer_bring_their_trace_to_the_callback(cages, services, wait_for):
    _, two = services
    two.do(lambda: two.subscribe("s0", "t", callback=two.note))
    wait_for(lambda: two.traces)
    with here.serving("outside", GIVEN):
        cages[1].tell("s0", "publish", 7)
    wait_for(lambda: len(two.traces) == 2)
    assert two.traces == [("t", None), ("t", GIVEN)]
    asks = lambda: two.request("s0", "question", callback=two.note, args=[""])  # noqa: E731
    with here.serving("outside", GIVEN):
        two.do(asks)
    wait_for(lambda: len(two.traces) == 3)
    assert two.traces[2] == ("question", GIVEN)


def test_a_trace_that_is_none_is_left_out_and_an_envelope_of_nothing_is_refused(cages, services):
    bridge = next(s["object"] for n, s in cages[0].services.items() if n.startswith("link."))
    sent = ["cmd", "id", "s0", "s1", "work", None, None, {}]
    bridge.arrived("node1", ["traced", "nonsense", "", sent])
    for inner in ([], [["pub"]], ["traced", *GIVEN, sent], ["routes", []]):
        with pytest.raises(exceptions.WireError):
            bridge.arrived("node1", ["traced", *GIVEN, inner])
    with pytest.raises(exceptions.WireError):
        wire.decode(wire.encode([]))


def test_who_is_asked_waits_no_longer_than_his_asker(cages, services, caplog, wait_for):
    left_s = cages[0].ask("s0", "on", ["s1", "left"], timeout_s=20)
    assert 0 < left_s <= 20
    # Both end at the same moment: which of them is told first is all the same.
    with pytest.raises((exceptions.AskTimeout, exceptions.RequestFailed)):
        cages[0].ask("s0", "on", ["s1", "never"], timeout_s=0.2)
    wait_for(lambda: not cages[0].asks.waits())  # after 60 s, if he waited as long as he wished
    assert "for which 'traced0' still waited" in caplog.text


def by_name(exporter):
    return {span.name: span for span in exporter.get_finished_spans()}


def child_of(span, parent):
    return span.context.trace_id == parent.context.trace_id and (
        span.parent.span_id == parent.context.span_id
    )


def test_asks_and_what_is_handled_are_one_tree_of_spans_over_links(
    cages, services, exporter, wait_for
):
    _, two = services
    two.do(lambda: two.subscribe("s0", "t", callback=two.note))
    wait_for(lambda: two.traces)
    assert cages[0].ask("s1", "on", ["s0", "question", [""]]) == "answer"
    cages[1].tell("s0", "publish", 7)
    wait_for(lambda: "s1 pub t" in by_name(exporter))
    found = by_name(exporter)
    outer, on = found["ask s1 on"], found["s1 req on"]
    inner, question = found["ask s0 question"], found["s0 req question"]
    assert outer.parent is None
    assert child_of(on, outer)
    assert child_of(inner, on)
    assert child_of(question, inner)
    assert on.kind is trace.SpanKind.SERVER
    assert inner.kind is trace.SpanKind.CLIENT
    assert on.attributes["congress_dse.service"] == "s1"
    assert on.attributes["congress_dse.sender"] == "traced0"
    assert found["s0 cmd publish"].parent is None
    assert child_of(found["s1 pub t"], found["s0 cmd publish"])


def test_an_error_is_told_on_the_spans_that_it_ended(cages, services, exporter):
    with pytest.raises(exceptions.RequestFailed):
        cages[0].ask("s1", "fail")
    found = by_name(exporter)
    for name in ("ask s1 fail", "s1 req fail"):
        assert found[name].status.status_code is trace.StatusCode.ERROR
        assert "no" in found[name].status.description


def test_spans_of_a_handler_s_own_are_part_of_the_tree(cages, services, exporter):
    class Own(deepSix):
        """Makes a span of its own, and asks in it."""

        def reqhandler(self, msg):
            with tracer.start_as_current_span("own"):
                return self.ask("s1", "question", [""])

    tracer = here._spans._tracer
    cages[0].createservice("own", factory=Own)
    with here.serving("GET /", OUTSIDE):
        assert cages[0].ask("own", "question") == "answer"
    found = by_name(exporter)
    assert format(found["GET /"].parent.span_id, "016x") == "2" * 16
    assert child_of(found["own"], found["own req question"])
    assert child_of(found["ask s1 question"], found["own"])


CONF = """
[api]
bind_port = 0
drain_timeout = 1
[database]
connection = sqlite:///{folder}/sources.sqlite
[processes]
workers = 1
[tracing]
opentelemetry = true
[datasource:given]
driver = push
tables = hosts(name)
"""


def test_a_request_to_the_api_and_what_it_asks_of_another_process_are_one_trace(tmp_path):
    conf = tmp_path / "c.conf"
    conf.write_text(CONF.format(folder=tmp_path))
    said, log = tmp_path / "out", tmp_path / "err"
    with said.open("w") as out, log.open("w") as err:
        engine = subprocess.Popen(
            [sys.executable, "-m", "congress_dse", "serve", "--config-file", str(conf)],
            env={**os.environ, "OTEL_TRACES_EXPORTER": "console"},
            stdout=out,
            stderr=err,
        )
        try:
            url = wait_until(lambda: re.search(r"the API is at (\S+)", log.read_text()))[1]
            request = urllib.request.Request(f"{url}/v1/data-sources/given/tables")
            request.add_header("traceparent", GIVEN.parent)
            request.add_header("tracestate", GIVEN.state)
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status == 200
            engine.send_signal(signal.SIGTERM)
            assert engine.wait(30) == 0
        finally:
            engine.kill()
            engine.wait()
    mine = [s for s in printed(said.read_text()) if s["context"]["trace_id"] == f"0x{TRACE_ID}"]
    found = {span["name"]: span for span in mine}
    served = found["GET /v1/data-sources/{ds}/tables"]
    # It may be asked again, until it has been read for the first time.
    asks = {s["context"]["span_id"]: s for s in mine if s["name"].startswith("ask")}
    handled = next(s for s in mine if s["name"].startswith("given "))
    asked = asks[handled["parent_id"]]
    assert served["parent_id"] == "0x00f067aa0ba902b7"
    assert asked["parent_id"] == served["context"]["span_id"]
    assert "vendor" in str(handled["context"]["trace_state"])
    instances = {s["resource"]["attributes"]["service.instance.id"] for s in (asked, handled)}
    assert len(instances) == 2  # two processes
    assert handled["resource"]["attributes"]["service.name"] == "congress-dse"


def test_an_exporter_that_is_not_there_is_a_fault_of_the_configuration(tmp_path, monkeypatch):
    conf = tmp_path / "c.conf"
    conf.write_text(CONF.format(folder=tmp_path))
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console,nobody")
    with pytest.raises(exceptions.ConfigError, match="no exporter 'nobody' is installed"):
        telemetry.check(config.read([str(conf)]))


def printed(text):
    """The JSON objects that stand one after the other in `text`."""
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found
