"""The bytes of a connection: heads, bodies, and what the fields of a head mean to the server."""

from collections.abc import Sequence

from blackbox.server.auth.credentials import basic_of, bearer_of, cookie_name, has_session
from blackbox.server.auth.hosts import Hosts
from blackbox.server.auth.origins import Origins
from blackbox.server.http.limits import Limits
from blackbox.server.http.negotiation import accepted_encoding, has_tag
from blackbox.server.http.request import HTTPError, Request, last_event_id_of
from blackbox.server.http.request_parser import RequestReader

ALLOWED = (HTTPError,)
PIECE_BYTES = 13
LIMITS, HOSTS, ORIGINS = Limits(), Hosts("gpu-1", ("box.example",)), Origins(("https://page.example",))
GET = (
    b"GET /vram?gpu=0 HTTP/1.1\r\nHost: localhost:6767\r\nAccept-Encoding: gzip;q=0.5, zstd, *;q=0\r\n"
    b'If-None-Match: W/"1-2", "3"\r\nOrigin: http://localhost:6767\r\nAuthorization: Basic YTpi\r\n'
    b"Cookie: a=b; blackbox=0011\r\n\r\n"
)
STREAM = (
    b"GET /vram/stream HTTP/1.1\r\nHost: [::1]:6767\r\nAuthorization: Bearer abc\r\nLast-Event-ID: 17\r\n"
    b"Connection: keep-alive\r\n\r\n"
)
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"
OLD = b"GET http://127.0.0.1/ HTTP/1.0\r\n\r\n"
PREFLIGHT = (
    b"OPTIONS /vram HTTP/1.1\r\nHost: gpu-1\r\nOrigin: https://page.example\r\n"
    b"Access-Control-Request-Method: GET\r\n\r\n"
)


def seeds() -> Sequence[bytes]:
    return [GET, STREAM, POST, CHUNKED, OLD, PREFLIGHT, GET + STREAM + GET]


def run(data: bytes) -> None:
    whole, torn = _requests(data, len(data) or 1), _requests(data, PIECE_BYTES)
    taken = [one for one in whole if isinstance(one, Request)]
    if taken != [one for one in torn if isinstance(one, Request)][: len(taken)]:
        raise AssertionError("what is torn reads differently")
    for request in taken:
        _understand(request)
    for one in whole:
        if isinstance(one, HTTPError):
            raise one


def _requests(data: bytes, piece: int) -> list[Request | HTTPError]:
    reader = RequestReader(LIMITS)
    found: list[Request | HTTPError] = []
    try:
        for start in range(0, len(data), piece):
            if reader.finished:
                break
            found += reader.feed(data[start : start + piece])
    finally:
        reader.drop()
    return found


def _understand(request: Request) -> None:
    fields = request.headers
    HOSTS.accept(request.target.host or fields.get(b"host", b""))
    ORIGINS.accept(fields)
    ORIGINS.fields(fields)
    ORIGINS.preflight(fields)
    last_event_id_of(request)
    accepted_encoding(fields.get(b"accept-encoding", b""), ("gzip", "zstd"))
    has_tag(fields.get(b"if-none-match", b""), "1-2")
    authorization = fields.get(b"authorization", b"")
    bearer_of(authorization)
    basic_of(authorization)
    has_session(fields.get(b"cookie", b""), cookie_name(fields.get(b"host", b"")), b"token", 1e9)
