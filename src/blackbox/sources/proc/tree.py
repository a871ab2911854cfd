"""Which processes belong together: a server, its workers, and who started them."""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from blackbox.sources.proc.stat import STAT_BYTES_MAX, parse, read

ANCESTORS_MAX = 4
"""Above a process on the GPU: worker, engine core, server, launcher."""
COMMAND_BYTES_MAX = 4096
"""Of a command line that are read."""
COMMAND_WORDS_MAX = 5
"""Of a command line that are looked at: an interpreter, its flags, a module. The rest may hold secrets."""
INIT = 1
UIDS = re.compile(rb"^Uid:\s+(\d+)\s+(\d+)", re.MULTILINE)
"""Real and effective user, in the file `status`."""


class ProcessEntry(NamedTuple):
    pid: int
    parent: int
    session: int
    start_ticks: int
    """Since boot; with the pid, the identity of the process."""


class ProcessTree:
    """All processes as they were at one look."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._all = {process.pid: process for process in _scan(root)}
        self._children: defaultdict[int, list[int]] = defaultdict(list)
        self._sessions: defaultdict[int, list[int]] = defaultdict(list)
        for process in self._all.values():
            self._children[process.parent].append(process.pid)
            self._sessions[process.session].append(process.pid)

    def start_ticks(self, pid: int) -> int:
        return self._all[pid].start_ticks

    def related(self, pid: int) -> frozenset[int]:
        """The process with its ancestors, descendants, and the rest of its session."""
        return frozenset((*self.ancestors(pid), *self.tree(pid), *self.session(pid)))

    def session(self, pid: int) -> Collection[int]:
        """The processes of its session."""
        process = self._all.get(pid)
        return self._sessions[process.session] if process and process.session else ()

    def uid(self, pid: int) -> int | None:
        """The user of a process; None where it is gone, or acts as another user than the one who started it."""
        match = UIDS.search(read(self._root / str(pid) / "status") or b"")
        return int(match[1]) if match and match[1] == match[2] else None

    def ancestors(self, pid: int) -> Iterator[int]:
        """Those above it, but init, nearest first."""
        for _ in range(ANCESTORS_MAX):
            process = self._all.get(pid)
            if process is None or process.parent <= INIT:
                return
            pid = process.parent
            yield pid

    def tree(self, pid: int) -> Collection[int]:
        """The process and its descendants."""
        found = {pid: None} if pid in self._all else {}
        left = list(found)
        while left:
            for child in self._children.get(left.pop(), ()):
                if child not in found:
                    found[child] = None
                    left.append(child)
        return found

    def command(self, pid: int) -> str:
        """The first words of its command line, or the title that it has set in its place."""
        data = read(self._root / str(pid) / "cmdline", bytes_max=COMMAND_BYTES_MAX) or b""
        return " ".join(data.decode(errors="replace").split("\0")[:COMMAND_WORDS_MAX]).strip()


def _scan(root: Path) -> Iterator[ProcessEntry]:
    for name in os.listdir(root):  # noqa: PTH208 - a Path per process would cost as much as reading it
        if name.isdigit():
            stat = parse(read(f"{root}/{name}/stat", bytes_max=STAT_BYTES_MAX))
            if stat is not None:
                yield ProcessEntry(int(name), stat.parent, stat.session, stat.start_ticks)
