"""A request as its reader understood it."""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from httptools import HttpParserInvalidURLError, parse_url

TARGETS_REMEMBERED = 256
"""Different targets whose parts are kept; clients ask for the same few again and again."""
DIGITS_MAX = 18
"""Of a `Last-Event-ID`: what a 64-bit number holds."""


class HTTPError(Exception):
    """The request cannot be served as it stands: an HTTP status and one line saying why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Target(NamedTuple):
    """A request target, taken apart."""

    path: str
    query: tuple[tuple[str, str], ...]
    host: bytes | None
    """Host of the absolute form, which outranks the Host header."""


class Request(NamedTuple):
    method: str
    target: Target
    headers: dict[bytes, bytes]
    """Names in lower case; repeated ones joined by commas."""
    version: str
    keep_alive: bool


@lru_cache(maxsize=TARGETS_REMEMBERED)
def split_target(target: bytes) -> Target:
    """The parts of a request target. Raises `HTTPError`."""
    try:
        url = parse_url(target)
        path = unquote_to_bytes(url.path or b"/").decode()
        query = parse_qsl((url.query or b"").decode(), keep_blank_values=True, errors="strict")
    except (HttpParserInvalidURLError, ValueError):
        raise HTTPError(400, "the request target is not a valid URL") from None
    host = url.host or None
    return Target(path, tuple(query), b"[%b]" % host if host is not None and b":" in host else host)


def last_event_id_of(request: Request) -> int | None:
    """The last event the client saw; None where it says nothing we ever said."""
    value = request.headers.get(b"last-event-id", b"")
    return int(value) if value.isdigit() and len(value) <= DIGITS_MAX else None
