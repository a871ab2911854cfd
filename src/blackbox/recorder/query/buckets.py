"""One series, cut into buckets of equal length: the points of a chart."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice, repeat
from operator import lt, mul
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
    """Of the run, in order; a range where they lie beside each other."""
    places: list[tuple[SeriesKey, int]]
    """The wanted series, and where they stand in the layout."""


class BucketRows(NamedTuple):
    """The wanted rows of a run by bucket. A bucket may occur again where times are in no order."""

    places: list[int]
    """Numbers of the buckets since 1970."""
    slices: list[slice]
    """Of each bucket, the rows that fall into it."""


def bucket_rows(part: RunSlice, step: float) -> BucketRows:
    """The rows of a part by bucket: the same for all its series."""
    found = BucketRows([], [])
    rows = part.rows
    spans = (
        _spans_in_order(part.run, rows, step) if isinstance(rows, range) and part.run.in_order else _spans(part, step)
    )
    for place, start, end in spans:
        found.places.append(place)
        found.slices.append(slice(start, end))
    return found


def _spans_in_order(run: Run, rows: range, step: float) -> Iterator[tuple[int, int, int]]:
    times, start, stop = run.times, rows.start, rows.stop
    while start < stop:
        place = math.floor(times[start] / step)
        end = bisect_left(times, (place + 1) * step, start, stop)
        while end < stop and math.floor(times[end] / step) == place:  # the product is rounded
            end += 1
        while math.floor(times[end - 1] / step) > place:
            end -= 1
        yield place, start, end
        start = end


def _spans(part: RunSlice, step: float) -> Iterator[tuple[int, int, int]]:
    times = part.run.times
    # a row and its number within `rows` differ by the same as long as rows lie beside each other
    grouped = groupby(enumerate(part.rows), lambda one: (math.floor(times[one[1]] / step), one[1] - one[0]))
    for (place, _), numbered in grouped:
        rows = [row for _, row in numbered]
        yield place, rows[0], rows[-1] + 1


class Buckets(NamedTuple):
    """What is known of buckets, one element each: plain lists, since a chart of everybody has ten thousands."""

    places: list[int]
    """Their numbers since 1970."""
    low: list[float]
    total: list[float]
    """Sum of their samples."""
    high: list[float]
    weight: list[float]
    """How many samples."""

    @classmethod
    def none(cls) -> "Buckets":
        """None yet."""
        return cls([], [], [], [], [])

    def merged(self) -> "Buckets":
        """Each bucket once, in order."""
        places = self.places
        if all(map(lt, places, islice(places, 1, None))):
            return self
        found = Buckets.none()
        for one in sorted(range(len(places)), key=places.__getitem__):
            if found.places and found.places[-1] == places[one]:
                found.low[-1] = min(found.low[-1], self.low[one])
                found.total[-1] += self.total[one]
                found.high[-1] = max(found.high[-1], self.high[one])
                found.weight[-1] += self.weight[one]
            else:
                found.places.append(places[one])
                found.low.append(self.low[one])
                found.total.append(self.total[one])
                found.high.append(self.high[one])
                found.weight.append(self.weight[one])
        return found


class PointColumns(NamedTuple):
    """Bucket -> its number, rounded as the metric is."""

    low: Mapping[int, Number]
    mean: Mapping[int, Number]
    high: Mapping[int, Number]


class TimeBuckets:
    """Takes the slices of one series in any order."""

    key: SeriesKey
    """The newest one seen."""

    def __init__(self) -> None:
        self._buckets = Buckets.none()

    def __bool__(self) -> bool:
        return bool(self._buckets.places)

    @property
    def peak(self) -> float:
        """Its largest number."""
        return max(self._buckets.high)

    def span(self) -> range:
        """From the first bucket with a sample to the last."""
        places = self._buckets.places
        return range(min(places), max(places) + 1)

    def add(self, key: SeriesKey, part: RunSlice, place: int, rows: BucketRows) -> None:
        """Takes the series at `place` of a part, whose rows are `rows` by bucket."""
        self.key = key
        if part.rolled:
            self._add_summaries(part, place, rows)
        else:
            self._add_samples(part.run.column(place), rows)

    def points(self, starts: Mapping[int, float]) -> list[Point]:
        """From the first bucket with a sample to the last; `starts`: bucket -> Unix seconds."""
        low, mean, high = self.columns()
        span = self.span()
        start = map(starts.__getitem__, span)
        return list(zip(start, map(low.get, span), map(mean.get, span), map(high.get, span), strict=True))

    def columns(self) -> PointColumns:
        """Least, mean and largest of each bucket that has a sample."""
        places, low, total, high, count = self._buckets.merged()
        metric = self.key.metric
        means = [of_bucket / samples for of_bucket, samples in zip(total, count, strict=True)]
        if metric.decimals == 0:
            numbers: tuple[Iterator[Number], ...] = map(int, low), map(round, means), map(int, high)
        else:
            numbers = iter(low), map(round, means, repeat(metric.decimals)), iter(high)
        return PointColumns(*(dict(zip(places, column, strict=True)) for column in numbers))

    def _add_samples(self, column: Sequence[float], rows: BucketRows) -> None:
        places, slices = rows
        parts = list(map(column.__getitem__, slices))
        if math.isnan(sum(column)):  # one of them was not measured
            measured = [[sample for sample in part if sample == sample] for part in parts]
            places = [place for place, part in zip(places, measured, strict=True) if part]
            parts = [part for part in measured if part]
        self._extend(places, map(min, parts), map(sum, parts), map(max, parts), map(len, parts))

    def _add_summaries(self, part: RunSlice, place: int, rows: BucketRows) -> None:
        width = part.run.layout.width
        low, mean, high, count = (part.run.column(one * width + place) for one in (MIN, MEAN, MAX, COUNT))
        if math.isnan(sum(low) + sum(mean) + sum(high) + sum(count)) or min(count, default=0) <= 0:
            rows, (low, mean, high, count) = _measured(rows, (low, mean, high, count))
        slices = rows.slices
        total = list(map(mul, mean, count))
        self._extend(
            rows.places,
            map(min, map(low.__getitem__, slices)),
            map(sum, map(total.__getitem__, slices)),
            map(max, map(high.__getitem__, slices)),
            map(sum, map(count.__getitem__, slices)),
        )

    def _extend(
        self,
        places: Sequence[int],
        low: Iterator[float],
        total: Iterator[float],
        high: Iterator[float],
        weight: Iterator[float],
    ) -> None:
        known = self._buckets
        if known.places and places and known.places[-1] == places[0]:  # a bucket goes on behind the end of a run
            places = places[1:]
            known.low[-1] = min(known.low[-1], next(low))
            known.total[-1] += next(total)
            known.high[-1] = max(known.high[-1], next(high))
            known.weight[-1] += next(weight)
        known.places.extend(places)
        known.low.extend(low)
        known.total.extend(total)
        known.high.extend(high)
        known.weight.extend(weight)


def _measured(rows: BucketRows, columns: Sequence[Sequence[float]]) -> tuple[BucketRows, Sequence[Sequence[float]]]:
    """The rows of roll-ups that have samples, and the columns of these rows alone."""
    places: list[int] = []
    slices: list[slice] = []
    kept: list[tuple[float, ...]] = []
    for place, one in zip(*rows, strict=True):
        parts = zip(*(column[one] for column in columns), strict=True)
        found = [row for row in parts if row[-1] > 0 and not math.isnan(sum(row))]
        if found:
            places.append(place)
            slices.append(slice(len(kept), len(kept) + len(found)))
            kept += found
    return BucketRows(places, slices), list(zip(*kept, strict=True)) if kept else [()] * len(columns)


def number(value: float, metric: Metric) -> Number:
    """A measured number, an integer where it counts bytes."""
    return int(value) if metric.decimals == 0 else value


def rounded_mean(mean: float, metric: Metric) -> Number:
    """A mean, as fine as it is worth."""
    return round(mean) if metric.decimals == 0 else round(mean, metric.decimals)
