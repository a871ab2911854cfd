"""The recording is its owner's: files are 0600 whatever directory they are in, and directories of ours are 0700."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

DIRECTORY_MODE = 0o700
"""What is recorded of a process is its user's business and the operator's."""
FILE_MODE = 0o600
OTHERS = stat.S_IRWXG | stat.S_IRWXO
ROOT = 0


def make_directory(directory: Path) -> None:
    """Makes a directory, and each level above it that is missing, for its owner alone. Raises `OSError`."""
    missing = [level for level in (directory, *directory.parents) if not level.exists()]
    for level in reversed(missing):
        level.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def make_file(path: Path) -> None:
    """Makes an empty file for its owner alone; SQLite gives its companions the same mode. Raises `OSError`."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE))


def take_from_others(path: Path) -> None:
    """Closes a file or directory of this user to all others, if it is open to them. What cannot be closed stays."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            if status.st_uid == os.geteuid() and status.st_mode & OTHERS and _is_plain(status.st_mode):
                os.fchmod(handle, stat.S_IMODE(status.st_mode) & ~OTHERS)
        finally:
            os.close(handle)


def is_anothers(path: Path) -> bool:
    """Whether what stands there, a link itself and not what it leads to, belongs to neither this user nor root: whoever
    put it there would read what is written into it. False where nothing is."""
    try:
        return path.lstat().st_uid not in (ROOT, os.geteuid())
    except FileNotFoundError:
        return False


def may_be_replaced(directory: Path) -> bool:
    """Whether another user can put files of his own in the place of those in a directory. Raises `OSError`."""
    status = directory.stat()
    shared = bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)) and not status.st_mode & stat.S_ISVTX
    return shared or status.st_uid not in (ROOT, os.geteuid())


def open_to_others(paths: Iterator[Path]) -> Iterator[Path]:
    """Those whose mode lets other users in, whatever the directories above them do."""
    for path in paths:
        with contextlib.suppress(OSError):
            if path.lstat().st_mode & OTHERS and not path.is_symlink():
                yield path


def _is_plain(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
