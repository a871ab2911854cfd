"""A file that is read again when it changes."""

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from blackbox.errors import BlackboxError, FailureError

T = TypeVar("T")

FILE_CHARS_MAX = 1024 * 1024
"""Chains of certificates and lists of users take kilobytes; a device given by mistake would never end."""

logger = logging.getLogger(__name__)


class WatchedFiles(Generic[T]):
    """What `load` makes of some files. A change that cannot be loaded leaves the last good value in force."""

    def __init__(self, paths: Callable[[], tuple[Path, ...]], load: Callable[[], T]) -> None:
        """Loads. Raises `BlackboxError`."""
        self._paths = paths
        self._load = load
        self.value = load()
        self._seen = self._stamp()

    def refresh(self) -> bool:
        """Loads again if a file has changed since; whether one has."""
        if self._stamp() == self._seen:
            return False
        self.reload()
        return True

    def reload(self) -> None:
        """Loads again, changed or not."""
        self._seen = self._stamp()
        try:
            self.value = self._load()
        except BlackboxError as error:
            logger.error("%s; the last good one stays in force", error)

    def _stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(map(_stamp, self._paths()))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_text(path: Path, what: str) -> str:
    """The text of a file that says whom to trust. Raises `FailureError` naming `what` it is, also where every user of
    the machine can change it."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & stat.S_IWOTH:
                raise FailureError(f"every user of this machine can change {what} {path}: chmod o-w {path}")
            text = file.read(FILE_CHARS_MAX + 1)
    except OSError as error:
        raise FailureError(f"cannot read {what} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FailureError(f"cannot read {what} {path}: not UTF-8 text") from None
    if len(text) > FILE_CHARS_MAX:
        raise FailureError(f"cannot read {what} {path}: longer than {FILE_CHARS_MAX} characters")
    return text
