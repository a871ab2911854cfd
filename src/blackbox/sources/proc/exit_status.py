"""What /proc shows of a process that is dying, or dead and not yet waited for by its parent (a zombie)."""

import os
from pathlib import Path
from typing import NamedTuple

from blackbox.model.identity import ProcessIdentity

_STATE, _PARENT, _FLAGS, _THREADS, _START_TICKS, _WAIT_STATUS = 0, 1, 6, 17, 19, 49
"""Fields of a stat file, counted from behind the name."""
_PF_EXITING = 0x4
"""The kernel's flag of a task on its way out: set before the first of its files is closed."""
_DEAD = (b"Z", b"X")


class Remains(NamedTuple):
    """A process at one look."""

    pid: int
    start_ticks: int
    """Since boot; with the pid, the identity of the process."""
    parent: int
    is_dead: bool
    """All of it: a main thread that has ended while others go on looks the same, but for their number."""
    is_ending: bool
    """Dead, or about to be: nothing of the program runs any more."""
    wait_status: int | None
    """How it ended, as `os.waitpid` tells it; None where it has not, or where the kernel does not tell us."""

    @property
    def identity(self) -> ProcessIdentity:
        """Which process it is."""
        return ProcessIdentity(self.pid, self.start_ticks)


def look(pid: int, root: Path = Path("/proc")) -> Remains | None:
    """The process that has this pid, dead or alive; None when there is none to be seen."""
    try:
        stat = Path(root, str(pid), "stat").read_bytes()
        owner = Path(root, str(pid)).stat().st_uid
        return _parsed(pid, stat.rpartition(b") ")[2].split(), owner)
    except (OSError, ValueError, IndexError):
        return None


def name_of(pid: int, root: Path = Path("/proc")) -> str | None:
    """The kernel's name of a process; None when it is not to be seen."""
    try:
        return Path(root, str(pid), "comm").read_text(errors="replace").strip() or None
    except OSError:
        return None


def _parsed(pid: int, fields: list[bytes], owner: int) -> Remains:
    is_dead = fields[_STATE] in _DEAD and int(fields[_THREADS]) <= 1
    is_ending = is_dead or bool(int(fields[_FLAGS]) & _PF_EXITING)
    return Remains(
        pid=pid,
        start_ticks=int(fields[_START_TICKS]),
        parent=int(fields[_PARENT]),
        is_dead=is_dead,
        is_ending=is_ending,
        wait_status=_told(int(fields[_WAIT_STATUS]), owner) if is_ending else None,
    )


def _told(wait_status: int, owner: int) -> int | None:
    """Who may not know reads 0, as of a success: that is believed only of processes of our own user."""
    return wait_status if wait_status or owner == os.geteuid() else None
