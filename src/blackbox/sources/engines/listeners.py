"""Which process listens on which TCP port, out of /proc."""

import re
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from blackbox.sources.engines.address import Address

LISTENING, ESTABLISHED = "0A", "01"
"""States of a socket, as the kernel writes them."""
TABLES = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}
SOCKETS_MAX = 100_000
"""Of one table that are looked at."""
FILES_MAX = 10_000
"""Open files looked at in one process. A server opens its port early, and files are listed in order."""
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - told apart, not bound
"""A socket that listens on every address is asked on loopback."""
MAPPED = "::ffff:"
_SOCKET = re.compile(r"socket:\[(\d+)\]")


class ListeningSocket(NamedTuple):
    """A listening TCP socket."""

    host: str
    """IP address, one of `ANY` too."""
    port: int
    uid: int
    """User who made it."""
    inode: int


def listening(root: Path) -> dict[int, Address]:
    """Inode of each listening TCP socket of our network namespace -> where to reach it."""
    return {one.inode: Address(ANY.get(one.host, one.host), one.port) for one in _listening(root)}


def has_clients(root: Path, port: int) -> bool:
    """Whether somebody is connected to a port of our network namespace."""
    suffix = f":{port:04X}"
    return any(row[3] == ESTABLISHED and row[1].endswith(suffix) for name in TABLES for row in _rows(root, name))


def ports(root: Path, pid: int, sockets: Mapping[int, Address]) -> dict[Address, frozenset[int]] | None:
    """Where a process listens, of `sockets`, and the inodes of those that do; None when its open files cannot be
    seen."""
    found: dict[Address, frozenset[int]] = {}
    try:
        for number, file in enumerate((root / str(pid) / "fd").iterdir()):
            if number == FILES_MAX:
                break
            inode = _inode(file)
            if inode is not None and inode in sockets:
                found[sockets[inode]] = found.get(sockets[inode], frozenset()) | {inode}
    except OSError:
        return None
    return found


def at(root: Path, address: Address) -> frozenset[ListeningSocket]:
    """What listens at an address in our network namespace, as the kernel says."""
    here = [one for one in _listening(root) if one.port == address.port]
    exact = frozenset(one for one in here if one.host in address.hosts)
    return exact or frozenset(one for one in here if one.host in ANY)


def network(root: Path, pid: int | str) -> str | None:
    """Network namespace of a process; None when it cannot be seen."""
    try:
        return str((root / str(pid) / "ns/net").readlink())
    except OSError:
        return None


def _inode(file: Path) -> int | None:
    try:
        match = _SOCKET.fullmatch(str(file.readlink()))
    except OSError:  # closed meanwhile
        return None
    return int(match[1]) if match else None


def _listening(root: Path) -> Iterator[ListeningSocket]:
    for name, family in TABLES.items():
        for row in _rows(root, name):
            if row[3] == LISTENING:
                host, _, port = row[1].partition(":")
                yield ListeningSocket(_host(host, family), int(port, 16), int(row[7]), int(row[9]))


def _rows(root: Path, name: str) -> Iterator[list[str]]:
    """The fields of each socket in one table: address at 1, state at 3, user at 7, inode at 9."""
    try:
        with (root / "self/net" / name).open() as file:
            for line in islice(file, 1, SOCKETS_MAX):
                fields = line.split()
                if len(fields) > 9:
                    yield fields
    except OSError:
        return


def _host(host: str, family: int) -> str:
    words = [int(host[start : start + 8], 16) for start in range(0, len(host), 8)]
    order = "<" if sys.byteorder == "little" else ">"
    name = socket.inet_ntop(family, struct.pack(f"{order}{len(words)}I", *words))
    return name.removeprefix(MAPPED) if "." in name else name
