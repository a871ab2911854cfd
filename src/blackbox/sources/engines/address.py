"""Where an engine answers: always an address of this machine."""

import ipaddress
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

LOCALHOST = ("127.0.0.1", "::1")
SCHEME = "http"


class Address(NamedTuple):
    """A TCP port of this machine. `host` is an IP address or `localhost`."""

    host: str
    port: int

    @property
    def hosts(self) -> tuple[str, ...]:
        """The IP addresses to try, in this order."""
        return LOCALHOST if self.host == "localhost" else (self.host,)

    @property
    def authority(self) -> str:
        """As in a URL and in a `Host` header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{SCHEME}://{self.authority}"


def parse_url(text: str) -> Address:
    """The address in `http://HOST:PORT`. Raises `ValueError` for anything else."""
    url = urlsplit(text.strip())
    if url.scheme != SCHEME or url.path not in ("", "/") or url.query or url.fragment or url.username is not None:
        raise ValueError(f"{text!r} is not of the form http://HOST:PORT")
    host, port = url.hostname or "", url.port
    if not port:
        raise ValueError(f"{text!r} names no port")
    if host != "localhost":
        ipaddress.ip_address(host)
    return Address(host, port)


def is_own(host: str) -> bool:
    """Whether an IP address is one of this machine: only those can be bound to."""
    address = ipaddress.ip_address(host)
    if address.is_loopback:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
