"""Which web pages may ask. Browsers say where a request comes from; nobody else needs to."""

from collections.abc import Mapping

from blackbox.server.auth.hosts import parse_authority
from blackbox.server.http.response import Fields

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_PREFLIGHT: Fields = (
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "Authorization, If-None-Match, Last-Event-ID"),
    ("Access-Control-Max-Age", "600"),
)


class Origins:
    """The origins that may read the answers besides our own; `*` stands for all."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(origin.lower().rstrip("/") for origin in allowed)

    def accept(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the request comes from our own page, an allowed one, or no page at all."""
        origin = headers.get(b"origin")
        if origin is not None:
            return self._allows(origin) or is_own(origin, headers.get(b"host", b""))
        site = headers.get(b"sec-fetch-site", b"none")
        if site in (b"none", b"same-origin") or "*" in self._allowed:
            return True
        return headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"

    def fields(self, headers: Mapping[bytes, bytes]) -> Fields:
        """The CORS fields of an answer; none unless the settings allow the origin."""
        if "*" in self._allowed:
            return (("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "ETag"))
        if not self._allowed:
            return ()
        origin = headers.get(b"origin")
        if origin is None or not self._allows(origin):
            return (("Vary", "Origin"),)
        return (
            ("Access-Control-Allow-Origin", origin.decode("latin-1")),
            ("Access-Control-Expose-Headers", "ETag"),
            ("Vary", "Origin"),
        )

    def preflight(self, headers: Mapping[bytes, bytes]) -> Fields:
        """The further fields of the answer to a preflight; none where this is none."""
        origin = headers.get(b"origin")
        if origin is None or b"access-control-request-method" not in headers or not self._allows(origin):
            return ()
        return _PREFLIGHT

    def _allows(self, origin: bytes) -> bool:
        return "*" in self._allowed or origin.decode("latin-1").lower() in self._allowed


def is_own(origin: bytes, host: bytes) -> bool:
    """Whether a page of this origin was served under this `Host` value."""
    scheme, separator, rest = origin.decode("latin-1").lower().partition("://")
    default_port = _DEFAULT_PORTS.get(scheme)
    ours, theirs = parse_authority(host.decode("latin-1")), parse_authority(rest)
    if not separator or default_port is None or ours is None or theirs is None:
        return False
    return (ours.host, ours.port or default_port) == (theirs.host, theirs.port or default_port)
