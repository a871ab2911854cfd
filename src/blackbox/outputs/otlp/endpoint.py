"""Where a collector is, and what is said to get in. Secrets come from a file; none is ever in an error or a log."""

import re
import ssl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from blackbox.errors import FailureError, UsageError
from blackbox.private_file import private_lines
from blackbox.settings import is_loopback

METRICS_PATH = "/v1/metrics"
"""Where OTLP/HTTP takes metrics, below the address that people give."""
DEFAULT_PORT = 4318
"""OTLP/HTTP's, where an address names none and no TLS."""
HEADERS_MAX = 20
"""A token and a tenant are two."""
OWN_HEADERS = frozenset(
    {"host", "content-type", "content-length", "content-encoding", "transfer-encoding", "connection"}
)
"""What every request says already."""
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100})\s*:\s*([\x20-\x7e]{1,8000})")


class Endpoint(NamedTuple):
    """A receiver of OTLP/HTTP."""

    url: str
    """As people gave it, with the path of metrics; it holds no secret."""
    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None


def endpoint(url: str, ca: Path | None) -> Endpoint:
    """The receiver at `url`; `ca` is the file of who vouches for it, in PEM, where that is no public authority. Raises
    `UsageError`, `FailureError`."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        port = host = None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError("--otlp is no address of a collector (example: http://localhost:4318)")
    if parts.username is not None:
        raise UsageError("--otlp holds a user, which others see in the list of processes: see --otlp-headers-file")
    if parts.query or parts.fragment:
        raise UsageError("--otlp: an address with ? or # is none of a collector")
    secure = parts.scheme == "https"
    if not secure and not is_loopback(host):
        raise UsageError(f"--otlp: {host} is another machine, and http would show it everything: use https")
    path = parts.path.rstrip("/")
    if not path.endswith(METRICS_PATH):
        path += METRICS_PATH
    port = port or (443 if secure else DEFAULT_PORT)
    return Endpoint(f"{parts.scheme}://{parts.netloc}{path}", host, port, path, _context(ca) if secure else None)


def read_headers(file: Path) -> dict[str, str]:
    """A header a line, `Name: value`. Raises `FailureError`."""
    found: dict[str, str] = {}
    for number, line in enumerate(private_lines(file), 1):
        match = _HEADER.fullmatch(line)
        if match is None:
            raise FailureError(f"{file}: header {number} is none (example: Authorization: Bearer ...)")
        if match[1].lower() in OWN_HEADERS:
            raise FailureError(f"{file}: {match[1]} is said by Blackbox itself")
        found[match[1]] = match[2]
    if not found:
        raise FailureError(f"{file}: no header in it")
    if len(found) > HEADERS_MAX:
        raise FailureError(f"{file}: {len(found)} headers; {HEADERS_MAX} is the most")
    return found


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except ssl.SSLError:
        raise FailureError(f"{ca} holds no certificate in PEM") from None
    except OSError as error:
        raise FailureError(f"cannot read {ca}: {error.strerror}") from None
