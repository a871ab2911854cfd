"""The recording as it is written: every moment into the full-rate tier, every period of a tier into the next."""

import logging
import sqlite3
import time
from collections.abc import Callable, Collection
from pathlib import Path

from blackbox.errors import FailureError
from blackbox.model.event import Event
from blackbox.model.event_blocks import json_bytes_of, split, without_blocks
from blackbox.model.moment import Moment
from blackbox.model.series import RECORDED
from blackbox.model.snapshot import Snapshot
from blackbox.recorder.storage.directory import DirectoryLock, chunk_files, prepare, tidy
from blackbox.recorder.storage.dump_files import DUMPS_DIRECTORY, dump_files
from blackbox.recorder.storage.event_log import EventWriter, RecordedEvent
from blackbox.recorder.storage.frames import Frame, to_bytes
from blackbox.recorder.storage.helper import HelperLostError
from blackbox.recorder.storage.layout import Layout, keys_of
from blackbox.recorder.storage.moment_events import without_event_blocks
from blackbox.recorder.storage.subjects import Metrics, ProcessNumbers, numbers_of
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tier_writer import TierWriter
from blackbox.recorder.storage.tiers import FULL, HOUR, MINUTE, TIERS, enforce, period_start, recorded_bytes
from blackbox.recorder.storage.upkeep import Begin, Order, Upkeep, begin_here, in_hand, periods

LIMIT_BYTES = 2 * 1024**3
SYNC_SECONDS = 5.0
"""The most that a power cut may cost. Events are on the disk at once."""
UNWRITTEN_EVENTS_MAX = 1000
"""Events kept for a disk that takes nothing now."""
UNWRITTEN_BYTES_MAX = 64 * 1024 * 1024
"""Of JSON of the blocks of failed allocations among them; a third of it in memory."""
CHUNK_SHARE = 16
"""Of the limit: a file is not allowed to grow beyond, or deleting the oldest would not make room."""
MINUTES, HOURS = 1, 2
"""Places among the tiers."""
RETRY_SECONDS = 60.0
"""After work that failed."""

log = logging.getLogger(__name__)


class Store:
    """The one writer of a data directory; used from one thread. `append` and `note` raise `sqlite3.Error` or `OSError`
    where the disk does not play along, and can be tried again with the next moment."""

    def __init__(
        self,
        directory: Path,
        limit_bytes: int = LIMIT_BYTES,
        clock: Callable[[], float] = time.monotonic,
        begin: Begin = begin_here,
    ) -> None:
        """`begin` has done what is due once an hour. Raises `FailureError`: the directory cannot be written, or another
        process records there."""
        prepare(directory)
        self.directory = directory
        self.limit_bytes = limit_bytes
        self._lock = DirectoryLock(directory)
        tidy(directory)
        self._clock = clock
        self._chunk_bytes_max = limit_bytes // CHUNK_SHARE
        self._full = TierWriter(directory, FULL, self._chunk_bytes_max)
        self._minutes = TierWriter(directory, MINUTE, self._chunk_bytes_max)
        self._begin = begin
        self._work: Upkeep | None = None
        """Under way: until it ends nobody here writes another tier than the finest."""
        self._order: Order | None = None
        """The last one given: what is under way, if anything is."""
        self._work_damaged = 0
        self._retry_at = float("-inf")
        """By the clock, after work that failed."""
        self._readers = [TierReader(directory, tier) for tier in TIERS]
        self._events = EventWriter(directory)
        self._unwritten: list[Event] = []
        self.events_total = 0
        """On the disk since the start."""
        self._layout = Layout(())
        self._metrics: Metrics = RECORDED
        """Those of the layout."""
        self._processes = ProcessNumbers()
        self._rolled: list[float | None] = [None for _ in TIERS]
        """End of the last period that is rolled up, by tier."""
        self._newest_at = float("-inf")
        """Wall time of the newest moment."""
        self._synced_at = float("-inf")
        self._kept_at: float | None = None
        """Minute in which retention was last enforced."""
        self.bytes = recorded_bytes(directory)
        self.dumps = len(dump_files(directory / DUMPS_DIRECTORY))
        """Kept; as of the last minute, like `bytes`."""

    @property
    def damaged(self) -> int:
        """Records and chunks that turned out damaged."""
        parts = self._full, self._minutes, *self._readers, self._events
        return sum(part.damaged for part in parts) + self._work_damaged

    def append(self, moment: Moment, merged: Snapshot | None = None) -> None:
        """Commits a moment with its events, and what it completes. `merged` is its whole snapshot, if it was made."""
        now = moment.timestamp
        events = [event for sample in moment.samples for event in sample.events]
        if events or self._unwritten:
            self.note(events, now)
        self._prepare_for(now)
        synced = bool(events) or self._clock() - self._synced_at >= SYNC_SECONDS
        subjects, values, metrics = numbers_of(moment, merged, self._processes)
        if metrics is not self._metrics or subjects != self._layout.subjects:
            self._metrics, self._layout = metrics, Layout(subjects, keys_of(metrics))
        self._full.append(now, self._layout, values, Frame(now, to_bytes(without_event_blocks(moment))), synced=synced)
        if synced:
            self._synced_at = self._clock()
        self._newest_at = now
        self._keep_within_bounds(now)

    def note(self, events: Collection[Event], now: float) -> list[RecordedEvent]:
        """Commits events; they are on the disk when it returns. Those the disk does not take are tried again."""
        self._unwritten = _bounded([*self._unwritten, *events][-UNWRITTEN_EVENTS_MAX:])
        recorded = self._events.append(self._unwritten, now)
        self._unwritten = []
        self.events_total += len(recorded)
        return recorded

    def close(self) -> None:
        """Lets go of the directory. Upkeep under way is ended; what it has not done is done after the next start."""
        if self._work is not None:
            self._work.kill()
        for part in (self._full, self._minutes, self._events):
            part.close()
        self._lock.close()

    def _prepare_for(self, now: float) -> None:
        """Brings the coarser tiers up to date before the first moment of a new period is added to the finest."""
        if now < self._newest_at:  # the clock was set back: what it says now counts from here on
            self._rolled = [None if tier is FULL else period_start(now, tier.step_seconds) for tier in TIERS]
        if self._is_at_work():
            return
        minute, hour = (period_start(now, tier.step_seconds) for tier in (MINUTE, HOUR))
        self._rolled[MINUTES] = self._roll_up_minutes(self._rolled_until(MINUTES, self._full, now), minute)
        if self._rolled[MINUTES] == minute and self._may_begin():
            since = self._rolled_until(HOURS, self._minutes, now)
            if since < hour:
                self._begin_work(since, hour, minute)

    def _rolled_until(self, place: int, finer: TierWriter, now: float) -> float:
        rolled = self._rolled[place]
        if rolled is None:
            finer.finish_older(now)
            rolled = self._rolled[place] = self._resume_at(place, now)
        return rolled

    def _resume_at(self, place: int, now: float) -> float:
        """Where rolling up goes on after a start: behind the last period there is, or at the oldest finer row."""
        step = TIERS[place].step_seconds
        last = self._readers[place].last(now)
        if last is not None and last <= now:
            return period_start(last, step) + step
        first = self._readers[place - 1].first()
        return period_start(min(now, first if first is not None else now), step)

    def _roll_up_minutes(self, since: float, until: float) -> float:
        """Returns how far it got: until the minutes before are to be packed by somebody else."""
        if since >= until:
            return until
        for period, row, frame in periods(self._readers[0], since, until, MINUTE.step_seconds):
            if self._minutes.is_due(period) and self._may_begin() and self._begin_work(period, period, period):
                return period
            self._minutes.append(period, row.layout, row.values, frame, synced=True)
        return until

    def _may_begin(self) -> bool:
        return self._clock() >= self._retry_at

    def _begin_work(self, since: float, until: float, row_at: float) -> bool:
        """Has hours rolled up, if any, and the minutes packed. Returns whether somebody else is at it now."""
        self._minutes.close()
        before, self._rolled[HOURS] = self._rolled[HOURS], None  # where it fails, the disk tells how far it got
        self._order = Order(str(self.directory), since, until, row_at, self._chunk_bytes_max)
        self._work = self._begin(self._order)
        self._rolled[HOURS] = until if since < until else before
        return self._is_at_work()

    def _is_at_work(self) -> bool:
        """Whether somebody else writes the coarser tiers."""
        if self._work is None:
            return False
        try:
            answer = self._work.poll()
            if answer is None:
                return True
            self._work_damaged += int(answer)
        except (FailureError, HelperLostError) as error:
            log.warning("the hour is rolled up and packed later: %s", error)
            self._retry_at = self._clock() + RETRY_SECONDS
            self._rolled[HOURS] = None
        self._work = None
        return False

    def _keep_within_bounds(self, now: float) -> None:
        minute = period_start(now, MINUTE.step_seconds)
        if minute != self._kept_at:
            in_use = [
                *(part.open_path for part in (self._full, self._minutes, self._events)),
                *self._in_use_by_others(),
            ]
            self.bytes = enforce(self.directory, now, self.limit_bytes, in_use)
            self.dumps = len(dump_files(self.directory / DUMPS_DIRECTORY))
            self._kept_at = minute

    def _in_use_by_others(self) -> list[Path]:
        """Among the coarser tiers. While somebody is at work there the limit holds all the same: who hangs may do so
        for half an hour, in which the finest tier and the events grow."""
        if self._work is not None and self._order is not None:
            return in_hand(self._order)
        return [chunk.path for chunk in chunk_files(self.directory, HOUR.name)[-1:]]


def _bounded(events: Collection[Event]) -> list[Event]:
    """The events; the older of the failed allocations among them without the blocks for which there is no room."""
    room, kept = UNWRITTEN_BYTES_MAX, list[Event]()
    for event in reversed([*events]):
        _, blocks = split(event)
        if blocks is None:
            kept.append(event)
            continue
        kept.append(event if room > 0 else without_blocks(event, "the disk took nothing for too long"))
        room -= json_bytes_of(blocks)
    return kept[::-1]


RecordingError = (sqlite3.Error, OSError)
"""What may go wrong with a disk."""
