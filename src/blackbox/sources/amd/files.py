"""Files by which the kernel's driver answers: each reading announced, counted and timed like a call of a driver."""

import errno
import time
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from blackbox.sources.base import DropBreadcrumb

NO_GPU = -1
"""Index for a file that concerns no GPU, and in `quarantine` for one barred on all of them."""


class FileFault(Enum):
    """Why there is no answer, by what has to happen before there may be one."""

    ABSENT = "absent"
    """This kernel, or this GPU, does not tell it."""
    DENIED = "denied"
    """Not to this user."""
    GONE = "gone"
    """The GPU is not there any more, or does not answer."""
    PASSING = "passing"
    """As while the GPU is reset; the last answer stands, with its age."""
    QUARANTINED = "quarantined"
    """Reading it hung before."""


class FileFailure(NamedTuple):
    """A file that gave no answer."""

    fault: FileFault
    reason: str


_FAULTS = {
    errno.ENOENT: FileFault.ABSENT,
    errno.EOPNOTSUPP: FileFault.ABSENT,
    errno.EINVAL: FileFault.ABSENT,
    errno.EACCES: FileFault.DENIED,
    errno.ENODEV: FileFault.GONE,
    errno.ENXIO: FileFault.GONE,
    errno.EIO: FileFault.GONE,
}
"""Any other is passing. EPERM is what amdgpu answers while it resets a GPU, or while the GPU sleeps."""


class Files:
    """The reader of them all."""

    def __init__(self, breadcrumb: DropBreadcrumb) -> None:
        self.quarantine: dict[tuple[str, int], str] = {}
        """(name of a file, index of a GPU) -> why it is not read; filled by whoever supervises this process."""
        self.reads_total = 0
        self.seconds_total = 0.0
        self._breadcrumb = breadcrumb

    def barred(self, name: str, gpu: int) -> FileFailure | None:
        """Why a file of that name is not read of that GPU; None where it may be."""
        reason = self.quarantine.get((name, gpu)) or self.quarantine.get((name, NO_GPU))
        return FileFailure(FileFault.QUARANTINED, reason) if reason else None

    def announce(self, name: str, gpu: int) -> None:
        """Says what is read next, in case it never returns."""
        self._breadcrumb(name, gpu)

    def text(self, path: Path, gpu: int) -> str | FileFailure:
        """Content of a file, without white space around it."""
        if failure := self.barred(path.name, gpu):
            return failure
        self.announce(path.name, gpu)
        started = time.perf_counter()
        self.reads_total += 1
        try:
            return path.read_text(errors="replace").strip()
        except OSError as error:
            fault = _FAULTS.get(error.errno or 0, FileFault.PASSING)
            return FileFailure(fault, f"{path.name}: {error.strerror or error}")
        finally:
            self.seconds_total += time.perf_counter() - started

    def head(self, path: Path, gpu: int, size: int) -> bytes | FileFailure:
        """The first bytes of a binary file."""
        if failure := self.barred(path.name, gpu):
            return failure
        self.announce(path.name, gpu)
        self.reads_total += 1
        try:
            with path.open("rb") as file:
                return file.read(size)
        except OSError as error:
            return FileFailure(_FAULTS.get(error.errno or 0, FileFault.PASSING), f"{path.name}: {error.strerror}")

    def number(self, path: Path, gpu: int) -> int | FileFailure:
        """A whole number, not negative."""
        text = self.text(path, gpu)
        if isinstance(text, FileFailure):
            return text
        if not text.isascii() or not text.isdigit():
            return FileFailure(FileFault.PASSING, f"{path.name}: not a number: {text[:40]!r}")
        return int(text)
