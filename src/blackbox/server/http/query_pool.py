"""Threads for queries of the recording. A query takes milliseconds to seconds of a core and a disk, so it runs apart
from the event loop and from the threads that encode the newest snapshot."""

import asyncio
import subprocess
from collections.abc import Callable, Hashable, Sequence
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
        self._not_begun: dict[Hashable, asyncio.Future[Response]] = {}
        """Questions whose answers are not begun yet. Whoever asks one of them waits for that answer."""

    async def answer(self, work: Callable[[], Response], question: Hashable = None) -> Response:
        """The response that `work` makes, or the refusal where too many wait. Of a `question` that is asked again
        before its answer is begun, there is one answer for all. Raises what `work` raises."""
        alike = None if question is None else self._not_begun.get(question)
        if alike is not None:
            return await asyncio.shield(alike)
        if self._waiting >= self._waiting_max:
            return self._refusal
        self._waiting += 1
        making = asyncio.ensure_future(off_loop(self.threads, self._begun, work, question))
        making.add_done_callback(self._answered)
        if question is not None:
            self._not_begun[question] = making
        return await asyncio.shield(making)

    def _begun(self, work: Callable[[], Response], question: Hashable) -> Response:
        """On the thread: from here on the answer may miss what is recorded, so whoever asks now gets another one."""
        self._not_begun.pop(question, None)
        return work()

    def _answered(self, _: object) -> None:
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

    async def answer(self, work: Callable[[], Response], question: Hashable = None) -> Response:
        """The response that `work` makes on a thread, or 503 where too many wait. A `question` is all that the answer
        depends on: who asks the same before it is begun shares it, however many do. Raises what `work` raises."""
        return await self._queries.answer(work, question)

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
