"""One series, cut into buckets of equal length: the points of a chart."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from blackbox.model.query import Number, Point
from blackbox.model.series import Metric
from blackbox.recorder.storage.layout import COUNT, MAX, MEAN, MIN, SeriesKey
from blackbox.recorder.storage.rows import Run


class RunSlice(NamedTuple):
    """The wanted part of a run."""

    run: Run
    rolled: bool
    """Its rows are roll-ups."""
    rows: Sequence[int]
    places: list[tuple[SeriesKey, int]]
    """The wanted series, and where they stand in the layout."""


class Bucket:
    """What is known of one bucket."""

    __slots__ = ("count", "max", "min", "total")

    def __init__(self) -> None:
        self.min = math.inf
        self.total = 0.0
        self.max = -math.inf
        self.count = 0.0

    def add(self, low: float, mean: float, high: float, count: float) -> None:
        """Takes `count` samples in one."""
        self.min = min(self.min, low)
        self.total += mean * count
        self.max = max(self.max, high)
        self.count += count


class TimeBuckets:
    """Takes the slices of one series in any order."""

    key: SeriesKey
    """The newest one seen."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._buckets: dict[int, Bucket] = {}
        """By number since 1970."""

    def __bool__(self) -> bool:
        return bool(self._buckets)

    @property
    def peak(self) -> float:
        """Its largest number."""
        return max(bucket.max for bucket in self._buckets.values())

    def add(self, key: SeriesKey, part: RunSlice, place: int) -> None:
        """Takes the series at `place` of a part."""
        self.key = key
        if part.rolled:
            self._add_summaries(part, place)
        else:
            self._add_samples(part, place)

    def points(self) -> list[Point]:
        """From the first bucket with a sample to the last."""
        first, last = min(self._buckets), max(self._buckets)
        return [self._point(place) for place in range(first, last + 1)]

    def bucket_at(self, place: int) -> Bucket | None:
        """That of the time `place * step`; None where nothing was measured then."""
        return self._buckets.get(place)

    def _add_samples(self, part: RunSlice, place: int) -> None:
        times, column = part.run.times, part.run.column(place)
        for row in part.rows:
            sample = column[row]
            if sample == sample:
                self._bucket(times[row]).add(sample, sample, sample, 1)

    def _add_summaries(self, part: RunSlice, place: int) -> None:
        times, width = part.run.times, len(part.run.layout.keys)
        low, mean, high, count = (part.run.column(one * width + place) for one in (MIN, MEAN, MAX, COUNT))
        for row in part.rows:
            if count[row] > 0:
                self._bucket(times[row]).add(low[row], mean[row], high[row], count[row])

    def _bucket(self, time: float) -> Bucket:
        place = math.floor(time / self._step)
        found = self._buckets.get(place)
        if found is None:
            found = self._buckets[place] = Bucket()
        return found

    def _point(self, place: int) -> Point:
        start = round(place * self._step, 3)
        bucket = self._buckets.get(place)
        if bucket is None:
            return start, None, None, None
        metric = self.key.metric
        mean = bucket.total / bucket.count
        return start, number(bucket.min, metric), rounded_mean(mean, metric), number(bucket.max, metric)


def number(value: float, metric: Metric) -> Number:
    """A measured number, an integer where it counts bytes."""
    return int(value) if metric.decimals == 0 else value


def rounded_mean(mean: float, metric: Metric) -> Number:
    """A mean, as fine as it is worth."""
    return round(mean) if metric.decimals == 0 else round(mean, metric.decimals)
