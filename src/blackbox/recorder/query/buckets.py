"""One series, cut into buckets of equal length: the points of a chart."""

import math
from collections.abc import Sequence
from itertools import groupby
from operator import mul
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


class BucketRows(NamedTuple):
    """Rows beside each other in a run that fall into one bucket."""

    place: int
    """The bucket's number since 1970."""
    start: int
    end: int


def bucket_rows(part: RunSlice, step: float) -> list[BucketRows]:
    """The rows of a part by bucket: the same for all its series."""
    times = part.run.times
    # a row and its number within `rows` differ by the same as long as rows lie beside each other
    grouped = groupby(enumerate(part.rows), lambda one: (math.floor(times[one[1]] / step), one[1] - one[0]))
    found: list[BucketRows] = []
    for (place, _), numbered in grouped:
        rows = [row for _, row in numbered]
        found.append(BucketRows(place, rows[0], rows[-1] + 1))
    return found


class Bucket:
    """What is known of one bucket."""

    __slots__ = ("count", "max", "min", "total")

    def __init__(self) -> None:
        self.min = math.inf
        self.total = 0.0
        self.max = -math.inf
        self.count = 0.0

    def add_samples(self, samples: Sequence[float]) -> None:
        """Takes samples, at least one."""
        self.min = min(self.min, min(samples))
        self.total = sum(samples, self.total)
        self.max = max(self.max, max(samples))
        self.count += len(samples)

    def add_summaries(
        self, low: Sequence[float], mean: Sequence[float], high: Sequence[float], count: Sequence[float]
    ) -> None:
        """Takes roll-ups, at least one, each of some samples."""
        self.min = min(self.min, min(low))
        self.total = sum(map(mul, mean, count), self.total)
        self.max = max(self.max, max(high))
        self.count = sum(count, self.count)


class TimeBuckets:
    """Takes the slices of one series in any order."""

    key: SeriesKey
    """The newest one seen."""

    def __init__(self) -> None:
        self._buckets: dict[int, Bucket] = {}
        """By number since 1970."""

    def __bool__(self) -> bool:
        return bool(self._buckets)

    @property
    def peak(self) -> float:
        """Its largest number."""
        return max(bucket.max for bucket in self._buckets.values())

    def add(self, key: SeriesKey, part: RunSlice, place: int, rows: Sequence[BucketRows]) -> None:
        """Takes the series at `place` of a part, whose rows are `rows` by bucket."""
        self.key = key
        if part.rolled:
            self._add_summaries(part, place, rows)
        else:
            self._add_samples(part.run.column(place), rows)

    def points(self, step: float) -> list[Point]:
        """From the first bucket with a sample to the last; `step`: their length in seconds."""
        first, last = min(self._buckets), max(self._buckets)
        return [self._point(place, step) for place in range(first, last + 1)]

    def bucket_at(self, place: int) -> Bucket | None:
        """That of the time `place * step`; None where nothing was measured then."""
        return self._buckets.get(place)

    def _add_samples(self, column: Sequence[float], rows: Sequence[BucketRows]) -> None:
        for place, start, end in rows:
            samples = column[start:end]
            if math.isnan(sum(samples)):  # one of them was not measured
                samples = [sample for sample in samples if sample == sample]
            if samples:
                self._bucket(place).add_samples(samples)

    def _add_summaries(self, part: RunSlice, place: int, rows: Sequence[BucketRows]) -> None:
        width = len(part.run.layout.keys)
        columns = [part.run.column(one * width + place) for one in (MIN, MEAN, MAX, COUNT)]
        for number, start, end in rows:
            low, mean, high, count = (column[start:end] for column in columns)
            if not all(samples > 0 for samples in count):
                kept = [row for row in zip(low, mean, high, count, strict=True) if row[3] > 0]
                if not kept:
                    continue
                low, mean, high, count = zip(*kept, strict=True)
            self._bucket(number).add_summaries(low, mean, high, count)

    def _bucket(self, place: int) -> Bucket:
        found = self._buckets.get(place)
        if found is None:
            found = self._buckets[place] = Bucket()
        return found

    def _point(self, place: int, step: float) -> Point:
        start = round(place * step, 3)
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
