"""The API's own description is true: requests that are made up of it are answered as it says."""

import os

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from congress_dse.api.server import ROUTES

OPERATORS = ("/v1/engine", "/healthz", "/readyz", "/metrics")
LIVE = sorted(r.pattern for r in ROUTES if r.pattern.startswith(OPERATORS))


@pytest.fixture
def document(running):
    """The description, and the client of the server that told it."""
    api = running().client
    api("PUT", "data-sources/given/tables/alarms/rows", json=[[1, "a"], [2, "b"]])
    api.get("data-sources/nobody")
    return schemathesis.openapi.from_dict(api.get("/v1/openapi.json").json), api


def test_every_live_route_is_described(document):
    told = document[0].raw_schema["paths"]
    assert set(LIVE) <= set(told)
    for path in LIVE:
        for operation in told[path].values():
            assert operation["summary"]
            assert operation["responses"]["200"]["content"]


def checked(operation, base_url, examples):
    """Make up requests of one operation, and check every answer against its description."""
    seen = []

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def check(case):
        response = case.call(base_url=base_url, timeout=20)
        # That an id or a marker is text says not that there is one; and 503 is an answer, too.
        case.validate_response(
            response, excluded_checks=[positive_data_acceptance, not_a_server_error]
        )
        seen.append(response.status_code)

    check()
    return seen


def test_the_live_routes_answer_as_they_are_described(document):
    schema, api = document
    examples = 40 if os.environ.get("CONGRESS_DSE_FULL") else 6
    checks = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in LIVE:
            seen = checked(operation, f"http://127.0.0.1:{api.port}", examples)
            assert not [status for status in seen if status == 500]
            checks += 1
    assert checks == len(LIVE)
