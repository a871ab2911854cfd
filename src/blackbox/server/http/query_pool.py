"""Threads for queries of the recording. A query takes milliseconds to seconds of a core and a disk, so it runs apart
from the event loop and from the threads that encode the newest snapshot."""

import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from blackbox.recorder import Recording
from blackbox.server.http.offload import off_loop
from blackbox.server.http.response import Response, unavailable
from blackbox.sources.isolation.outputs import outputs_of

T = TypeVar("T")

AT_ONCE = 2
"""Queries that run at the same time. More would not be faster: they share one interpreter."""
WAITING_MAX = 16
"""Requests that run or wait; the next one is answered 503 with Retry-After."""
REPORTS_WAITING_MAX = 4
"""Reports that are made or wait. One takes seconds, and minutes at most, so they have a thread of their own: whoever
asks for many of them keeps nobody else from the recording."""


class _Lane:
    """Threads of their own for one kind of request, and how many may run or wait. Called on the event loop."""

    def __init__(self, name: str, at_once: int, waiting_max: int, refusal: Response) -> None:
        self.threads = ThreadPoolExecutor(at_once, name)
        self._waiting, self._waiting_max = 0, waiting_max
        self._refusal = refusal

    async def answer(self, work: Callable[[], Response]) -> Response:
        """The response that `work` makes, or the refusal where too many wait. Raises what `work` raises."""
        if self._waiting >= self._waiting_max:
            return self._refusal
        self._waiting += 1
        try:
            return await off_loop(self.threads, work)
        finally:
            self._waiting -= 1


class QueryPool:
    """Runs queries on threads, a bounded number at a time. Called on the event loop."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._queries = _Lane(
            "blackbox-queries",
            AT_ONCE,
            WAITING_MAX,
            unavailable("too many questions about the recording", retry_after_seconds=1),
        )
        self._reports = _Lane(
            "blackbox-reports",
            1,
            REPORTS_WAITING_MAX,
            unavailable("too many reports are being made", retry_after_seconds=5),
        )
        self._child: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    async def answer(self, work: Callable[[], Response]) -> Response:
        """The response that `work` makes on a thread, or 503 where too many wait. Raises what `work` raises."""
        return await self._queries.answer(work)

    async def report(self, work: Callable[[], Response]) -> Response:
        """The same for a report: one at a time, beside the queries."""
        return await self._reports.answer(work)

    def run_child(self, command: Sequence[str], seconds: float, bytes_max: int) -> subprocess.CompletedProcess[bytes]:
        """What a report's child writes; killed when the pool is closed. For its thread. Raises `TimeoutExpired`,
        `TooMuchWrittenError`."""
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as child:
            self._child = child
            try:
                if self._is_closed:
                    child.kill()
                written, said = outputs_of(child, bytes_max, seconds)
            finally:
                child.kill()
                self._child = None
        return subprocess.CompletedProcess(command, child.returncode, written, said)

    async def ask(self, work: Callable[[], T]) -> T:
        """What `work` returns, for the server's own queries, which are never refused. Raises what `work` raises."""
        return await off_loop(self._queries.threads, work)

    def close(self) -> None:
        """Drops the queries that wait, runs no more, and ends the child of a report: the process would wait for it."""
        self._is_closed = True
        if (child := self._child) is not None:
            child.kill()
        for lane in (self._queries, self._reports):
            lane.threads.shutdown(wait=False, cancel_futures=True)
