"""Which names this server answers to. A page on a rebound name always sends that name, so names are what is checked."""

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

NAMES_REMEMBERED = 256
"""Different Host values whose verdict is kept."""

_AUTHORITY = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")


class Authority(NamedTuple):
    """Host and port of a `Host` field or an origin."""

    host: str
    is_address: bool
    port: str | None


@lru_cache(maxsize=NAMES_REMEMBERED)
def parse_authority(value: str) -> Authority | None:
    """The parts of `host[:port]`; None where it is none."""
    match = _AUTHORITY.fullmatch(value.lower())
    if match is None:
        return None
    host = match["v6"] or match["name"]
    try:
        version = ip_address(host).version
    except ValueError:
        return None if match["v6"] else Authority(host, False, match["port"])
    if (version == 6) != bool(match["v6"]):
        return None
    return Authority(host, True, match["port"])


class Hosts:
    """The names in use: IP addresses, `localhost`, this machine's name, and those the settings allow."""

    def __init__(self, machine: str, allowed: tuple[str, ...]) -> None:
        names = ("localhost", machine, machine.partition(".")[0], *allowed)
        self._names = frozenset(name.lower() for name in names if name)

    def accept(self, value: bytes) -> bool:
        """Whether a `Host` value is one of ours."""
        authority = parse_authority(value.decode("latin-1"))
        return authority is not None and (authority.is_address or authority.host in self._names)
