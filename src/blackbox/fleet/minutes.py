"""The closed minutes of a recording: their roll-ups, and the moment that each keeps.

Only the tier of minutes is read, which never changes once a minute is written: whoever reads twice reads the same.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from operator import mul
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from blackbox.fleet.schema import SUBJECT_METRICS
from blackbox.model.moment import Moment
from blackbox.model.query import Number
from blackbox.model.series import Metric
from blackbox.recorder.query.buckets import number, rounded_mean
from blackbox.recorder.storage.frames import moment_of
from blackbox.recorder.storage.layout import COUNT, MAX, MEAN, MIN, Layout
from blackbox.recorder.storage.rows import Run
from blackbox.recorder.storage.subjects import Subject
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tiers import FULL, MINUTE, MINUTE_SECONDS, period_start

WRITING_SECONDS_MAX = 60.0
"""After the end of a minute, until it is written."""
KEPT = (MIN, MEAN, MAX, COUNT)
"""Statistics of a minute's row that its numbers are made of."""
Statistics = tuple[Number, Number, Number]
"""The least, the mean and the most of a minute."""


class ClosedMinute(Struct, frozen=True):
    """What is shipped of one minute."""

    start: float
    """Unix seconds."""
    numbers: dict[Subject, dict[str, Statistics]]
    """Subject -> key of the metric -> its numbers."""
    moment: Moment | None
    """Its last; None where that is damaged."""


class ClosedMinutes:
    """Reads a recording, live or not. Damage is skipped, never raised."""

    def __init__(self, directory: Path) -> None:
        self._minutes = TierReader(directory, MINUTE)
        self._moments = TierReader(directory, FULL)

    def first(self) -> float | None:
        """Start of the oldest minute that is kept."""
        return self._minutes.first()

    def recorded_until(self) -> float | None:
        """The newest moment."""
        times = [time for reader in (self._moments, self._minutes) if (time := reader.last()) is not None]
        return max(times, default=None)

    def closed_until(self, now: float) -> float | None:
        """End of the last closed minute: a minute is written before the first moment of the next one is. What a clock
        recorded that was wrong, and lies in the future, closes none."""
        newest = self.recorded_until()
        if newest is not None and newest > now:
            newest = max(filter(None, (self._moments.last(now), self._minutes.last(now))), default=None)
        if newest is not None and newest > now:  # in the same chunk
            newest = now - WRITING_SECONDS_MAX
        return None if newest is None else period_start(newest, MINUTE_SECONDS)

    def next_start(self, since: float, until: float) -> float | None:
        """Start of the first minute in a range."""
        for run in self._minutes.runs(since, until):
            found = [time for time in run.times if since <= time < until]
            if found:
                return min(found)
        return None

    def read(self, since: float, until: float) -> Iterator[ClosedMinute]:
        """The minutes that begin in a range of whole minutes, oldest first; one is made at a time."""
        rows = self._rows(since, until)
        frames = {period_start(frame.time, MINUTE_SECONDS): frame for frame in self._minutes.frames(since, until)}
        for start in sorted(rows):
            yield ClosedMinute(start, _numbers(rows.pop(start)), moment_of(frames.pop(start, None)))

    def _rows(self, since: float, until: float) -> "dict[float, list[_MinuteRow]]":
        found: dict[float, list[_MinuteRow]] = {}
        for run in self._minutes.runs(since, until):
            for start, row in _rows_of(run, since, until):
                found.setdefault(start, []).append(row)
        return found


class _MinuteRow(NamedTuple):
    """The numbers of one row, without objects: five minutes of hundreds of processes are tens of thousands."""

    layout: Layout
    values: "array[float]"
    """Of each series in turn its `KEPT` statistics; NaN where nothing was measured."""


def _rows_of(run: Run, since: float, until: float) -> list[tuple[float, _MinuteRow]]:
    """The rows of a run that begin in the range. Each column is decoded once."""
    places = [place for place, start in enumerate(run.times) if since <= start < until]
    if not places:
        return []
    width = run.layout.width
    found = [array("d", [math.nan]) * (len(KEPT) * width) for _ in places]
    for series, _ in _shipped(run.layout):
        counts = run.column(COUNT * width + series)
        for offset, statistic in enumerate(KEPT):
            column = run.column(statistic * width + series)
            for values, place in zip(found, places, strict=True):
                if not math.isnan(counts[place]):
                    values[len(KEPT) * series + offset] = column[place]
    return [(run.times[place], _MinuteRow(run.layout, values)) for place, values in zip(places, found, strict=True)]


def _shipped(layout: Layout) -> Iterator[tuple[int, tuple[Subject, Metric]]]:
    """Place and name of each series that has columns in the tables."""
    place = 0
    for subject in layout.subjects:
        wanted = SUBJECT_METRICS.get(subject.kind, {})
        for metric in layout.metrics_of(subject):
            if metric.key in wanted:
                yield place, (subject, metric)
            place += 1


def _numbers(rows: Sequence[_MinuteRow]) -> dict[Subject, dict[str, Statistics]]:
    """Of whom: as it was called last. What was renamed within the minute, or went on after a restart, is one."""
    subjects: dict[object, Subject] = {}
    found: dict[object, dict[str, Statistics]] = {}
    parts: dict[object, list[Sequence[float]]] = {}
    for layout, values in rows:
        for place, (subject, metric) in _shipped(layout):
            part = values[len(KEPT) * place : len(KEPT) * (place + 1)]
            if all(map(math.isfinite, part)):  # no column is damaged
                who = _identity(subject)
                subjects[who] = subject
                of_series = parts.setdefault((who, metric.key), [])
                of_series.append(part)
                found.setdefault(who, {})[metric.key] = _together(of_series, metric)
    return {subjects[who]: numbers for who, numbers in found.items()}


def _identity(subject: Subject) -> object:
    start_ms = None if subject.start_time is None else round(subject.start_time * 1000)
    return subject.kind, subject.gpu_uuid, subject.pid, start_ms, subject.engine


def _together(parts: Sequence[Sequence[float]], metric: Metric) -> Statistics:
    """Numbers of parts of a minute as those of all of it."""
    leasts, means, mosts, counts = zip(*parts, strict=True)
    mean = means[0] if len(parts) == 1 else sum(map(mul, means, counts)) / sum(counts)
    return number(min(leasts), metric), rounded_mean(mean, metric), number(max(mosts), metric)
