"""Threads, owners and pid namespaces of processes, out of /proc, read anew every time."""

import re
from pathlib import Path
from typing import NamedTuple

from blackbox.model.text import printable
from blackbox.sources.proc.stat import DEAD_STATES, STAT_BYTES_MAX, parse, read

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
        stat = parse(read(f"{self._root}/{pid}/task/{thread_id}/stat", bytes_max=STAT_BYTES_MAX))
        if stat is None or stat.state in DEAD_STATES:
            return None
        return Task(printable(stat.name.decode(errors="replace")), stat.state == b"R", stat.cpu_ticks)

    def ids(self, pid: int) -> dict[int, int]:
        """Thread ids as the process itself knows them -> as we do, where the two are in different pid namespaces."""
        try:
            outer_ids = [int(task.name) for task in Path(self._root, str(pid), "task").iterdir()]
        except OSError:
            return {}
        texts = ((outer, _text(f"{self._root}/{pid}/task/{outer}/status")) for outer in outer_ids)
        found = ((outer, _NAMESPACE_PIDS.search(text)) for outer, text in texts)
        return {int(match[1]): outer for outer, match in found if match}

    def owner(self, pid: int) -> int | None:
        """The real user of a process; None when it has ended."""
        match = _OWNER.search(_text(f"{self._root}/{pid}/status"))
        return int(match[1]) if match else None

    def pid_namespace(self, pid: int | None) -> int:
        """Inode of the pid namespace of a process, or of our own for None; 0 where it cannot be read."""
        try:
            return Path(self._root, "self" if pid is None else str(pid), "ns/pid").stat().st_ino
        except OSError:
            return 0


def _text(path: str) -> str:
    """The text of a file; empty when its thread is not there any more."""
    return (read(path) or b"").decode(errors="replace")
