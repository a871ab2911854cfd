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
    lengths: list[int]
    """How many these are."""

    def sums_of(self, number: float) -> Iterator[float]:
        """The sum of each bucket where every row has the number: as adding them up one by one makes it."""
        sums = {length: sum(repeat(number, length)) for length in set(self.lengths)}
        return map(sums.__getitem__, self.lengths)


def bucket_rows(part: RunSlice, step: float) -> BucketRows:
    """The rows of a part by bucket: the same for all its series."""
    found = BucketRows([], [], [])
    rows = part.rows
    spans = (
        _spans_in_order(part.run, rows, step) if isinstance(rows, range) and part.run.in_order else _spans(part, step)
    )
    for place, start, end in spans:
        found.places.append(place)
        found.slices.append(slice(start, end))
        found.lengths.append(end - start)
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
    """Least, mean and largest of buckets beside each other, rounded as the metric is; None of those without a
    sample."""

    low: list[Number | None]
    mean: list[Number | None]
    high: list[Number | None]


class TimeBuckets:
    """Takes the slices of one series in any order."""

    __slots__ = ("_buckets", "key")  # an answer about thousands of short processes has several times as many of them
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
        span = self.span()
        return list(zip(map(starts.__getitem__, span), *self.columns(span), strict=True))

    def columns(self, span: range) -> PointColumns:
        """Of each bucket of a range."""
        places, low, total, high, count = self._buckets.merged()
        metric = self.key.metric
        means = [of_bucket / samples for of_bucket, samples in zip(total, count, strict=True)]
        if metric.decimals == 0:
            numbers: tuple[Iterator[Number | None], ...] = map(int, low), map(round, means), map(int, high)
        else:
            numbers = iter(low), map(round, means, repeat(metric.decimals)), iter(high)
        if places and span.start == places[0] and span.stop == places[-1] + 1 == span.start + len(places):
            return PointColumns(*map(list, numbers))  # each of them has a sample
        return PointColumns(*(list(map(dict(zip(places, column, strict=True)).get, span)) for column in numbers))

    def _add_samples(self, column: Sequence[float], rows: BucketRows) -> None:
        places, slices, _ = rows
        parts = list(map(column.__getitem__, slices))
        if math.isnan(sum(column)):  # one of them was not measured
            measured = [[sample for sample in part if sample == sample] for part in parts]
            places = [place for place, part in zip(places, measured, strict=True) if part]
            parts = [part for part in measured if part]
        self._extend(places, map(min, parts), map(sum, parts), map(max, parts), map(len, parts))

    def _add_summaries(self, part: RunSlice, place: int, rows: BucketRows) -> None:
        run, width = part.run, part.run.layout.width
        low, mean, high, count = (one * width + place for one in (MIN, MEAN, MAX, COUNT))
        steady_count, steady_mean = run.steady(count), run.steady(mean)
        if steady_count is None or steady_count <= 0:
            self._add_mixed(rows, [run.column(one) for one in (low, mean, high, count)])
            return
        if steady_mean is not None:
            steady_low, steady_high = run.steady(low), run.steady(high)
            if steady_low is not None and steady_high is not None:
                weight, buckets = rows.sums_of(steady_count), len(rows.places)
                total = rows.sums_of(steady_mean * steady_count)
                self._extend(rows.places, repeat(steady_low, buckets), total, repeat(steady_high, buckets), weight)
                return
        columns = run.column(low), run.column(mean), run.column(high)
        if math.isnan(sum(map(sum, columns))):
            self._add_mixed(rows, [*columns, [steady_count] * len(run.times)])
        else:
            total = list(map(mul, columns[1], repeat(steady_count)))
            self._add_measured(rows, columns[0], total, columns[2], rows.sums_of(steady_count))

    def _add_mixed(self, rows: BucketRows, columns: Sequence[Sequence[float]]) -> None:
        """Takes roll-ups, of which some may be of no sample: least, mean, largest and count."""
        if math.isnan(sum(map(sum, columns))) or min(columns[-1], default=0) <= 0:
            rows, columns = _measured(rows, columns)
        low, mean, high, count = columns
        weight = map(sum, map(count.__getitem__, rows.slices))
        self._add_measured(rows, low, list(map(mul, mean, count)), high, weight)

    def _add_measured(
        self,
        rows: BucketRows,
        low: Sequence[float],
        total: Sequence[float],
        high: Sequence[float],
        weight: Iterator[float],
    ) -> None:
        slices = rows.slices
        self._extend(
            rows.places,
            map(min, map(low.__getitem__, slices)),
            map(sum, map(total.__getitem__, slices)),
            map(max, map(high.__getitem__, slices)),
            weight,
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
    for place, one in zip(rows.places, rows.slices, strict=True):
        parts = zip(*(column[one] for column in columns), strict=True)
        found = [row for row in parts if row[-1] > 0 and not math.isnan(sum(row))]
        if found:
            places.append(place)
            slices.append(slice(len(kept), len(kept) + len(found)))
            kept += found
    lengths = [one.stop - one.start for one in slices]
    return BucketRows(places, slices, lengths), list(zip(*kept, strict=True)) if kept else [()] * len(columns)


def number(value: float, metric: Metric) -> Number:
    """A measured number, an integer where it counts bytes."""
    return int(value) if metric.decimals == 0 else value


def rounded_mean(mean: float, metric: Metric) -> Number:
    """A mean, as fine as it is worth."""
    return round(mean) if metric.decimals == 0 else round(mean, metric.decimals)
