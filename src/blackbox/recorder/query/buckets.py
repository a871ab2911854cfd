"""One series, cut into stretches of equal length: the points of a chart."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from blackbox.model.query import Number, Point
from blackbox.model.series import Metric
from blackbox.recorder.storage.layout import COUNT, MAX, MEAN, MIN, SeriesKey
from blackbox.recorder.storage.rows import Run


class Piece(NamedTuple):
    """The wanted part of a run."""

    run: Run
    rolled: bool
    """Its rows are roll-ups."""
    rows: Sequence[int]
    places: list[tuple[SeriesKey, int]]
    """The wanted series, and where they stand in the layout."""


class Stretch:
    """What is known of one stretch."""

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


class Stretches:
    """Takes the pieces of one series in any order."""

    key: SeriesKey
    """The newest one seen."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._stretches: dict[int, Stretch] = {}
        """By number since 1970."""

    def __bool__(self) -> bool:
        return bool(self._stretches)

    @property
    def peak(self) -> float:
        """Its largest number."""
        return max(stretch.max for stretch in self._stretches.values())

    def add(self, key: SeriesKey, piece: Piece, place: int) -> None:
        """Takes the series at `place` of a piece."""
        self.key = key
        if piece.rolled:
            self._add_summaries(piece, place)
        else:
            self._add_samples(piece, place)

    def points(self) -> list[Point]:
        """From the first stretch with a sample to the last."""
        first, last = min(self._stretches), max(self._stretches)
        return [self._point(place) for place in range(first, last + 1)]

    def _add_samples(self, piece: Piece, place: int) -> None:
        times, column = piece.run.times, piece.run.column(place)
        for row in piece.rows:
            sample = column[row]
            if sample == sample:
                self._stretch(times[row]).add(sample, sample, sample, 1)

    def _add_summaries(self, piece: Piece, place: int) -> None:
        times, width = piece.run.times, len(piece.run.layout.keys)
        low, mean, high, count = (piece.run.column(one * width + place) for one in (MIN, MEAN, MAX, COUNT))
        for row in piece.rows:
            if count[row] > 0:
                self._stretch(times[row]).add(low[row], mean[row], high[row], count[row])

    def _stretch(self, time: float) -> Stretch:
        place = math.floor(time / self._step)
        found = self._stretches.get(place)
        if found is None:
            found = self._stretches[place] = Stretch()
        return found

    def _point(self, place: int) -> Point:
        start = round(place * self._step, 3)
        stretch = self._stretches.get(place)
        if stretch is None:
            return start, None, None, None
        metric = self.key.metric
        mean = stretch.total / stretch.count
        return start, number(stretch.min, metric), rounded_mean(mean, metric), number(stretch.max, metric)


def number(value: float, metric: Metric) -> Number:
    """A measured number, an integer where it counts bytes."""
    return int(value) if metric.decimals == 0 else value


def rounded_mean(mean: float, metric: Metric) -> Number:
    """A mean, as fine as it is worth."""
    return round(mean) if metric.decimals == 0 else round(mean, metric.decimals)
