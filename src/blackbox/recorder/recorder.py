"""The recorder: takes every moment from the hub and writes it in a thread of its own; nobody waits for the disk."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from blackbox.hub import Published
from blackbox.model.event import Event
from blackbox.model.snapshot import Snapshot
from blackbox.model.status import RecorderState, RecorderStatus
from blackbox.recorder.dumps.retention import Evictions
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage.store import LIMIT_BYTES, RecordingError, Store
from blackbox.recorder.storage.subjects import has_maps
from blackbox.recorder.storage.upkeep import Begin, begin_here

MOMENTS_QUEUED_MAX = 20
"""Ten seconds of a disk that does not answer; a moment with many blocks takes megabytes."""
QUEUE_MAX = 2000
"""Events are small and come even when moments are dropped."""
RETRY_SECONDS = 1.0
"""After a failure: a full disk should not be asked twice a second."""

log = logging.getLogger(__name__)


class Recorder:
    """Feed `take` with moments and `note` with events, from any thread; neither blocks or raises."""

    def __init__(
        self,
        directory: Path,
        limit_bytes: int = LIMIT_BYTES,
        clock: Callable[[], float] = time.monotonic,
        begin: Begin = begin_here,
    ) -> None:
        """Touches nothing yet. `begin`: as of `Store`."""
        self.directory = directory
        self.recording = Recording(directory)
        """The read side."""
        self.evictions = Evictions()
        """Counted by whoever keeps dumps beside the recording."""
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._begin = begin
        self._store: Store | None = None
        self._queue: queue.Queue[Published | Event | None] = queue.Queue(QUEUE_MAX)
        """None wakes the thread to stop."""
        self._stopping = False
        self._reason: str | None = None
        self._retry_at = float("-inf")
        self._moments_total = self._dropped_total = self._failures_total = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to record. Raises `FailureError`, and of these `HeldError` where another process records there."""
        store = self._store = Store(self.directory, self._limit_bytes, self._clock, self._begin)
        self._thread = threading.Thread(target=self._run, args=(store,), name="recorder", daemon=True)
        self._thread.start()

    def take(self, published: Published) -> None:
        """Records a moment, and the events in its samples."""
        if self.has_room():
            self._put(published)
        else:
            self._drop()

    def has_room(self) -> bool:
        """Whether it would take another moment now, and not drop it."""
        return self._queue.qsize() < MOMENTS_QUEUED_MAX

    def note(self, event: Event) -> None:
        """Records an event that no source reported."""
        self._put(event)

    def status(self) -> RecorderStatus:
        """How it goes."""
        store = self._store
        state: RecorderState = "paused" if self._reason else "recording"
        return RecorderStatus(
            state=state if self._thread is not None and self._thread.is_alive() else "off",
            reason=self._reason,
            directory=str(self.directory),
            bytes=store.bytes if store else 0,
            limit_bytes=self._limit_bytes,
            moments_total=self._moments_total,
            events_total=store.events_total if store else 0,
            dropped_total=self._dropped_total,
            failures_total=self._failures_total,
            damaged_total=store.damaged if store else 0,
            dumps=store.dumps if store else 0,
            dumps_evicted=self.evictions.by_kind(),
        )

    def close(self, seconds: float) -> None:
        """Writes what is queued and lets go of the directory; gives up after `seconds`."""
        self._stopping = True
        if self._thread is None:
            return
        self._put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.warning("the recording did not close within %.1f s", seconds)

    def _put(self, item: Published | Event | None) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self._drop()

    def _drop(self) -> None:
        if not self._dropped_total:
            log.warning("the disk is too slow: moments are dropped from the recording")
        self._dropped_total += 1

    def _run(self, store: Store) -> None:
        try:
            while not (self._stopping and self._queue.empty()):
                item = self._queue.get()
                if item is not None:
                    self._write(store, item)
        finally:
            store.close()

    def _write(self, store: Store, item: Published | Event) -> None:
        moments = int(isinstance(item, Published))
        if self._clock() < self._retry_at and not _has_events(item):
            self._failures_total += moments
            return
        try:
            if isinstance(item, Published):
                store.append(item.moment, _merged(item))
            else:
                store.note([item], item.timestamp)
        except RecordingError as error:
            self._pause(str(error))
            self._failures_total += moments
        except Exception as error:
            log.exception("fault in the recorder")
            self._pause(f"fault in the recorder: {type(error).__name__}: {error}")
            self._failures_total += moments
        else:
            self._resume()
            self._moments_total += moments

    def _pause(self, reason: str) -> None:
        self._retry_at = self._clock() + RETRY_SECONDS
        if self._reason is None:
            log.warning("recording is paused: %s", reason)
        self._reason = reason

    def _resume(self) -> None:
        if self._reason is not None:
            log.warning("recording goes on; %d moments were lost so far", self._failures_total)
        self._reason = None


def _merged(published: Published) -> Snapshot | None:
    """The moment, merged once for the recording and everybody else. Block maps take long to merge, and no recorded
    number depends on them: a moment that has some is not merged here unless somebody else asked for it."""
    return published.merged_already() if has_maps(published.moment) else published.merged()


def _has_events(item: Published | Event) -> bool:
    return isinstance(item, Event) or any(sample.events for sample in item.moment.samples)
