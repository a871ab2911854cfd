"""A listening Unix socket, in a folder that nobody else can write to, and never with wider permissions than meant."""

import contextlib
import fcntl
import os
import socket
import stat
from pathlib import Path

DIRECTORY_MODE = 0o755
BACKLOG = 128
"""Agents that connect at once while the server is busy; more try again."""
OWNER_ONLY = 0o600
_OTHERS_WRITE = 0o022


class UnixListenerError(Exception):
    """Cannot listen; says why."""


class UnixListener:
    """Listens at `path` from its construction until `close`.

    Every step goes through a handle of the folder, which is checked first, so that a link put in its place later has
    no effect. A lock beside the socket, not the socket itself, shows whether another server is alive.
    """

    def __init__(self, path: Path, mode: int) -> None:
        """Raises `UnixListenerError`."""
        self._name = path.name
        with contextlib.ExitStack() as stack:
            try:
                self._directory = _open_directory(path.parent)
                stack.callback(os.close, self._directory)
                self._lock = _take_lock(self._directory, f"{self._name}.lock")
                stack.callback(os.close, self._lock)
                self.socket = stack.enter_context(_bind(self._directory, self._name))
                self._inode = _open_to(self._directory, self._name, mode)
                self.socket.listen(BACKLOG)
            except OSError as error:
                raise UnixListenerError(f"cannot listen at {path}: {error.strerror or error}") from error
            self._handles = stack.pop_all()

    def close(self) -> None:
        """Removes the socket, unless another has replaced it, and closes the folder."""
        with self._handles, contextlib.suppress(OSError):
            if os.stat(self._name, dir_fd=self._directory, follow_symlinks=False).st_ino == self._inode:
                os.unlink(self._name, dir_fd=self._directory)


def _open_directory(path: Path) -> int:
    path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(directory)
    own = status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_WRITE
    # in a folder such as /tmp nobody can replace what is ours
    if own or status.st_mode & stat.S_ISVTX:
        return directory
    os.close(directory)
    raise PermissionError(0, "others can write in its folder")


def _take_lock(directory: int, name: str) -> int:
    lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise BlockingIOError(0, "another server listens there") from None
    return lock


def _bind(directory: int, name: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISSOCK(status.st_mode):
            raise FileExistsError(0, "something there is not a socket")
        os.unlink(name, dir_fd=directory)  # of a server that was killed: the lock is ours
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(listening.fileno(), OWNER_ONLY)  # what bind gives the file, under any umask
        listening.bind(f"/proc/self/fd/{directory}/{name}")
    except BaseException:
        listening.close()
        raise
    return listening


def _open_to(directory: int, name: str, mode: int) -> int:
    """Gives the socket, and nothing that took its place, its permissions; returns its inode."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        status = os.fstat(handle)
        if not stat.S_ISSOCK(status.st_mode):
            raise FileExistsError(0, "something took the place of the socket")
        os.chmod(f"/proc/self/fd/{handle}", mode)  # noqa: PTH101 - a link that is the handle itself
        return status.st_ino
    finally:
        os.close(handle)
