"""Threads, owners and pid namespaces of processes, out of /proc, read anew every time."""

import os
import re
from pathlib import Path
from typing import NamedTuple

STAT_BYTES_MAX = 4096
"""A stat or status file of one thread is shorter."""
_STATE, _USER_TICKS, _SYSTEM_TICKS = 0, 11, 12
"""Fields of a stat file, counted from behind the name."""
_ENDED = ("Z", "X")
_OWNER = re.compile(r"^Uid:\s+(\d+)", re.MULTILINE)
_NAMESPACE_PIDS = re.compile(r"^NSpid:.*?(\d+)$", re.MULTILINE)
"""The last of the ids is that of the innermost namespace."""


class Task(NamedTuple):
    """A thread as it was at one look."""

    name: str
    is_running: bool
    """On a CPU, or waiting for one."""
    cpu_ticks: int
    """CPU time so far."""


class Tasks:
    """Looks at threads."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self._root = str(root)

    def look(self, pid: int, thread_id: int) -> Task | None:
        """A thread of a process; None when it has ended."""
        # the name may hold blanks and parentheses; nothing behind it does
        head, _, tail = _read(f"{self._root}/{pid}/task/{thread_id}/stat").rpartition(")")
        fields = tail.split()
        try:
            state, ticks = fields[_STATE], int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
        except (IndexError, ValueError):
            return None
        return None if state in _ENDED else Task(head.partition("(")[2], state == "R", ticks)

    def ids(self, pid: int) -> dict[int, int]:
        """Thread ids as the process itself knows them -> as we do, where the two are in different pid namespaces."""
        try:
            outer_ids = [int(task.name) for task in Path(self._root, str(pid), "task").iterdir()]
        except OSError:
            return {}
        texts = ((outer, _read(f"{self._root}/{pid}/task/{outer}/status")) for outer in outer_ids)
        found = ((outer, _NAMESPACE_PIDS.search(text)) for outer, text in texts)
        return {int(match[1]): outer for outer, match in found if match}

    def owner(self, pid: int) -> int | None:
        """The real user of a process; None when it has ended."""
        match = _OWNER.search(_read(f"{self._root}/{pid}/status"))
        return int(match[1]) if match else None

    def pid_namespace(self, pid: int | None) -> int:
        """Inode of the pid namespace of a process, or of our own for None; 0 where it cannot be read."""
        try:
            return Path(self._root, "self" if pid is None else str(pid), "ns/pid").stat().st_ino
        except OSError:
            return 0


def _read(path: str) -> str:
    """The text of a file; empty when its thread is not there any more."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(file, STAT_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(file)
