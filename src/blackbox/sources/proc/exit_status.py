"""How a process ended, as /proc shows it while it is dying, or dead and not yet waited for by its parent (a zombie)."""

import os
from pathlib import Path
from typing import NamedTuple

from blackbox.model.identity import ProcessIdentity
from blackbox.model.text import printable
from blackbox.sources.proc.stat import DEAD_STATES, EXITING_FLAG, STAT_BYTES_MAX, Stat, parse, read


class ExitStatus(NamedTuple):
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


def may_be_dead(pid: int, root: str = "/proc") -> bool:
    """Whether its main thread has ended, at a third of the cost of `look`."""
    _, _, tail = (read(f"{root}/{pid}/stat", bytes_max=STAT_BYTES_MAX) or b"").rpartition(b") ")
    return tail[:1] in DEAD_STATES


def look(pid: int, root: Path = Path("/proc")) -> ExitStatus | None:
    """The process that has this pid, dead or alive; None when there is none to be seen."""
    stat = parse(read(Path(root, str(pid), "stat")))
    try:
        owner = Path(root, str(pid)).stat().st_uid
    except OSError:
        return None
    return None if stat is None else _exit_status(pid, stat, owner)


def name_of(pid: int, root: Path = Path("/proc")) -> str | None:
    """The kernel's name of a process; None when it is not to be seen."""
    try:
        return printable(Path(root, str(pid), "comm").read_text(errors="replace").removesuffix("\n")) or None
    except OSError:
        return None


def _exit_status(pid: int, stat: Stat, owner: int) -> ExitStatus:
    is_dead = stat.state in DEAD_STATES and stat.threads <= 1
    is_ending = is_dead or bool(stat.flags & EXITING_FLAG)
    return ExitStatus(
        pid=pid,
        start_ticks=stat.start_ticks,
        parent=stat.parent,
        is_dead=is_dead,
        is_ending=is_ending,
        wait_status=_wait_status(stat.wait_status, owner) if is_ending else None,
    )


def _wait_status(wait_status: int | None, owner: int) -> int | None:
    """Who may not know reads 0, as of a success: that is believed only of processes of our own user."""
    return wait_status if wait_status or owner == os.geteuid() else None
