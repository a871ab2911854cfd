"""How a person's command finds the running servers: one file per server, locked for as long as the server lives.

The lock, not the file, says that a server runs: it ends with the process however that ends, so a stale file or a
reused pid misleads nobody.
"""

import fcntl
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from blackbox.errors import FailureError

_PREFIX = "server-"
_SUFFIX = ".pid"


class RunningServer(NamedTuple):
    pid: int
    port: int


@contextmanager
def announced(directory: Path, port: int) -> Generator[Path, None, None]:
    """Announces this process as the server on `port` while the context lasts. Raises `FailureError`."""
    file = directory / f"{_PREFIX}{port}{_SUFFIX}"
    try:
        _make_private(directory)
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise FailureError(f"cannot write {file}: {error.strerror}") from error
    try:
        _lock(handle, file)
        os.truncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield file
        file.unlink(missing_ok=True)
    finally:
        os.close(handle)


def running_servers(directory: Path) -> list[RunningServer]:
    """The servers announced in `directory` that are alive, by port."""
    found = [_read(file) for file in directory.glob(f"{_PREFIX}*{_SUFFIX}")]
    return sorted((server for server in found if server is not None), key=lambda server: server.port)


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(0, f"{directory} is not a directory of this user")


def _lock(handle: int, file: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FailureError(f"{file} is held by another server") from None


def _read(file: Path) -> RunningServer | None:
    port = file.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(handle)
        text = os.read(handle, 32).decode("ascii", "replace").strip() if stat.S_ISREG(status.st_mode) else ""
        if text.isdigit() and port.isdigit() and _owner(text) == status.st_uid and _is_locked(handle):
            return RunningServer(int(text), int(port))
    finally:
        os.close(handle)
    return None


def _owner(pid: str) -> int | None:
    """Of a process. A file that names one of another user than its own is not believed: who is shown it would signal
    that process."""
    try:
        return Path("/proc", pid).stat().st_uid
    except OSError:
        return None


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
