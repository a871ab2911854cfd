"""The read side: questions over a data directory, live or copied. Any thread may ask."""

from collections.abc import Collection, Hashable, Iterator
from pathlib import Path

from blackbox.merge import merge
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.model.query import Chart
from blackbox.model.snapshot import Snapshot
from blackbox.model.text import millisecond_end
from blackbox.model.visibility import visible_event
from blackbox.recorder.query.answer_cache import AnswerCache
from blackbox.recorder.query.chart import MARKS_MAX, chart
from blackbox.recorder.query.history import (
    Aggregate,
    History,
    HistoryQuery,
    aggregated,
    first_recorded,
    history,
)
from blackbox.recorder.query.refusal import at_refusal
from blackbox.recorder.query.samples import RecordedNumber, recorded_numbers
from blackbox.recorder.storage.chunk_cache import ChunkCache
from blackbox.recorder.storage.directory import chunk_files
from blackbox.recorder.storage.event_log import EVENTS_MAX, EventReader, RecordedEvent
from blackbox.recorder.storage.frames import moment_of
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tiers import TIERS

POINTS = 300
"""About one per three pixels of a chart."""
POINTS_MAX = 10_000
POINTS_KEPT_MAX = 2_000
"""Of an answer that is kept for the same question: about 0.3 MB."""
FOREVER = float("-inf"), float("inf")


class Recording:
    """What was recorded in a directory. Damage is skipped and counted, never raised."""

    def __init__(self, directory: Path, chunks: ChunkCache | None = None) -> None:
        """`chunks`: one by another clock than this machine's."""
        self._directory = directory
        self._chunks = ChunkCache() if chunks is None else chunks
        self._tiers = [TierReader(directory, tier, self._chunks) for tier in TIERS]
        self._histories: AnswerCache[History] = AnswerCache(_is_small)
        self._lately: AnswerCache[History] = AnswerCache(_is_small)
        self._events = EventReader(directory)

    @property
    def directory(self) -> Path:
        """Where it is."""
        return self._directory

    @property
    def damaged(self) -> int:
        """Records that questions so far had to skip."""
        return sum(reader.damaged for reader in (*self._tiers, self._events))

    def span(self) -> tuple[float, float] | None:
        """Times of the first and the last that is kept; None when nothing is."""
        first = first_recorded(self._tiers)
        lasts = [last for reader in self._tiers if (last := reader.last()) is not None]
        return (first, max(lasts)) if first is not None and lasts else None

    def history(
        self,
        since: float,
        until: float,
        *,
        gpu: str | None = None,
        pid: int | None = None,
        metric: str | None = None,
        points: int = POINTS,
        viewer_uid: int | None = None,
    ) -> History:
        """A metric over time (Unix seconds) of everybody, of one GPU (index or UUID), or of one process.

        Of processes of other users than `viewer_uid` it tells no more than the driver does; None sees all. Raises
        `ValueError` with one line.
        """
        if not 1 <= points <= POINTS_MAX:
            raise ValueError(f"points: {points} is not between 1 and {POINTS_MAX}")
        query = HistoryQuery.checked(since, until, gpu, pid, _only(metric), viewer_uid)
        return self._histories.answer(
            (query, points), lambda: self._state(until), lambda: history(self._tiers, query, points)
        )

    def history_lately(
        self, seconds: float, now: float, *, metric: str, points: int, viewer_uid: int | None = None
    ) -> History:
        """The `history` of the `seconds` before `now`, or before another time in the same step, of which there are
        `points`: whoever looks at a day every other second need not have it made anew each time."""
        question = seconds, metric, points, viewer_uid
        return self._lately.answer(
            question,
            lambda: now // (seconds / points),
            lambda: self.history(now - seconds, now, metric=metric, points=points, viewer_uid=viewer_uid),
        )

    def chart(
        self,
        since: float,
        until: float,
        *,
        gpu: str | None = None,
        pid: int | None = None,
        metrics: Collection[str] | None = None,
        points: int = POINTS,
        viewer_uid: int | None = None,
    ) -> Chart:
        """Several metrics over time, as arrays on one grid, with what happened meanwhile. Otherwise as `history`."""
        query = HistoryQuery.checked(since, until, gpu, pid, metrics, viewer_uid)
        happened = self.events(since, until, limit=MARKS_MAX + 1, light=True)
        return chart(self._tiers, query, min(points, POINTS_MAX), happened, self.span())

    def numbers(self, since: float, until: float) -> Iterator[RecordedNumber]:
        """Every number of everybody in a range of Unix seconds, each as finely as it is kept, once."""
        return recorded_numbers(self._tiers, since, until)

    def aggregated(
        self,
        since: float,
        until: float,
        *,
        gpu: str | None = None,
        pid: int | None = None,
        metric: str | None = None,
        viewer_uid: int | None = None,
    ) -> tuple[Aggregate, ...]:
        """What the same series come to over the whole range. Raises `ValueError` with one line."""
        return aggregated(self._tiers, HistoryQuery.checked(since, until, gpu, pid, _only(metric), viewer_uid))

    def at(self, time: float, *, gpu: str | None = None, viewer_uid: int | None = None) -> Snapshot | None:
        """The snapshot as of then, with its own `seq` and `timestamp`; None where nothing was recorded.

        It is the newest one not after the millisecond of `time`, which is how finely a snapshot tells its own: asked
        for by that, it is found. In the hour of full rate it must have been fresh then; where the
        recording is thinned, no older than the minute or hour of which one is kept. Raises `UnknownGpuError`.
        """
        moment = self.moment_at(time)
        return None if moment is None else merge(moment, gpu, viewer_uid)

    def moment_at(self, time: float) -> Moment | None:
        """The same, unmerged."""
        until = millisecond_end(time)
        for reader in self._tiers:
            frame = reader.newest_frame(until)
            if frame is None:
                first = reader.first()
                if first is None or first > until:
                    continue
            moment = moment_of(frame)
            if moment is None:
                return None
            fresh_until = moment.timestamp + reader.tier.step_seconds + moment.stale_after_seconds
            return moment if time <= fresh_until else None
        return None

    def event(self, number: int) -> Event | None:
        """The event with this id; None where there is none."""
        found = self.events_after(number - 1, 1)
        return found[0].event if found and found[0].id == number else None

    def moment_of_event(self, number: int, viewer_uid: int | None) -> Moment | None:
        """The moment of an event itself: the last reading before it, with the process that was refused memory as its
        own agent saw it then, where this viewer may see that. None where nothing is left of it."""
        event = self.event(number)
        before = None if event is None else self.moment_at(event.timestamp)
        return None if event is None or before is None else at_refusal(before, visible_event(event, viewer_uid))

    def moments(self, since: float, until: float) -> Iterator[Moment]:
        """All that are kept of a range, oldest first: one an hour, then one a minute, at last every single one."""
        finer_from = [first for reader in self._tiers[:-1] if (first := reader.first()) is not None]
        end = until
        parts: list[tuple[TierReader, float, float]] = []
        for place, reader in enumerate(self._tiers):
            first = reader.first()
            if first is None or first > end:
                continue
            parts.append((reader, max(since, first), end))
            end = min((*finer_from[: place + 1], end)) - 1e-6
        for reader, start, stop in reversed(parts):
            for frame in reader.frames(start, stop):
                moment = moment_of(frame)
                if moment is not None:
                    yield moment

    def each_event(self, since: float, until: float) -> Iterator[Event]:
        """All events of a range, oldest first, each as it is read."""
        return self._events.each(since, until)

    def events(
        self,
        since: float | None = None,
        until: float | None = None,
        kind: str | Collection[str] | None = None,
        limit: int = EVENTS_MAX,
        *,
        gpus: Collection[str] | None = None,
        light: bool = False,
        viewer_uid: int | None = None,
    ) -> list[RecordedEvent]:
        """The newest `limit` events of a range, of some kinds and GPUs (UUIDs), oldest first; `light`: as in a list, as
        are refusals that a viewer does not see, and those beyond what may be whole at once."""
        kinds = {kind} if isinstance(kind, str) else kind
        start, end = FOREVER
        return self._events.between(
            start if since is None else since,
            end if until is None else until,
            kinds,
            min(limit, EVENTS_MAX),
            gpus=gpus,
            light=light,
            viewer_uid=viewer_uid,
        )

    def _state(self, until: float) -> Hashable | None:
        """Which chunks there are, and which version of them where they begin by `until`; what was skipped counts, too,
        so that no answer is kept that had to skip something. None where a version cannot be told."""
        found: list[Hashable] = [self.damaged]
        for reader in self._tiers:
            for chunk in chunk_files(self._directory, reader.tier.name):
                version = self._chunks.version(chunk.path) if chunk.start <= until else ()
                if version is None:
                    return None
                found.append((chunk.path, version))
        return tuple(found)

    def events_after(self, number: int, limit: int = EVENTS_MAX, *, light: bool = False) -> list[RecordedEvent]:
        """The oldest `limit` events with ids above `number`, or fewer where they are large; `light`: as in a list."""
        return self._events.after(number, min(limit, EVENTS_MAX), light=light)


def _is_small(history: History) -> bool:
    return sum(len(one.points) for one in history.series) <= POINTS_KEPT_MAX


def _only(metric: str | None) -> tuple[str, ...] | None:
    return None if metric is None else (metric,)
