"""Who may ask: static tokens, basic authentication, and nobody from other machines without."""

import base64

import pytest

from congress_dse import config, exceptions
from congress_dse.api import access

TOKENS = "# who: token\nada:sesame-open\nbob:only-reads:reader\n"


@pytest.fixture
def guarded(running, tmp_path):
    """A client of an API with static tokens; and the API."""
    (tmp_path / "tokens").write_text(TOKENS)
    return running(f"auth = token\ntokens_file = {tmp_path}/tokens").client


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Auth-Token": "notused"},
        {"X-Auth-Token": ""},
        {"X-Auth-Token": "sesame-ope"},
        {"X-Auth-Token": "sesame-open2"},
        {"Authorization": "Basic !!"},
        {"Authorization": "Bearer"},
        basic("ada", "wrong"),
    ],
)
def test_without_a_valid_token_nothing_is_told(guarded, headers):
    guarded.headers = headers
    for path in ("data-sources", "data-sources/given", "system/drivers"):
        answer = guarded.get(path)
        assert answer.status == 401
        assert answer.error[0] == 401
        assert "Basic" in answer.headers["www-authenticate"]
    assert guarded.get("/").status == 200
    assert guarded.get("/v1").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Auth-Token": "sesame-open"},
        {"Authorization": "Bearer sesame-open"},
        basic("ada", "sesame-open"),
    ],
)
def test_with_a_token_everything_is(guarded, headers):
    guarded.headers = headers
    assert guarded.get("data-sources").status == 200
    body = {"name": "x", "driver": "host"}
    assert guarded("POST", "data-sources", json=body).status == 201


def test_a_reader_reads_and_changes_nothing(guarded):
    guarded.headers = {"X-Auth-Token": "only-reads"}
    assert guarded.get("data-sources").status == 200
    assert guarded("HEAD", "data-sources").status == 200
    for method, path in [("POST", "data-sources"), ("DELETE", "data-sources/given")]:
        answer = guarded(method, path, json={})
        assert (answer.status, answer.error[0]) == (403, 403)


def test_without_authentication_a_token_is_ignored(api):
    assert api.get("data-sources", X_Auth_Token="notused").status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.3.4.5"])
def test_this_machine_is_served_without_authentication(conf_of, host):
    assert access.authenticate(conf_of(f"bind_host = {host}\n")) is access.none


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "api.example.org"])
def test_other_machines_are_not_unless_it_is_said_twice(conf_of, host):
    with pytest.raises(exceptions.ConfigError, match="allow_unauthenticated"):
        access.authenticate(conf_of(f"bind_host = {host}\n"))
    allowed = conf_of(f"bind_host = {host}\nallow_unauthenticated = true\n")
    assert access.authenticate(allowed) is access.none


@pytest.mark.parametrize(
    "text", ["", "ada\n", "ada:short\n", ":sesame-open\n", "a:sesame-open:x\n"]
)
def test_a_file_of_tokens_that_is_none_is_a_fault(conf_of, tmp_path, text):
    (tmp_path / "tokens").write_text(text)
    conf = conf_of(f"auth = token\ntokens_file = {tmp_path}/tokens\n")
    with pytest.raises(exceptions.ConfigError, match="tokens_file") as told:
        access.authenticate(conf)
    assert "sesame" not in str(told.value)


@pytest.mark.parametrize("options", ["auth = token\n", "auth = token\ntokens_file = /no/file\n"])
def test_tokens_without_a_file_are_a_fault(conf_of, options):
    with pytest.raises(exceptions.ConfigError, match="tokens_file"):
        access.authenticate(conf_of(options))


@pytest.fixture
def conf_of(tmp_path):
    """The configuration with these options of the API."""

    def read(options):
        path = tmp_path / "access.conf"
        path.write_text(f"[api]\n{options}")
        return config.read([str(path)])

    return read
