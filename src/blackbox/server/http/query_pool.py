"""Threads for queries of the recording. A query takes milliseconds to seconds of a core and a disk, so it runs apart
from the event loop and from the threads that encode the newest snapshot."""

from collections.abc import Callable
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


class QueryPool:
    """Runs queries on threads, a bounded number at a time. Called on the event loop."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._workers = ThreadPoolExecutor(AT_ONCE, "blackbox-queries")
        self._waiting = 0

    async def answer(self, work: Callable[[], Response]) -> Response:
        """The response that `work` makes on a thread, or 503 where too many wait. Raises what `work` raises."""
        if self._waiting >= WAITING_MAX:
            return unavailable("too many questions about the recording", retry_after_seconds=1)
        self._waiting += 1
        try:
            return await off_loop(self._workers, work)
        finally:
            self._waiting -= 1

    async def ask(self, work: Callable[[], T]) -> T:
        """What `work` returns, for the server's own queries, which are never refused. Raises what `work` raises."""
        return await off_loop(self._workers, work)

    def close(self) -> None:
        """Drops the queries that wait, and runs no more."""
        self._workers.shutdown(wait=False, cancel_futures=True)
