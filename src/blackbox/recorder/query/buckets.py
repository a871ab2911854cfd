"""One series, cut into buckets of equal length: the points of a chart."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice, pairwise, repeat
from operator import lt, mul
from typing import NamedTuple, TypeVar

from blackbox.model.query import Number, Point
from blackbox.model.series import Metric
from blackbox.recorder.storage.columns import StoredColumn
from blackbox.recorder.storage.layout import COUNT, MAX, MEAN, MIN, SeriesKey
from blackbox.recorder.storage.rows import Run

T = TypeVar("T")


class RunSlice(NamedTuple):
    """The wanted part of a run."""

    run: Run
    rolled: bool
    """Its rows are roll-ups."""
    rows: Sequence[int]
    """Of the run, in order; a range where they lie beside each other."""
    places: list[tuple[SeriesKey, int]]
    """The wanted series, and where they stand in the layout."""

    def stored_columns(self) -> Iterable[Sequence[StoredColumn | None]]:
        """Of each wanted series: that of its numbers, or those of its least, mean, largest and count."""
        width = self.run.layout.width if self.rolled else 0
        each = [one * width for one in (MIN, MEAN, MAX, COUNT)] if self.rolled else [0]
        stored = iter(self.run.stored_columns([shift + place for _, place in self.places for shift in each]))
        return zip(*repeat(stored, len(each)), strict=True)


class BucketRows:
    """The wanted rows of a run by bucket: the same for all its series. A bucket may occur again where times are in no
    order.

    Weights are kept as long as it is: they depend on nothing else.
    """

    __slots__ = ("_even", "_weights", "lengths", "places", "slices")

    def __init__(self, places: list[int], slices: list[slice]) -> None:
        self.places = places
        """Numbers of the buckets since 1970."""
        self.slices = slices
        """Of each bucket, the rows that fall into it."""
        self.lengths = [one.stop - one.start for one in slices]
        """How many these are."""
        self._even = _is_even(slices, self.lengths)
        self._weights: dict[float, list[float]] = {}

    def parts(self, column: Sequence[T]) -> Iterable[Sequence[T]]:
        """What a column has of each bucket."""
        if not self._even:
            return map(column.__getitem__, self.slices)
        rows = iter(column[self.slices[0].start : self.slices[-1].stop])
        return zip(*repeat(rows, self.lengths[0]), strict=True)

    def weights(self, count: float) -> list[float]:
        """How many samples each bucket is of, where every row is of so many."""
        known = self._weights.get(count)
        if known is None:
            known = self._weights[count] = [length * count for length in self.lengths]
        return known


def _is_even(slices: Sequence[slice], lengths: Sequence[int]) -> bool:
    """Whether buckets are of equally many rows, each beginning where the one before it ends."""
    return len(set(lengths)) == 1 and all(one.stop == later.start for one, later in pairwise(slices))


def bucket_rows(part: RunSlice, step: float) -> BucketRows:
    """The rows of a part by bucket."""
    rows = part.rows
    spans = (
        _spans_in_order(part.run, rows, step) if isinstance(rows, range) and part.run.in_order else _spans(part, step)
    )
    found = list(spans)
    return BucketRows([place for place, _, _ in found], [slice(start, end) for _, start, end in found])


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

    def add(
        self, key: SeriesKey, part: RunSlice, place: int, stored: Sequence[StoredColumn | None], rows: BucketRows
    ) -> None:
        """Takes the series at `place` of a part, whose rows are `rows` by bucket, and its columns as they are
        `stored`."""
        self.key = key
        if part.rolled:
            self._add_summaries(part.run, place, stored, rows)
        else:
            self._add_samples(part.run, place, stored[0], rows)

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
            numbers = map(float, low), map(round, means, repeat(metric.decimals)), map(float, high)
        if places and span.start == places[0] and span.stop == places[-1] + 1 == span.start + len(places):
            return PointColumns(*map(list, numbers))  # each of them has a sample
        return PointColumns(*(list(map(dict(zip(places, column, strict=True)).get, span)) for column in numbers))

    def _add_samples(self, run: Run, place: int, stored: StoredColumn | None, rows: BucketRows) -> None:
        if stored is not None and stored.is_whole:
            self._extend(rows.places, *_whole_samples(stored, rows), rows.weights(1))
            return
        places, column = rows.places, _numbers(run, place, stored)
        parts = [column[one] for one in rows.slices]
        if math.isnan(sum(column)):  # one of them was not measured
            measured = [[sample for sample in part if sample == sample] for part in parts]
            places = [place for place, part in zip(places, measured, strict=True) if part]
            parts = [part for part in measured if part]
        self._extend(places, map(min, parts), map(sum, parts), map(max, parts), map(len, parts))

    def _add_summaries(self, run: Run, place: int, stored: Sequence[StoredColumn | None], rows: BucketRows) -> None:
        found = _whole_summaries(stored, rows)
        if found is not None:
            self._extend(rows.places, *found)
            return
        shifts = [one * run.layout.width + place for one in (MIN, MEAN, MAX, COUNT)]
        columns: Sequence[Sequence[float]] = [_numbers(run, *one) for one in zip(shifts, stored, strict=True)]
        if math.isnan(sum(map(sum, columns))) or min(columns[-1], default=0) <= 0:
            rows, columns = _measured(rows, columns)
        low, mean, high, count = columns
        total = list(map(mul, mean, count))
        self._extend(
            rows.places,
            map(min, rows.parts(low)),
            map(sum, rows.parts(total)),
            map(max, rows.parts(high)),
            map(sum, rows.parts(count)),
        )

    def _extend(
        self,
        places: Sequence[int],
        low: Iterable[float],
        total: Iterable[float],
        high: Iterable[float],
        weight: Iterable[float],
    ) -> None:
        known = self._buckets
        if known.places and places and known.places[-1] == places[0]:  # a bucket goes on behind the end of a run
            low, total, high, weight = map(iter, (low, total, high, weight))
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


def _numbers(run: Run, index: int, stored: StoredColumn | None) -> Sequence[float]:
    return run.column(index) if stored is None else stored.numbers()


def _whole_samples(stored: StoredColumn, rows: BucketRows) -> tuple[Iterable[float], Iterable[float], Iterable[float]]:
    """Least, sum and largest of each bucket, of a whole column."""
    first, step = stored.head.first, stored.head.step
    if not step:
        return (
            repeat(first, len(rows.places)),
            map(mul, repeat(first), rows.lengths),
            repeat(first, len(rows.places)),
        )
    parts = list(rows.parts(stored.moves()))
    total = [first * length + step * moved for length, moved in zip(rows.lengths, map(sum, parts), strict=True)]
    return (
        [first + step * moved for moved in map(min, parts)],
        total,
        [first + step * moved for moved in map(max, parts)],
    )


def _whole_summaries(
    stored: Sequence[StoredColumn | None], rows: BucketRows
) -> tuple[Iterable[float], Iterable[float], Iterable[float], Iterable[float]] | None:
    """Least, sum, largest and weight of each bucket; None where not all numbers are whole, or some row is of no
    sample."""
    low, mean, high, count = stored
    if not (low and low.is_whole and mean and mean.is_whole and high and high.is_whole and count and count.is_whole):
        return None
    of_each = count.steady
    if of_each is not None:
        ends = _ends(low, min, rows), _sums(mean, rows, of_each), _ends(high, max, rows)
        return (*ends, rows.weights(of_each)) if of_each > 0 else None
    counts = count.numbers()
    if min(counts) <= 0:
        return None
    total = list(map(mul, mean.numbers(), counts))
    return _ends(low, min, rows), map(sum, rows.parts(total)), _ends(high, max, rows), map(sum, rows.parts(counts))


def _ends(stored: StoredColumn, end: Callable[[Sequence[int]], int], rows: BucketRows) -> Iterable[int]:
    """Least or largest of each bucket, of a whole column."""
    first, step = stored.head.first, stored.head.step
    if not step:
        return repeat(first, len(rows.places))
    return [first + step * moved for moved in map(end, rows.parts(stored.moves()))]


def _sums(stored: StoredColumn, rows: BucketRows, count: float) -> Iterable[float]:
    """The sum of each bucket, of a whole column in which each row stands for so many samples."""
    first, step = stored.head.first, stored.head.step
    if not step:
        return map(mul, repeat(first), rows.weights(count))
    moved = map(sum, rows.parts(stored.moves()))
    return [(first * length + step * one) * count for length, one in zip(rows.lengths, moved, strict=True)]


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
    return BucketRows(places, slices), list(zip(*kept, strict=True)) if kept else [()] * len(columns)


def number(value: float, metric: Metric) -> Number:
    """A measured number, an integer where it counts bytes."""
    return int(value) if metric.decimals == 0 else value


def rounded_mean(mean: float, metric: Metric) -> Number:
    """A mean, as fine as it is worth."""
    return round(mean) if metric.decimals == 0 else round(mean, metric.decimals)
