"""One HTTP/1.1 request and its answer, without a socket: bytes to send, bytes received."""

from http import HTTPStatus

from httptools import HttpParserError, HttpResponseParser

from blackbox.client.errors import AnswerError, StatusError, UnreachableError
from blackbox.client.target import Target

TIMEOUT_SECONDS = 5.0
"""A healthy server answers in milliseconds, whatever its driver does."""
SILENCE_SECONDS_MAX = 45.0
"""Servers send a heartbeat every 15 s at most; three missing mean the connection is dead."""
READ_BYTES = 256 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024
"""A snapshot of 100,000 blocks takes 11 MB."""
REASON_CHARS_MAX = 200
"""Of a text that is none of ours, so that a page of HTML does not end up in a message of one line."""
OWN_REASON_CHARS_MAX = 8000
"""Of plain text, as servers of ours refuse: whole, with all that could be asked for instead."""


UNKNOWN_PARAMETER = "unknown parameter "
"""How every server begins to refuse a parameter that it does not know."""


class Exchange:
    """Feed it what arrives; take the body from it, whole or as it comes."""

    def __init__(self, server: Target) -> None:
        self.headers_complete: bool = False
        self.complete: bool = False
        """The body has ended where the answer said it would."""
        self._server = server
        self._parser = HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    def request(self, path: str, headers: dict[str, str]) -> bytes:
        """The bytes that ask for `path` and for the connection to end with the answer."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {self._server.host_header}", "Connection: close"]
        if self._server.authorization is not None:
            lines.append(f"Authorization: {self._server.authorization}")
        lines.extend(f"{name}: {value}" for name, value in headers.items())
        return "\r\n".join([*lines, "", ""]).encode()

    def feed(self, data: bytes) -> None:
        """Takes what a read returned; nothing means that the connection ended.

        Raises `AnswerError` when it is not HTTP or too much of it, `UnreachableError` when it ends too early.
        """
        if not data:
            self._end()
            return
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            raise AnswerError(f"{self._server.label} does not speak HTTP: {error}") from None
        if len(self._body) > BODY_BYTES_MAX:
            raise AnswerError(f"{self._server.label} sends more than {BODY_BYTES_MAX} bytes")

    def take_body(self) -> bytes:
        """The part of the body that arrived since the last call."""
        body = bytes(self._body)
        self._body.clear()
        return body

    @property
    def refused(self) -> bool:
        """The answer is anything but 200."""
        return self.headers_complete and self._parser.get_status_code() != HTTPStatus.OK

    @property
    def stream_decided(self) -> bool:
        """Whether it is known if a stream follows: the head is complete, and so is the text of a refusal."""
        return self.headers_complete and (self.complete or not self.refused)

    def whole_body(self, content_type: str) -> bytes:
        """The body of a complete answer of this type. Raises `StatusError`, `AnswerError`."""
        self._raise_refusal()
        self._require_type(content_type)
        return self.take_body()

    def require_stream(self) -> None:
        """Raises `StatusError` or `AnswerError` when the answer is no event stream."""
        self._raise_refusal()
        self._require_type("text/event-stream")

    def _raise_refusal(self) -> None:
        """Raises `StatusError` with the server's own words when it refused."""
        if not self.refused:
            return
        status = self._parser.get_status_code()
        is_plain = self._headers.get("content-type", "").startswith("text/plain")
        most = OWN_REASON_CHARS_MAX if is_plain else REASON_CHARS_MAX
        text = " ".join(self._body.decode(errors="replace").split())[:most]
        message = f"{self._server.label} answered {status}: {text or _phrase(status)}{_hint(status, text)}"
        raise StatusError(message, status, _retry_after(self._headers))

    def _require_type(self, content_type: str) -> None:
        """Raises `AnswerError` when the answer is of another type."""
        found = self._headers.get("content-type", "nothing")
        if found.partition(";")[0].strip().lower() != content_type:
            raise AnswerError(
                f"{self._server.label} is no Blackbox server: it answered with {found[:REASON_CHARS_MAX]}"
            )

    def _end(self) -> None:
        only_end_tells = not {"content-length", "transfer-encoding"} & self._headers.keys()
        if not (self.headers_complete and only_end_tells):
            raise UnreachableError(f"{self._server.label} hung up in the middle of its answer")
        self.complete = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.headers_complete = True

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body += body

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.complete = True


def _hint(status: int, text: str) -> str:
    """What follows from a refusal of a question that this client knows: it asks no other."""
    if status == HTTPStatus.UNAUTHORIZED:
        return "; it wants a token (--token-file, token=) or a user (user:password@ in the URL)"
    if status == HTTPStatus.BAD_REQUEST and text.startswith(UNKNOWN_PARAMETER):
        return "; the server is older than this client, which asks for more: upgrade the server"
    if status == HTTPStatus.NOT_FOUND and text == HTTPStatus.NOT_FOUND.phrase:
        return "; it is no Blackbox server, or one older than this client"
    return ""


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "no reason given"


def _retry_after(headers: dict[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isdigit() else None
