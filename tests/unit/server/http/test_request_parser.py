"""Bytes to requests, however they arrive, within the limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.server.http.limits import Limits
from blackbox.server.http.request import HTTPError, Request
from blackbox.server.http.request_parser import RequestReader

PLAIN = b"GET /vram?gpu=0 HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /vram HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"
LIMITS = Limits(url_bytes=64, head_bytes=512, headers=8, body_bytes=128, pipelined=100)


def read(data: bytes, limits: Limits = LIMITS) -> list[Request | HTTPError]:
    return RequestReader(limits).feed(data)


def refusal(data: bytes) -> int:
    """The status of the refusal that the bytes end in."""
    last = read(data)[-1]
    assert isinstance(last, HTTPError)
    return last.status


def request(data: bytes) -> Request:
    [found] = read(data)
    assert isinstance(found, Request)
    return found


def get(*fields: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"GET / HTTP/{version}", *fields, "", ""]).encode("latin-1")


def test_a_request_has_its_parts() -> None:
    found = request(PLAIN)
    assert (found.method, found.version, found.keep_alive) == ("GET", "1.1", True)
    assert found.target.path == "/vram"
    assert found.target.query == (("gpu", "0"),)
    assert found.headers == {b"host": b"localhost"}


def test_repeated_fields_are_joined() -> None:
    assert request(get("Host: a", "Accept: x", "ACCEPT: y")).headers[b"accept"] == b"x, y"


@given(st.lists(st.sampled_from([PLAIN, POST, CHUNKED]), min_size=1, max_size=4), st.data())
def test_the_same_requests_however_the_bytes_are_cut(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader = RequestReader(LIMITS)
    found = [
        item
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        if (piece := stream[start:end])
        for item in reader.feed(piece)
    ]
    assert found == read(stream)
    assert len(found) == len(messages)
    assert reader.phase == "idle"


@given(
    st.lists(st.binary(min_size=1, max_size=80), max_size=4), st.sampled_from([b"", PLAIN[:20], PLAIN, CHUNKED[:70]])
)
def test_no_bytes_break_the_reader(pieces: list[bytes], before: bytes) -> None:
    reader = RequestReader(LIMITS)
    for piece in (before, *pieces):
        found = reader.feed(piece)
        assert all(not isinstance(item, HTTPError) or 400 <= item.status < 500 for item in found)
        if reader.finished:
            break


@pytest.mark.parametrize(
    "data",
    [
        get("Host: a", "Content-Length: 3", "Transfer-Encoding: chunked"),
        get("Host: a", "Transfer-Encoding: chunked", "Content-Length: 3"),
        get("Host: a", "Content-Length: 3", "Content-Length: 3"),
        get("Host: a", "Content-Length: 3", "Content-Length: 4"),
        get("Host: a", "Content-Length: 3, 3"),
        get("Host: a", "Content-Length: -1"),
        get("Host: a", "Content-Length: 0x3"),
        get("Host: a", "Content-Length: 99999999999999999999999999"),
        get("Host: a", "Transfer-Encoding: identity"),
        get("Host: a", "Transfer-Encoding: chunked, identity"),
        get("Transfer-Encoding: chunked", version="1.0") + b"0\r\n\r\n",
        get(),
        get("Host: a", "Host: a"),
        get("Host: a", "Host: b"),
        get("Host : a"),
        get("Host: a", " folded"),
        get("Host: a", "X: \0"),
        get("Host: a", version="0.9"),
        get("Host: a", version="2.0"),
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET vram HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /?a=%ff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 100,
    ],
)
def test_what_is_malformed_is_refused(data: bytes) -> None:
    assert refusal(data) == 400


def test_only_http_1_0_may_leave_the_host_out() -> None:
    assert request(get(version="1.0")).headers == {}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 65 + b" HTTP/1.1\r\n", 414),
        (b"GET /" + b"a" * 65, 414),
        (get("Host: a", "X: " + "y" * 600), 431),
        (get("Host: a", *(f"X-{number}: y" for number in range(8))), 431),
        (get("Host: a", "Content-Length: 129"), 413),
        (get("Host: a", "Transfer-Encoding: chunked") + b"81\r\n" + b"x" * 129, 413),
        (CHUNKED[:-2] + b"Y: " + b"z" * 600 + b"\r\n\r\n", 431),
    ],
)
def test_what_is_too_large_is_refused(data: bytes, status: int) -> None:
    assert refusal(data) == status


@pytest.mark.parametrize(
    ("start", "status"),
    [(b"GET / HTTP/1.1\r\nX: ", 431), (b"GET / HTTP/1.1\r\n", 431), (CHUNKED[:-2] + b"X: ", 413),
     (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", 413)],
)  # fmt: skip
def test_endless_parts_are_refused_long_before_they_end(start: bytes, status: int) -> None:
    reader = RequestReader(LIMITS)
    found = reader.feed(start)
    sent = 0
    while not found:
        assert sent <= LIMITS.head_bytes + LIMITS.body_bytes
        found = reader.feed(b"x" * 32)
        sent += 32
    [last] = found
    assert isinstance(last, HTTPError)
    assert last.status == status


def test_requests_before_a_fault_are_still_answered() -> None:
    first, second = read(PLAIN + b"junk\r\n\r\n")
    assert isinstance(first, Request)
    assert isinstance(second, HTTPError)


def test_nothing_counts_after_the_last_request() -> None:
    [found] = read(get("Host: a", "Connection: close") + b"junk")
    assert isinstance(found, Request)
    assert not found.keep_alive


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_an_upgrade_is_answered_as_an_ordinary_request_and_the_last(upgrade: str) -> None:
    reader = RequestReader(LIMITS)
    [found] = reader.feed(get("Host: a", "Connection: Upgrade", f"Upgrade: {upgrade}") + b"\x81\x05hello")
    assert isinstance(found, Request)
    assert not found.keep_alive
    assert reader.finished


def test_many_requests_in_one_piece_do_not_count_as_one_head() -> None:
    reader = RequestReader(LIMITS)
    assert len(reader.feed(PLAIN * 50 + PLAIN[:10])) == 50
    assert len(reader.feed(PLAIN[10:])) == 1


def test_the_absolute_form_names_its_host() -> None:
    assert request(b"GET http://b.example:80/vram?x=1 HTTP/1.1\r\nHost: a\r\n\r\n").target[::2] == (
        "/vram",
        b"b.example",
    )
    assert request(b"GET http://[::1]/ HTTP/1.1\r\nHost: a\r\n\r\n").target.host == b"[::1]"


@pytest.mark.fault(64)
def test_row_64_what_is_beyond_the_limit_of_requests_at_once_is_not_parsed() -> None:
    limits = Limits(pipelined=3)
    found = read(PLAIN * 1000, limits)
    assert len(found) == 4, "one more than may wait, by which the connection knows to end"
    assert all(isinstance(one, Request) for one in found)
    reader = RequestReader(limits)
    reader.feed(PLAIN * 1000)
    assert reader.finished
    assert len(read(PLAIN * 3, limits)) == 3
