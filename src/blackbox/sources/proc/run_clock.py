"""Whether a thread ran since it was looked at, for a third of what its stat file costs."""

import os

CLOCK_BYTES_MAX = 64
"""`schedstat` holds three numbers: nanoseconds on a CPU, nanoseconds of waiting for one, and turns."""
STANDS_STILL_LOOKS_MAX = 15
"""Looks in a row that are answered by the clock alone: another thread may give a sleeping one a new name."""
NOT_KEPT = b"0 0 "
"""So begins the file where the kernel does not keep this clock: a thread that lives has run."""


class RunClock:
    """The kernel's clock of one thread. While it stands still the thread has done nothing, not even exec or exit, and
    all that its stat file said holds. Not asked while the thread is busy, whose stat file has to be read anyway."""

    def __init__(self, file: int) -> None:
        """`file`: its `schedstat`, open; the caller closes it."""
        self.file = file
        self._is_quiet = False
        self._before = b""
        """What it read before the stat file was read last; empty where it was not read."""
        self._looks_left = 0

    def stands_still(self) -> bool:
        """Whether the thread has not run since its stat file was read. Where this is False, read that, and say `note`
        what it told."""
        if not self._is_quiet:
            return False
        try:
            now = os.pread(self.file, CLOCK_BYTES_MAX, 0)
        except OSError:  # the thread has ended
            now = b""
        if now and now == self._before and self._looks_left:
            self._looks_left -= 1
            return True
        self._before = b"" if now.startswith(NOT_KEPT) else now
        self._looks_left = STANDS_STILL_LOOKS_MAX
        return False

    def note(self, *, is_quiet: bool) -> None:
        """The stat file was read, and shows a thread that does nothing, or does something."""
        self._is_quiet = is_quiet
        if not is_quiet:
            self._before = b""
