"""What was asked for the page shown. Of each kind of question the newest alone counts."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

from blackbox.client import ClientError, StatusError
from blackbox.model.block_table import BlockTable
from blackbox.model.query import Chart, ChartSeries, Comparison
from blackbox.model.snapshot import Snapshot

T = TypeVar("T")
RETRY_SECONDS = 5.0
"""After a question that was not answered."""
REST_SHARE = 50
"""After an answer whose reading took so much CPU time it is not asked for again for this many times as long: 2 %."""


def reason_of(error: ClientError) -> str:
    """What went wrong, in the server's own words where it said any."""
    told = str(error)
    return told.partition(f"answered {error.status}: ")[2] or told if isinstance(error, StatusError) else told


class Asked(Generic[T]):
    """The newest answer to one kind of question."""

    def __init__(self) -> None:
        self.value: T | None = None
        self.error: str | None = None
        """Why there is no answer to the newest question."""
        self.key: Hashable = None
        """What `value` and `error` answer; another than asked for while that has not come."""
        self._asked: Hashable = None
        self._task: asyncio.Task[None] | None = None
        self._again_at = 0.0

    def want(
        self,
        key: Hashable,
        ask: Callable[[], Awaitable[T]],
        on_change: Callable[[], None],
        again_seconds: float | None = None,
    ) -> None:
        """Asks unless that was asked; again after `again_seconds`, if given, and where no answer came. Never two at a
        time."""
        is_final = again_seconds is None and self.error is None
        if key == self._asked and (self._is_pending or is_final or time.monotonic() < self._again_at):
            return
        if key != self._asked:
            self.cancel()
        self._asked = key
        self._task = asyncio.get_running_loop().create_task(
            self._ask(key, ask, on_change, again_seconds or RETRY_SECONDS)
        )

    @property
    def _is_pending(self) -> bool:
        return self._task is not None and not self._task.done()

    def cancel(self) -> None:
        """Forgets a question that is not answered yet."""
        if self._task is not None:
            self._task.cancel()
        self._task = None

    async def _ask(
        self, key: Hashable, ask: Callable[[], Awaitable[T]], on_change: Callable[[], None], again_seconds: float
    ) -> None:
        began = time.thread_time()
        try:
            self.value, self.error = await ask(), None
        except ClientError as error:
            self.error = reason_of(error)
            if key != self.key:
                self.value = None
        self.key = key
        rest_seconds = (time.thread_time() - began) * REST_SHARE
        self._again_at = time.monotonic() + max(again_seconds, rest_seconds)
        on_change()

    def of(self, key: Hashable) -> T | None:
        """The answer to that question; None while it has not come."""
        return self.value if self.key == key else None


class Lived(NamedTuple):
    """A moment, and what had changed since a minute before it; None where that was not recorded."""

    snapshot: Snapshot
    before: Comparison | None


class ChartTable:
    """A chart, its series found by their subject."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self.series: dict[tuple[str | None, int | None, float | None], ChartSeries] = {
            (one.gpu_uuid, one.pid, one.start_time): one for one in chart.series if one.engine is None
        }


class Answers:
    """One of each kind, of the chosen server."""

    def __init__(self) -> None:
        self.past: Asked[Snapshot] = Asked()
        """The snapshot of the time looked at."""
        self.chart: Asked[ChartTable] = Asked()
        """Used memory of every GPU and process over the strip."""
        self.columns: Asked[BlockTable] = Asked()
        self.lived: Asked[Lived] = Asked()
        self.comparison: Asked[Comparison] = Asked()
        self.report: Asked[dict[str, Any]] = Asked()

    def cancel(self) -> None:
        """Forgets every question that is not answered yet."""
        for asked in (self.past, self.chart, self.columns, self.lived, self.comparison, self.report):
            asked.cancel()
