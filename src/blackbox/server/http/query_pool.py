"""Threads for queries of the recording. A query takes milliseconds to seconds of a core and a disk, so it runs apart
from the event loop and from the threads that encode the newest snapshot."""

import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from blackbox.recorder import Recording
from blackbox.server.http.offload import off_loop
from blackbox.server.http.response import Response, unavailable

T = TypeVar("T")

AT_ONCE = 2
"""Queries that run at the same time. More would not be faster: they share one interpreter."""
WAITING_MAX = 16
"""Requests that run or wait; the next one is answered 503 with Retry-After."""
REPORTS_WAITING_MAX = 4
"""Reports that are made or wait. One takes seconds, and minutes at most, so they have a thread of their own: whoever
asks for many of them keeps nobody else from the recording."""


class QueryPool:
    """Runs queries on threads, a bounded number at a time. Called on the event loop."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._workers = ThreadPoolExecutor(AT_ONCE, "blackbox-queries")
        self._reports = ThreadPoolExecutor(1, "blackbox-reports")
        self._waiting = 0
        self._reports_waiting = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    async def answer(self, work: Callable[[], Response]) -> Response:
        """The response that `work` makes on a thread, or 503 where too many wait. Raises what `work` raises."""
        if self._waiting >= WAITING_MAX:
            return unavailable("too many questions about the recording", retry_after_seconds=1)
        self._waiting += 1
        try:
            return await off_loop(self._workers, work)
        finally:
            self._waiting -= 1

    async def report(self, work: Callable[[], Response]) -> Response:
        """The same for a report: one at a time, beside the queries."""
        if self._reports_waiting >= REPORTS_WAITING_MAX:
            return unavailable("too many reports are being made", retry_after_seconds=5)
        self._reports_waiting += 1
        try:
            return await off_loop(self._reports, work)
        finally:
            self._reports_waiting -= 1

    def run_child(self, command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
        """What a report's child writes; killed when the pool is closed. For its thread. Raises `TimeoutExpired`."""
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as child:
            self._child = child
            try:
                if self._is_closed:
                    child.kill()
                written, said = child.communicate(timeout=seconds)
            finally:
                child.kill()
                self._child = None
        return subprocess.CompletedProcess(command, child.returncode, written, said)

    async def ask(self, work: Callable[[], T]) -> T:
        """What `work` returns, for the server's own queries, which are never refused. Raises what `work` raises."""
        return await off_loop(self._workers, work)

    def close(self) -> None:
        """Drops the queries that wait, runs no more, and ends the child of a report: the process would wait for it."""
        self._is_closed = True
        if (child := self._child) is not None:
            child.kill()
        for threads in (self._workers, self._reports):
            threads.shutdown(wait=False, cancel_futures=True)
