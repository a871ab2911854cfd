"""Questions about the recording: each takes milliseconds to seconds of a core and a disk, so they wait in a short line
of their own, where they hold up neither the event loop nor anybody who asks for the newest snapshot."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from blackbox.recorder import Recording
from blackbox.server.http.offload import off_loop
from blackbox.server.http.response import Response, unavailable

T = TypeVar("T")

AT_ONCE = 2
"""Questions being answered. More would not be faster: they share one interpreter."""
WAITING_MAX = 16
"""Questions being answered or waiting; the next asker gets 503 and Retry-After."""


class Questions:
    """The line. Lives on the event loop."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._workers = ThreadPoolExecutor(AT_ONCE, "blackbox-questions")
        self._waiting = 0

    async def answer(self, work: Callable[[], Response]) -> Response:
        """What `work` answers, made on a thread; it may raise what a route may raise."""
        if self._waiting >= WAITING_MAX:
            return unavailable("too many questions about the recording", retry_after_seconds=1)
        self._waiting += 1
        try:
            return await off_loop(self._workers, work)
        finally:
            self._waiting -= 1

    async def ask(self, work: Callable[[], T]) -> T:
        """What `work` returns, for the server's own questions: they wait, and are not refused."""
        return await off_loop(self._workers, work)

    def close(self) -> None:
        """Answers no more."""
        self._workers.shutdown(wait=False, cancel_futures=True)
