"""The way to ClickHouse: its HTTP interface, and what its errors mean.

A status says little: 500 stands for a row that no table takes and for a shard that is away for a minute. The number in
`X-ClickHouse-Exception-Code` decides, the status only where there is none.
"""

import http.client
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

import msgspec
import zstandard
from msgspec import Struct

from blackbox.errors import FailureError, UsageError
from blackbox.private_file import private_lines
from blackbox.settings import FLEET_DATABASE, is_loopback

ErrorKind = Literal["passing", "setup", "batch", "unknown"]
"""`passing`: the same bytes may be taken later. `setup`: nothing will be until a person has changed tables, password,
address or certificate. `batch`: these bytes never will be."""

PASSING_CODES = frozenset(
    (3, 32, 159, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 279, 285, 286, 319, 394, 425, 439, 733, 999, 1000)
)
"""Cut connections, time-outs, no memory, no disk, too many queries or parts, shards and replicas that are away, Keeper
that is, a server that stops."""
SETUP_CODES = frozenset((16, 47, 60, 81, 164, 192, 193, 194, 195, 291, 497, 516))
"""Columns, tables or a database that do not exist; users who may not, or are not who they say."""
BATCH_CODES = frozenset((6, 26, 27, 38, 41, 53, 69, 70, 72, 117, 131, 349, 407, 467, 469, 691))
"""Values that a column does not take."""
PASSING_STATUSES = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Of whoever stands in front of the engine."""
SETUP_STATUSES = frozenset((301, 302, 307, 308, 400, 401, 403, 404, 405, 411))
TOO_LARGE_STATUS = 413
TIMEOUT_SECONDS = 30.0
"""An insert takes milliseconds; an engine that merges hard, some seconds."""
ANSWER_BYTES_MAX = 256 << 20
"""Of a question; one moment of 10,000 machines is 100 MB."""
ERROR_CHARS_MAX = 300
"""The first words tell; behind them come a stack or the row."""
PACKED_LEVEL, PACKED_WINDOW_LOG = 1, 18
"""Of bodies: minutes repeat each other within 256 KiB, and whoever packs takes little more than that."""


class EngineError(FailureError):
    """What the engine, or the way to it, had to say."""

    def __init__(self, kind: ErrorKind, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.kind: ErrorKind = kind
        self.code = code
        """ClickHouse's number; None where the error is not the engine's."""


class Access(Struct, frozen=True):
    """Where an engine is, and as whom to ask it."""

    url: str
    """Without user and password."""
    user: str | None = None
    password: str | None = None
    token: str | None = None
    ca: Path | None = None
    """Certificates to trust instead of the system's."""
    database: str = FLEET_DATABASE


class EngineAnswer(Struct, frozen=True):
    body: bytes
    read_rows: int
    """As the engine counts them."""

    def rows(self) -> list[dict[str, Any]]:
        """Of an answer in JSONEachRow."""
        return [msgspec.json.decode(line) for line in self.body.splitlines() if line]


def _packed(pieces: Iterable[bytes]) -> bytes:
    """One zstd frame of all of them, of which one is in memory at a time."""
    parameters = zstandard.ZstdCompressionParameters(compression_level=PACKED_LEVEL, window_log=PACKED_WINDOW_LOG)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return b"".join((*map(packer.compress, pieces), packer.flush()))


def checked_url(text: str) -> str:
    """The address of an engine. Raises `UsageError`: plain http leaves this machine, a secret stands in it, or it is
    none."""
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{_without_secret(text)!r} is no address of ClickHouse (example: https://db.example.org:8443)"
        )
    if parts.username or parts.password or parts.query:
        raise UsageError("user and password do not belong in the address of the fleet, which others see: put them in a "
                         "file (--fleet-password-file)")  # fmt: skip
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError(f"{text!r}: http is for this machine alone; elsewhere it must be https")
    return text.rstrip("/")


def access(
    url: str,
    *,
    user: str | None = None,
    password_file: Path | None = None,
    token_file: Path | None = None,
    ca: Path | None = None,
    database: str = FLEET_DATABASE,
) -> Access:
    """What the settings come to. Raises `UsageError` and `FailureError`."""
    if password_file is not None and token_file is not None:
        raise UsageError("a password and a token exclude each other")
    if password_file is not None and user is None:
        raise UsageError("a password needs a user")
    if not database.isidentifier() or not database.isascii():
        raise UsageError(f"{database!r} is no name of a database: letters, digits and _")
    return Access(
        checked_url(url),
        user,
        None if password_file is None else _secret(password_file),
        None if token_file is None else _secret(token_file),
        ca,
        database,
    )


class EngineConnection:
    """A connection that is kept open between requests. For one thread. Whatever fails raises `EngineError`."""

    def __init__(self, access: Access, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Connects to nothing yet. Raises `EngineError` where the certificates cannot be read."""
        self._access = access
        self._timeout_seconds = timeout_seconds
        self._parts = urlsplit(access.url)
        self._context = self._make_context() if self._parts.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None

    def execute(
        self,
        query: str,
        body: Iterable[bytes] | None = None,
        parameters: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> EngineAnswer:
        """Runs one statement. `body`: what it inserts, in pieces; `parameters`: the values of `{name:Type}` in it."""
        named = {f"param_{name}": value for name, value in (parameters or {}).items()}
        options = {"database": self._access.database, "wait_end_of_query": 1} | named | dict(settings or {})
        if body is None:
            return self._request(f"{self._parts.path}/?{urlencode(options)}", query.encode(), self._headers())
        target = f"{self._parts.path}/?{urlencode({'query': query} | options)}"
        return self._request(target, _packed(body), self._headers() | {"Content-Encoding": "zstd"})

    def rows(
        self,
        query: str,
        parameters: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> list[dict[str, Any]]:
        """The rows of a SELECT; whole numbers come as numbers."""
        numbers = {"output_format_json_quote_64bit_integers": 0}
        return self.execute(f"{query} FORMAT JSONEachRow", None, parameters, numbers | dict(settings or {})).rows()

    def close(self) -> None:
        """Lets go of the connection; the next request makes another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _request(self, target: str, content: bytes, headers: dict[str, str]) -> EngineAnswer:
        is_kept = self._connection is not None
        try:
            return self._exchange(target, content, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            self.close()
            if not is_kept:
                raise self._unreachable(error) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from None
        try:  # once more: the engine closes connections that were idle
            return self._exchange(target, content, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from None

    def _exchange(self, target: str, content: bytes, headers: dict[str, str]) -> EngineAnswer:
        connection = self._connection = self._connection or self._connected()
        connection.request("POST", target, content, headers)
        response = connection.getresponse()
        answer = response.read(ANSWER_BYTES_MAX + 1)
        if response.will_close or len(answer) > ANSWER_BYTES_MAX:
            self.close()
        if len(answer) > ANSWER_BYTES_MAX:
            raise EngineError("unknown", f"the answer is larger than {ANSWER_BYTES_MAX >> 20} MiB")
        if response.status != http.client.OK or "X-ClickHouse-Exception-Code" in response.headers:
            raise self._refused(response.status, response.headers.get("X-ClickHouse-Exception-Code"), answer)
        return EngineAnswer(answer, _read_rows(response.headers.get("X-ClickHouse-Summary")))

    def _connected(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._context is None:
            return http.client.HTTPConnection(host, port or 8123, timeout=self._timeout_seconds)
        return http.client.HTTPSConnection(host, port or 8443, timeout=self._timeout_seconds, context=self._context)

    def _make_context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._access.ca)
        except (OSError, ssl.SSLError) as error:
            raise EngineError("setup", f"cannot use the certificates in {self._access.ca}: {_words(error)}") from None

    def _headers(self) -> dict[str, str]:
        access = self._access
        if access.token is not None:
            return {"Authorization": f"Bearer {access.token}"}
        found = {} if access.user is None else {"X-ClickHouse-User": access.user}
        return found if access.password is None else found | {"X-ClickHouse-Key": access.password}

    def _unreachable(self, error: Exception) -> EngineError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return EngineError("setup", f"{self._access.url}: its certificate is not trusted: {error.verify_message}")
        return EngineError("passing", f"{self._access.url} does not answer: {_words(error)}")

    def _refused(self, status: int, number: str | None, answer: bytes) -> EngineError:
        code = int(number) if number is not None and number.isdecimal() else None
        text = " ".join(answer[: 4 * ERROR_CHARS_MAX].decode(errors="replace").split())[:ERROR_CHARS_MAX]
        return EngineError(error_kind(status, code), f"{self._access.url}: {status} {text}".strip(), code)


def error_kind(status: int, code: int | None) -> ErrorKind:
    """What an error asks of whoever sent."""
    if code is not None:
        for kind, codes in _KINDS:
            if code in codes:
                return kind
        return "unknown"
    if status == TOO_LARGE_STATUS:
        return "batch"
    if status in SETUP_STATUSES:
        return "setup"
    return "passing" if status in PASSING_STATUSES else "unknown"


_KINDS: tuple[tuple[ErrorKind, frozenset[int]], ...] = (
    ("passing", PASSING_CODES),
    ("setup", SETUP_CODES),
    ("batch", BATCH_CODES),
)


def _words(error: Exception) -> str:
    """What the system or its libraries say, without their numbers and names."""
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection"
    if isinstance(error, http.client.HTTPException):
        return "what is there speaks no HTTP"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'no reason given').lower().replace('_', ' ')}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _read_rows(summary: str | None) -> int:
    try:
        return int(msgspec.json.decode(summary or "{}").get("read_rows", 0))
    except (msgspec.DecodeError, ValueError, AttributeError):
        return 0


def _split(text: str) -> Any:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts if text.isprintable() else None


def _without_secret(text: str) -> str:
    return text.rpartition("@")[2]


def _secret(file: Path) -> str:
    """Raises `FailureError`."""
    lines = private_lines(file)
    if len(lines) != 1 or not lines[0].isprintable():
        raise FailureError(f"{file} must hold one line, the secret")
    return lines[0]
