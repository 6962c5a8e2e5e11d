"""HTTP/1.1 as a machine: heads, bodies, and what is none."""

import pytest

from congress_dse.runtime.http1 import Asked, BadRequest, Inbound, date, opening

GET = b"GET /v1/x?limit=2 HTTP/1.1\r\nHost: here\r\nX-Two: a\r\nx-two:b \r\n\r\n"
PUT = b"PUT /a%20b HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345"
CHUNKED = (
    b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
)


def taken(*parts, header_max_b=4096, body_max_b=100):
    """What comes out of a connection that brings these parts one by one."""
    inbound, found = Inbound(header_max_b, body_max_b), []
    for part in parts:
        inbound.feed(part)
        while (asked := inbound.take()) is not None:
            found.append((asked.method, asked.path, asked.query, asked.body))
    assert not inbound.begun
    return found


def test_requests_come_out_whole_however_their_bytes_come():
    data = GET + PUT + CHUNKED + b"\r\n" + GET
    wanted = [
        ("GET", "/v1/x", "limit=2", b""),
        ("PUT", "/a b", "", b"12345"),
        ("PUT", "/c", "", b"abcde"),
        ("GET", "/v1/x", "limit=2", b""),
    ]
    assert taken(data) == wanted
    assert taken(*(bytes([byte]) for byte in data)) == wanted
    for size in (2, 7, 50):
        assert taken(*(data[at : at + size] for at in range(0, len(data), size))) == wanted


def test_lines_may_end_with_newlines_alone():
    assert taken(GET.replace(b"\r\n", b"\n")) == [("GET", "/v1/x", "limit=2", b"")]


def test_headers_of_one_name_are_joined_and_names_are_lower_case():
    inbound = Inbound(4096, 100)
    inbound.feed(GET)
    assert inbound.take().headers == {"host": "here", "x-two": "a, b"}


def test_a_request_that_is_repeated_shares_nothing_that_is_changed():
    inbound = Inbound(4096, 100)
    found = []
    for _ in range(3):
        inbound.feed(GET)
        found.append(inbound.take())
        found[-1].body = b"changed"
    inbound.feed(GET + PUT)
    found += [inbound.take(), inbound.take()]
    assert [asked.path for asked in found] == ["/v1/x"] * 4 + ["/a b"]
    assert found[3].body == b""
    assert len({id(asked) for asked in found}) == 5


def test_whoever_waits_to_go_on_is_told_once():
    inbound = Inbound(4096, 100)
    inbound.feed(b"PUT / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
    assert inbound.take() is None
    assert inbound.waits()
    assert not inbound.waits()
    inbound.feed(b"ab")
    assert inbound.take().body == b"ab"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://host:80/a/b?c", "/a/b"),
        ("//evil.org/x", "/evil.org/x"),
        ("/%C3%A9", "/é"),
        ("/\xc3\xa9", "/é"),
        ("/%ff", "/\ufffd"),
        ("*", "*"),
    ],
)
def test_a_path_is_that_of_this_server_and_decoded(target, path):
    assert Asked(f"GET {target} HTTP/1.1").path == path


@pytest.mark.parametrize(
    ("version", "connection", "keep"),
    [
        ("1.1", None, True),
        ("1.1", "Close", False),
        ("1.1", "x, close", False),
        ("1.1", "closed", True),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
    ],
)
def test_who_keeps_a_connection(version, connection, keep):
    line = f"\nConnection: {connection}" if connection else ""
    assert Asked(f"GET / HTTP/{version}{line}").keep is keep


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"G(T / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nName : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nnothing\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nContent-Length: 101\r\n\r\n", 413),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n", 413),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\nab\r\n", 400),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;\r\r\nab\r\n", 400),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 1100, 400),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 700, 431),
        (b"GET /" + b"x" * 4096, 414),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 700, 431),
    ],
)
def test_what_is_no_request_is_refused_with_a_status(data, status):
    with pytest.raises(BadRequest) as refused:
        taken(data)
    assert refused.value.status == status


def head(asked, status, headers, length, keep):
    data = opening(asked, status, headers, length, keep) + date(0)
    assert data.endswith(b"\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n")
    return data.decode("latin-1").lower().split("\r\n")


def test_an_answer_says_where_its_body_ends():
    new, old = Asked("GET / HTTP/1.1"), Asked("GET / HTTP/1.0\nConnection: keep-alive")
    assert "content-length: 3" in head(new, 200, {}, 3, True)
    assert "transfer-encoding: chunked" in head(new, 200, {}, None, False)
    assert "connection: close" in head(old, 200, {}, None, False)
    assert "connection: keep-alive" in head(old, 200, {}, 3, True)
    assert not any("content-length" in line for line in head(new, 304, {}, 0, True))
    given = {"content-length": "9"}
    assert head(Asked("HEAD / HTTP/1.1"), 200, given, 0, True).count("content-length: 9") == 1


def test_no_value_of_a_header_makes_another_one():
    lines = head(None, 201, {"location": "/x\r\nset-cookie: a=b\n\nend"}, 0, False)
    assert lines[:2] == ["http/1.1 201 created", "location: /x set-cookie: a=b end"]
