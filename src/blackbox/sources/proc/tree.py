"""Which processes belong together: a server, its workers, and who started them."""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from pathlib import Path

from blackbox.sources.proc.stat import STAT_BYTES_MAX, parse, read
from blackbox.sources.proc.table import ANCESTORS_MAX, INIT, ProcessEntry, ProcessTable

COMMAND_BYTES_MAX = 4096
"""Of a command line that are read."""
COMMAND_WORDS_MAX = 5
"""Of a command line that are looked at: an interpreter, its flags, a module. The rest may hold secrets."""
KEPT_SECONDS = 30.0
"""A command line is read again after this time at the least, and twice as long at the most."""
UIDS = re.compile(rb"^Uid:\s+(\d+)\s+(\d+)", re.MULTILINE)
"""Real and effective user, in the file `status`."""


class Commands:
    """Command lines, kept from one look at the processes to the next: while a process has the same start, name and
    place of its arguments, which a start of another program changes, but no longer than `KEPT_SECONDS`, since a program
    may write over its own command line. Where the place of arguments is not to be seen nothing is kept."""

    def __init__(self, root: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._root = str(root)
        self._clock = clock
        self._known: dict[int, tuple[ProcessEntry, float, str]] = {}
        """By pid: the process, when to read again, and its command."""

    def of(self, process: ProcessEntry) -> str:
        """The first words of its command line, or the title that it has set in its place."""
        now = self._clock()
        known = self._known.get(process.pid)
        if known is not None and now < known[1] and _is_same_program(known[0], process):
            return known[2]
        data = read(f"{self._root}/{process.pid}/cmdline", bytes_max=COMMAND_BYTES_MAX) or b""
        command = " ".join(data.decode(errors="replace").split("\0")[:COMMAND_WORDS_MAX]).strip()
        if process.arguments_at:
            # not all at once: they were met at once
            self._known[process.pid] = process, now + KEPT_SECONDS * (1 + process.pid % 8 / 8), command
        return command

    def keep(self, pids: Container[int]) -> None:
        """Forgets every process but these."""
        self._known = {pid: known for pid, known in self._known.items() if pid in pids}


def _is_same_program(before: ProcessEntry, now: ProcessEntry) -> bool:
    return before.start_ticks == now.start_ticks and before[-2:] == now[-2:]


class ProcessTree:
    """All processes as they were at one look."""

    def __init__(
        self, root: Path, commands: Commands | None = None, processes: Mapping[int, ProcessEntry] | None = None
    ) -> None:
        """`commands`: those of earlier looks. `processes`, by pid: as they are known; None: all are read now."""
        self._root = root
        self._commands = commands or Commands(root)
        self._all = ProcessTable(root).list() if processes is None else processes
        self._children: defaultdict[int, list[int]] = defaultdict(list)
        self._sessions: defaultdict[int, list[int]] = defaultdict(list)
        for process in self._all.values():
            self._children[process.parent].append(process.pid)
            self._sessions[process.session].append(process.pid)
        self._commands.keep(self._all.keys())

    def start_ticks(self, pid: int) -> int:
        return self._all[pid].start_ticks

    def is_same(self, pid: int) -> bool:
        """Whether the pid is still that process's, so that whatever was read of it since that look is about it."""
        stat = parse(read(self._root / str(pid) / "stat", bytes_max=STAT_BYTES_MAX))
        return stat is not None and stat.start_ticks == self._all[pid].start_ticks

    def related(self, pids: Iterable[int]) -> frozenset[int]:
        """The processes with their ancestors, descendants, and the rest of their sessions."""
        pids = [pid for pid in pids if pid in self._all]
        found = {above for pid in pids for above in self.ancestors(pid)}
        for session in {self._all[pid].session for pid in pids} - {0}:
            found.update(self._sessions[session])
        return frozenset(found.union(self._descendants(pids)))

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
        return self._descendants([pid] if pid in self._all else [])

    def with_descendants(self, pids: Collection[int]) -> Collection[int]:
        """These, and all that descend from any of them."""
        return self._descendants(pids)

    def command(self, pid: int) -> str:
        """The first words of its command line, or the title that it has set in its place."""
        process = self._all.get(pid)
        return "" if process is None else self._commands.of(process)

    def _descendants(self, pids: Iterable[int]) -> Collection[int]:
        """Of all of them, and they themselves; in the order they are found."""
        found = dict.fromkeys(pids)
        left = list(found)
        while left:
            for child in self._children.get(left.pop(), ()):
                if child not in found:
                    found[child] = None
                    left.append(child)
        return found
