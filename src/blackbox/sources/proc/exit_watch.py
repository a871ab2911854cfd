"""Awaits the end of processes (pidfd, Linux 5.3), so that nobody has to look whether they still live."""

import os
import resource
import select
import weakref
from contextlib import suppress

WATCHED_MAX = 1024
"""Processes awaited at a time: those on the GPUs of a large machine."""
FILES_SHARE = 16
"""Where open files are few, no more than one in this many is spent on it: the others are for clients."""


class ExitWatch:
    """The processes that were added, until they end or are discarded. Each takes an open file."""

    def __init__(self, watched_max: int | None = None) -> None:
        """`watched_max`: how many at a time; None: as the limit on open files allows."""
        self._watched_max = watched_max
        self._files: dict[int, int] = {}
        """By pid."""
        self._pids: dict[int, int] = {}
        """By file."""
        self._epoll: select.epoll | None = None
        weakref.finalize(self, _close, self._files)

    def __contains__(self, pid: int) -> bool:
        return pid in self._files

    def add(self, pid: int) -> bool:
        """Whether the end of this process is awaited from now on; False where that cannot be."""
        if pid in self._files:
            return True
        if len(self._files) >= self._room():
            return False
        try:
            file = os.pidfd_open(pid)
        except (OSError, AttributeError):  # it has ended, or the kernel or this Python knows no such files
            return False
        try:
            self._epoll = self._epoll or select.epoll()
            self._epoll.register(file, select.EPOLLIN)
        except OSError:  # no file is left for it, or the user watches too many
            os.close(file)
            return False
        self._files[pid], self._pids[file] = file, pid
        return True

    def discard(self, pid: int) -> None:
        """Awaits it no longer, if it did."""
        file = self._files.pop(pid, None)
        if file is not None and self._epoll is not None:
            del self._pids[file]
            self._epoll.unregister(file)  # closing it does not, while a child that is being started has it too
            os.close(file)

    def ended(self) -> list[int]:
        """Pids of those that have ended since they were added, and are awaited no longer."""
        if self._epoll is None or not self._files:
            return []
        pids = [self._pids[file] for file, _ in self._epoll.poll(0, self._room())]
        for pid in pids:
            self.discard(pid)
        return pids

    def _room(self) -> int:
        if self._watched_max is None:
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            self._watched_max = max(1, min(WATCHED_MAX, soft // FILES_SHARE))
        return self._watched_max


def _close(files: dict[int, int]) -> None:
    for file in files.values():
        with suppress(OSError):
            os.close(file)
