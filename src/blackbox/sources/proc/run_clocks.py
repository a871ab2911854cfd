"""Which threads ran since they were looked at, for a quarter of what their stat files cost."""

import os
from collections.abc import Collection
from itertools import repeat

CLOCK_BYTES_MAX = 64
"""`schedstat` holds three numbers: nanoseconds on a CPU, nanoseconds of waiting for one, and turns."""
LOOKS_MAX = 16
"""A stat file is read at one of so many looks all the same: another thread may give a sleeping one a new name."""
NOT_KEPT = b"0 0 "
"""So begins the file where the kernel does not keep this clock: a thread that lives has run."""


class RunClocks:
    """The kernel's clocks of the main threads that do nothing, read one after the other. While one stands still its
    thread has done nothing, not even exec or exit, and all that its stat file said holds. Those of busy threads, whose
    stat files have to be read anyway, are not read."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}
        """Pid -> its `schedstat`, open; the caller closes it."""
        self._before: dict[int, bytes | None] = {}
        """What each read before its stat file was read last; None where that proves nothing."""
        self._looks = 0

    def note(self, pid: int, file: int | None, *, is_quiet: bool) -> None:
        """The stat file was read, and shows a thread that does nothing, or does something. `file`: its clock."""
        if file is None or not is_quiet:
            self.forget(pid)
        elif self._files.get(pid) != file:
            self._files[pid], self._before[pid] = file, None

    def forget(self, pid: int) -> None:
        """Its file is about to be closed, or it is busy."""
        self._files.pop(pid, None)
        self._before.pop(pid, None)

    def still(self) -> Collection[int]:
        """Pids of the threads that have not run since their stat files were read. Read those of all others, and `note`
        what they tell."""
        told = self._read()
        self._looks += 1
        before, self._before = self._before, told
        ran = [pid for pid, now in told.items() if now is None or now != before[pid]]
        turn = self._looks % LOOKS_MAX
        return self._files.keys() - ran - {pid for pid in self._files if pid % LOOKS_MAX == turn}

    def _read(self) -> dict[int, bytes | None]:
        try:
            told = [*map(os.pread, self._files.values(), repeat(CLOCK_BYTES_MAX), repeat(0))]
        except OSError:  # a thread has ended
            told = [_read(file) for file in self._files.values()]
        kept = [now if now and not now.startswith(NOT_KEPT) else None for now in told]
        return dict(zip(self._files, kept, strict=True))


def _read(file: int) -> bytes:
    try:
        return os.pread(file, CLOCK_BYTES_MAX, 0)
    except OSError:
        return b""
