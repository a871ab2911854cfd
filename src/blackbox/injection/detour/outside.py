"""A program in another namespace: a door that it can reach, and what it cannot find on its own disk.

Handed over are two folders, that of Blackbox and that of the server's socket, as copies of a mount that lead nowhere
else: read-only, and `..` of their root is the root itself. A plain descriptor of a folder would be a way out of the
container for whoever is in it. Making them needs root.
"""

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Generator
from typing import NamedTuple

FOLDER = os.path.abspath(f"{__file__}/../../../..")  # noqa: PTH100 - `pathlib` takes longer to import than the rest
"""Where the package `blackbox` lies."""
_OPEN_TREE, _MOUNT_SETATTR = 428, 442
_CLONE_TREE, _EMPTY_PATH = 1, 0x1000
_READ_ONLY, _NO_SUID, _NO_DEV = 1, 2, 4


class Handed(NamedTuple):
    """What goes along with a task."""

    descriptors: list[int]
    """Empty for a program that sees the same disk, else: Blackbox's folder, and the folder of the server's socket."""


@contextlib.contextmanager
def handed(pid: int, socket_folder: str = "") -> Generator[Handed]:
    """For this program. Raises `OSError`."""
    if not socket_folder or not is_elsewhere(pid):
        yield Handed([])
        return
    with contextlib.ExitStack() as opened:
        found: list[int] = []
        for folder in (FOLDER, socket_folder):
            found.append(copied(folder))
            opened.callback(os.close, found[-1])
        yield Handed(found)


def is_elsewhere(pid: int) -> bool:
    """Whether it sees another disk."""
    return not all(_is_own(pid, place) for place in ("ns/mnt", "root"))


def copied(folder: str) -> int:
    """A descriptor of a read-only copy of the mount that begins with this folder. Raises `OSError`."""
    descriptor = _call(_OPEN_TREE, -100, folder.encode(), _CLONE_TREE | os.O_CLOEXEC)
    try:
        attributes = struct.pack("<4Q", _READ_ONLY | _NO_SUID | _NO_DEV, 0, 0, 0)
        _call(_MOUNT_SETATTR, descriptor, b"", _EMPTY_PATH, attributes, len(attributes))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def listen(pid: int, name: str) -> Generator[socket.socket]:
    """A listening socket under this name, where the program finds it: abstract names belong to a network namespace.

    Raises `OSError`.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if not _is_own(pid, "ns/net"):
        made.close()
        made = _made_in(pid)
    with made:
        made.bind(f"\0{name}")
        made.listen()
        yield made


def _is_own(pid: int, place: str) -> bool:
    """Whether this process has the same. Raises `OSError`."""
    return os.path.samefile(f"/proc/{pid}/{place}", f"/proc/self/{place}")  # noqa: PTH121


def _made_in(pid: int) -> socket.socket:
    """A socket of the program's network, made by a child that goes there."""
    mine, its = socket.socketpair()
    with mine, its:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                for kind in ("user", "net"):
                    place = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
                    own = os.stat(f"/proc/self/ns/{kind}")  # noqa: PTH116
                    if not os.path.samestat(os.fstat(place), own) and ctypes.CDLL(None).setns(place, 0) != 0:
                        os._exit(1)
                made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                socket.send_fds(its, [b"+"], [made.fileno()])
            os._exit(0)
        its.close()
        _, descriptors, _, _ = socket.recv_fds(mine, 1, 1)
        os.waitpid(child, 0)
    if not descriptors:
        raise PermissionError(1, "its network namespace cannot be entered")
    return socket.socket(fileno=descriptors[0])


def _call(number: int, *arguments: int | bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(
        *(ctypes.c_long(one) if isinstance(one, int) else ctypes.c_char_p(one) for one in (number, *arguments))
    )
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
