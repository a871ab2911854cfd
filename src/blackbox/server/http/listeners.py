"""The sockets a server listens on."""

import errno
import grp
import os
import resource
import socket
import stat
from pathlib import Path

from blackbox.errors import FailureError, UsageError
from blackbox.server.http.connection_pool import ConnectionLimits
from blackbox.settings import is_loopback

SPARE_SHARE = 2
"""Where file descriptors are few, no more than one in this many is kept from connections. The recording alone has a
dozen open while it writes."""
REFUSALS_SHARE = 4
"""Of those that are kept, one in this many serves to tell clients that there is no room."""
BACKLOG = 4096
"""Connections the kernel holds while we accept others; it cuts this down to its own limit."""
UNIX_UMASK = 0o117
"""Leaves 0660: owner and group may connect."""
SAME_PORT_TRIES = 8
"""For a port that is free on every address, when any port will do."""
ABSENT_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def connection_limits(spare_fds: int) -> ConnectionLimits:
    """Raises the soft limit on open files to the hard one, and shares out what is not in use."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    spare = min(spare_fds, hard // SPARE_SHARE)
    in_use = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return ConnectionLimits(connections=max(1, hard - in_use - spare), refusals=spare // REFUSALS_SHARE)


def open_tcp(hosts: tuple[str, ...], port: int) -> list[socket.socket]:
    """Sockets on every address of `hosts`, all on one port; 0 picks it. Raises `UsageError`, `FailureError`.

    A loopback address that this machine lacks is left out while another one is there.
    """
    addresses = list(dict.fromkeys(address for host in hosts for address in _resolve(host)))
    for attempt in range(SAME_PORT_TRIES):
        try:
            return _open_all(addresses, port)
        except FailureError:
            if port != 0 or attempt == SAME_PORT_TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _open_all(addresses: list[tuple[socket.AddressFamily, str]], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    absent: list[str] = []
    try:
        for family, host in addresses:
            opened = _open(family, host, port)
            if opened is None:
                absent.append(host)
                continue
            sockets.append(opened)
            port = opened.getsockname()[1]
    except BaseException:
        for opened in sockets:
            opened.close()
        raise
    if not sockets:
        raise FailureError(f"this machine has no address {' or '.join(absent)} to listen on")
    return sockets


def _open(family: socket.AddressFamily, host: str, port: int) -> socket.socket | None:
    """A listening socket; None where the machine lacks this loopback address."""
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno in ABSENT_ADDRESS and is_loopback(host):
            return None
        raise FailureError(f"cannot listen on {host}: {error.strerror}") from None
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        if error.errno in ABSENT_ADDRESS and is_loopback(host):
            return None
        if error.errno == errno.EADDRINUSE:
            raise FailureError(f"port {port} on {host} is already in use; choose another, or 0 for any") from None
        raise FailureError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    opened.setblocking(False)
    return opened


def _resolve(host: str) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(_name(host), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{host!a} is no address to listen on: {error}") from None
    return [(family, str(address[0])) for family, _, _, _, address in found]


def open_unix(path: Path, group: str | None) -> socket.socket:
    """A socket at `path` that its owner and `group` may connect to. Raises `UsageError`, `FailureError`."""
    gid = _gid(group)
    _remove_stale(path)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(UNIX_UMASK)
    try:
        opened.bind(str(path))
        if gid is not None:
            os.chown(path, -1, gid)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise FailureError(f"cannot listen on {path}: {error.strerror or error}") from None
    finally:
        os.umask(umask)
    opened.setblocking(False)
    return opened


def _gid(group: str | None) -> int | None:
    if group is None:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"there is no group {group!a}") from None


def _remove_stale(path: Path) -> None:
    """Removes the socket of a server that is gone. Raises `FailureError` where one answers, or it is no socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FailureError(f"cannot listen on {path}: there is something else")
    except FileNotFoundError:
        return
    except OSError as error:
        raise FailureError(f"cannot listen on {path}: {error.strerror}") from None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise FailureError(f"cannot listen on {path}: {error.strerror}") from None
    raise FailureError(f"{path} is already in use by a running server")


def _name(host: str) -> str | bytes | None:
    """As it is looked up. Python reads tables of the world's scripts for every text, even where all of it is ASCII."""
    return (host.encode() if host.isascii() else host) or None
