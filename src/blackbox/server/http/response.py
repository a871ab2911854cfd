"""Answers, and their bytes on the wire."""

from http import HTTPStatus
from typing import NamedTuple

Fields = tuple[tuple[str, str], ...]

TEXT = "text/plain"
JSON = "application/json"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Response(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes = b""
    content_type: str = TEXT
    fields: Fields = ()
    """Further header fields."""
    is_repeatable: bool = False
    """It depends on nothing but the request, who asks, the newest moment, and what the server was set up with."""


def text(status: int, line: str | None = None, fields: Fields = ()) -> Response:
    """A plain text answer: one line, by default the status's name, which is what the contract asks of 404 and 500."""
    return Response(status, (line or HTTPStatus(status).phrase).encode(), TEXT, fields)


def unavailable(line: str, retry_after_seconds: int) -> Response:
    """503: come back later."""
    return text(503, line, (("Retry-After", str(retry_after_seconds)),))


def too_much_waits() -> Response:
    """503 for a large answer, or a stream, where the budget of what waits for clients is used up."""
    return unavailable("too many bytes wait for slow clients", retry_after_seconds=5)


def head(response: Response, date: str, connection: str | None) -> bytes:
    """The head of `response`; `connection` is the value of the Connection field, None for none."""
    status, body, content_type, fields, _ = response
    lines = [_STATUS_LINES[status], date]
    if status not in (204, 304):
        lines.append(f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n")
    lines += [f"{name}: {value}\r\n" for name, value in fields]
    if connection is not None:
        lines.append(f"Connection: {connection}\r\n")
    lines.append("X-Content-Type-Options: nosniff\r\n\r\n")
    return "".join(lines).encode("latin-1")


def stream_head(date: str, fields: Fields, connection: str, *, chunked: bool) -> bytes:
    """The head of an event stream. Without chunks (HTTP/1.0) the end of the connection ends it."""
    lines = [
        _STATUS_LINES[200],
        date,
        "Content-Type: text/event-stream\r\nCache-Control: no-cache\r\n",
        f"Connection: {connection}\r\n",
        "Transfer-Encoding: chunked\r\n" if chunked else "",
        "X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\n",
    ]
    lines += [f"{name}: {value}\r\n" for name, value in fields]
    lines.append("\r\n")
    return "".join(lines).encode("latin-1")
