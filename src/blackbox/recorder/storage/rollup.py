"""What a period comes to: the least, mean, largest and 95th percentile of each series, from its finer rows."""

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from blackbox.model.series import Metric
from blackbox.recorder.storage.layout import COUNT, STATISTICS, Layout
from blackbox.recorder.storage.rows import Run
from blackbox.recorder.storage.slices import in_slices
from blackbox.recorder.storage.subjects import MISSING, Subject

T = TypeVar("T")

PERCENTILE = 0.95


class Summary(NamedTuple):
    """Of one series over one period. The order is that of `STATISTICS`."""

    min: float
    mean: float
    max: float
    p95: float
    weight: float
    """Samples it was made from."""


def summarise(numbers: Sequence[float]) -> Summary:
    """Of numbers as they were sampled, at least one."""
    count = len(numbers)
    ordered = sorted(numbers)
    return Summary(ordered[0], math.fsum(ordered) / count, ordered[-1], percentile(ordered, PERCENTILE), count)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least number that is not exceeded by `share` of them (the nearest rank: a number that occurred)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def pool(summaries: Sequence[Summary]) -> Summary:
    """Of shorter periods, at least one, as one. The percentile is an upper bound, see `pooled_percentile`."""
    count = sum(summary.weight for summary in summaries)
    return Summary(
        min(summary.min for summary in summaries),
        math.fsum(summary.mean * summary.weight for summary in summaries) / count,
        max(summary.max for summary in summaries),
        pooled_percentile(summaries, PERCENTILE),
        count,
    )


def pooled_percentile(summaries: Iterable[Summary], share: float) -> float:
    """A number that `share` of all samples do not exceed, and as low as the summaries can prove.

    Of each period, 95 % of the samples do not exceed its p95, and all do not exceed its max.
    """
    bounds = sorted(
        bound
        for summary in summaries
        for bound in (
            (summary.p95, PERCENTILE * summary.weight),
            (summary.max, (1 - PERCENTILE) * summary.weight),
        )
    )
    wanted = share * sum(weight for _, weight in bounds)
    reached = 0.0
    for bound, weight in bounds:
        reached += weight
        if reached >= wanted - 1e-9:
            return bound
    return bounds[-1][0]


class RolledRow(NamedTuple):
    """One row of a coarser tier: `STATISTICS` in turn, of every series of the layout."""

    layout: Layout
    values: "array[float]"


def roll_up_samples(runs: Iterable[Run], since: float, until: float) -> RolledRow | None:
    """The period `since` <= time < `until` of full-rate rows in one row; None without any."""
    return _row(runs, since, until, samples, summarise)


def roll_up_summaries(runs: Iterable[Run], since: float, until: float) -> RolledRow | None:
    """The same, of rows that are roll-ups themselves."""
    return _row(runs, since, until, summaries, pool)


def samples(run: Run, place: int, rows: Sequence[int]) -> list[float]:
    """Numbers of the series at `place` in the layout, in the given rows of the run."""
    column = run.column(place)
    return [number for number in map(column.__getitem__, rows) if number == number]


def summaries(run: Run, place: int, rows: Sequence[int]) -> list[Summary]:
    """The same of a run of roll-ups."""
    width = run.layout.width
    columns = [run.column(statistic * width + place) for statistic in range(len(STATISTICS))]
    return [Summary(*(column[row] for column in columns)) for row in rows if columns[COUNT][row] > 0]


def _row(
    runs: Iterable[Run],
    since: float,
    until: float,
    parts_of: Callable[[Run, int, Sequence[int]], list[T]],
    condense: Callable[[Sequence[T]], Summary],
) -> RolledRow | None:
    in_period = [found for run in runs if (found := _PeriodRows.of(run, since, until)) is not None]
    if not in_period:
        return None
    layout = Layout.union(found.run.layout for found in in_period)
    width, place = layout.width, 0
    values = array("d", [MISSING]) * (len(STATISTICS) * width)
    for subject in in_slices(layout.subjects):
        for metric in layout.metrics_of(subject):
            parts = [part for found in in_period for part in found.parts(subject, metric, parts_of)]
            if parts:
                values[place::width] = array("d", _rounded(metric, condense(parts)))
            place += 1
    return RolledRow(layout, values)


class _PeriodRows(NamedTuple):
    """The rows of a run that lie in a period."""

    run: Run
    rows: list[int]

    @classmethod
    def of(cls, run: Run, since: float, until: float) -> "_PeriodRows | None":
        rows = [row for row, time in enumerate(run.times) if since <= time < until]
        return cls(run, rows) if rows else None

    def parts(
        self, subject: Subject, metric: Metric, parts_of: Callable[[Run, int, Sequence[int]], list[T]]
    ) -> list[T]:
        """What they have of a series."""
        place = self.run.layout.place(subject, metric)
        return [] if place is None else parts_of(self.run, place, self.rows)


def _rounded(metric: Metric, summary: Summary) -> Summary:
    """Its mean no finer than is worth keeping, and still between min and max."""
    mean = round(summary.mean, metric.decimals)
    return summary._replace(mean=max(summary.min, min(summary.max, mean)))
