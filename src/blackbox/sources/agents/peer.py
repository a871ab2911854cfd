"""Who is at the other end of an agent's socket, as the kernel says."""

import socket
import struct
from typing import NamedTuple

from blackbox.model.identity import ProcessIdentity, same_process
from blackbox.sources.proc.processes import ProcessFacts, Procfs
from blackbox.sources.proc.threads import Tasks
from blackbox.wire.report import Hello

ROOT = 0
_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid"""


class RefusedError(Exception):
    """This peer may not report; says why."""

    def __init__(self, why: str, uid: int | None = None) -> None:
        """`uid`: the user who connected."""
        super().__init__(why)
        self.uid = uid


class Peer(NamedTuple):
    """A process that reports, in our own pid namespace."""

    pid: int
    uid: int
    """Of the peer when it connected."""
    process: ProcessFacts
    pid_namespace: int
    """Its inode; 0 where it cannot be read."""


def identify(connected: socket.socket, procfs: Procfs, tasks: Tasks) -> Peer:
    """The process that connected. Raises `RefusedError` where it may not speak for the process that has its pid now.

    The kernel noted pid and user at the moment of connecting, translated into our namespaces. Since then the pid may
    have gone to another process, or the process to another user: who connected must own the pid. Root is exempt.
    """
    pid, uid, _ = _CREDENTIALS.unpack(
        connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size),
    )
    if pid <= 0:
        raise RefusedError("a process that is not visible from the server's pid namespace", uid)
    process, owner = procfs.look(pid), tasks.owner(pid)
    if process is None or owner is None:
        raise RefusedError(f"process {pid} is gone", uid)
    if uid not in (ROOT, owner):
        raise RefusedError(f"user {uid} speaks for process {pid} of user {owner}", uid)
    return Peer(pid, uid, process, tasks.pid_namespace(pid))


def check_hello(peer: Peer, hello: Hello) -> None:
    """Raises `RefusedError` where the one who speaks started at another time than the process with its pid."""
    reported = ProcessIdentity(peer.pid, hello.start_ticks or None)
    if same_process(reported, peer.process.identity) is False:
        raise RefusedError(f"process {peer.pid} is not the one that connected")


def still_there(peer: Peer, procfs: Procfs, tasks: Tasks) -> bool:
    """Whether the pid still belongs to the same process, and that to the same user."""
    now = procfs.look(peer.pid)
    return (
        now is not None
        and bool(same_process(now.identity, peer.process.identity))
        and peer.uid in (ROOT, tasks.owner(peer.pid))
    )
