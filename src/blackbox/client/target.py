"""Where a server is, and what to say to get in."""

import base64
import ssl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from blackbox.errors import UsageError

DEFAULT_URL = "http://localhost:6767"


class Target(NamedTuple):
    """A server. `host` and `port` are not connected to where `unix_socket` is set."""

    url: str
    """As given, without user and password: fit for messages."""
    host: str
    port: int
    host_header: str
    base_path: str
    tls: ssl.SSLContext | None
    unix_socket: Path | None
    authorization: str | None

    @property
    def label(self) -> str:
        """The server's name in messages."""
        return self.url if self.unix_socket is None else f"unix socket {self.unix_socket}"


def target(url: str, token: str | None, unix_socket: Path | None, tls: ssl.SSLContext | None) -> Target:
    """The server at `url`; user and password in it become basic auth. Raises `UsageError` when it is no HTTP URL."""
    no_server = UsageError(f"not the URL of a server: {without_password(url)!r} (example: {DEFAULT_URL})")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise no_server from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise no_server
    secure = parts.scheme == "https"
    location = parts.netloc.rpartition("@")[2]
    return Target(
        url=f"{parts.scheme}://{location}{parts.path}",
        host=parts.hostname,
        port=port or (443 if secure else 80),
        host_header=location,
        base_path=parts.path.rstrip("/"),
        tls=(tls or ssl.create_default_context()) if secure else None,
        unix_socket=unix_socket,
        authorization=_authorization(token, parts.username, parts.password),
    )


def _authorization(token: str | None, user: str | None, password: str | None) -> str | None:
    if token is not None:
        return f"Bearer {token}"
    if user is not None:
        return "Basic " + base64.b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
    return None


def without_password(url: str) -> str:
    """To be shown: without the user, too."""
    scheme, separator, rest = url.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]
