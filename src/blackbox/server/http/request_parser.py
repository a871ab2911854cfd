"""Bytes of one connection to requests: llhttp parses, this module sets the limits."""

from typing import Literal

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from blackbox.server.http.limits import Limits
from blackbox.server.http.request import HTTPError, Request, split_target

HEADER_OVERHEAD_BYTES = 4
"""`: ` and the line's end."""

Phase = Literal["idle", "head", "body"]


class RequestReader:
    """Feeds llhttp and collects what it finds. After an `HTTPError`, or once `finished`, it must not be fed again."""

    __slots__ = (
        "_began",
        "_body_bytes",
        "_error",
        "_found",
        "_head_bytes",
        "_headers",
        "_limits",
        "_parser",
        "_raw_bytes",
        "_url",
        "finished",
        "phase",
        "wants_continue",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._found: list[Request | HTTPError] = []
        self._error: HTTPError | None = None
        self._reset()
        self.phase: Phase = "idle"
        self.finished = False
        """Nothing more on this connection is a request."""
        self.wants_continue = False
        """The peer waits for `100 Continue` before it sends the body."""
        self._parser: HttpRequestParser | None = HttpRequestParser(self)

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._body_bytes = 0
        self._raw_bytes = 0
        self._began = True

    def feed(self, data: bytes) -> list[Request | HTTPError]:
        """The requests completed by `data`, in order; an `HTTPError`, if any, is the last."""
        found: list[Request | HTTPError] = []
        self._found = found
        self._began = False
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
            if self.phase != "idle" and not self._began:
                self._count_raw(len(data))
        except HttpParserUpgrade:
            self.finished = True
        except HTTPError as error:
            self._end(error)
        except HttpParserError as error:
            if not self.finished:
                self._end(self._error or HTTPError(400, f"malformed request: {error}"))
        return found

    def drop(self) -> None:
        """Lets go of the parser, which holds on to its reader. It must not be fed again."""
        self._parser = None

    def _end(self, error: HTTPError) -> None:
        self.finished = True
        self._found.append(error)

    def _count_raw(self, size: int) -> None:
        """Bounds what llhttp gathers before it reports it: header values, chunk extensions, trailers."""
        self._raw_bytes += size
        if self.phase == "head":
            if self._raw_bytes > self._limits.head_bytes:
                raise self._large_head()
        elif self._raw_bytes > self._limits.head_bytes + self._limits.body_bytes:
            raise self._large_body()

    def _large_head(self) -> HTTPError:
        return HTTPError(431, f"request head above {self._limits.head_bytes} bytes or {self._limits.headers} fields")

    def _large_body(self) -> HTTPError:
        return HTTPError(413, f"request body above {self._limits.body_bytes} bytes")

    def _refuse(self, error: HTTPError) -> HTTPError:
        """Remembers the error across llhttp, which reports only that a callback failed."""
        self._error = error
        return error

    # Called by llhttp

    def on_message_begin(self) -> None:
        self._reset()
        self.phase = "head"

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self._limits.url_bytes:
            raise self._refuse(HTTPError(414, f"URL above {self._limits.url_bytes} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        headers = self._headers
        self._head_bytes += len(name) + len(value) + HEADER_OVERHEAD_BYTES
        if self.phase == "head":
            if name in headers:
                if name == b"host":
                    raise self._refuse(HTTPError(400, "more than one Host field"))
                value = headers[name] + b", " + value
            headers[name] = value
        if self._head_bytes + len(self._url) > self._limits.head_bytes or len(headers) > self._limits.headers:
            raise self._refuse(self._large_head())

    def on_headers_complete(self) -> None:
        self.phase = "body"
        self._raw_bytes = 0
        headers = self._headers
        assert self._parser is not None
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise self._refuse(HTTPError(400, f"HTTP version {version} is not spoken here"))
        if version == "1.1" and b"host" not in headers:
            raise self._refuse(HTTPError(400, "no Host field"))
        if version == "1.0" and b"transfer-encoding" in headers:
            raise self._refuse(HTTPError(400, "Transfer-Encoding in HTTP/1.0"))
        if int(headers.get(b"content-length", b"0")) > self._limits.body_bytes:
            raise self._refuse(self._large_body())
        self.wants_continue = version == "1.1" and headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            raise self._refuse(self._large_body())

    def on_message_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        try:
            target = split_target(self._url)
        except HTTPError as error:
            raise self._refuse(error) from None
        keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        self._found.append(
            Request(parser.get_method().decode(), target, self._headers, parser.get_http_version(), keep_alive)
        )
        self.phase = "idle"
        self.wants_continue = False
        self.finished = not keep_alive
        if len(self._found) > self._limits.pipelined:
            self.finished = True  # the connection ends after these: thousands more may lie in the same bytes
            raise self._refuse(HTTPError(400, f"more than {self._limits.pipelined} requests at once"))
