"""Every number of a range as it was recorded: each sample where the full rate is still kept, else the roll-up there is.

A period comes out once: a roll-up only where no finer row of it is left.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from blackbox.model.query import Number
from blackbox.recorder.query.buckets import number, rounded_mean
from blackbox.recorder.storage.layout import COUNT, MAX, MEAN, MIN, SeriesKey
from blackbox.recorder.storage.rows import Run
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tiers import period_start


class RecordedNumber(NamedTuple):
    """One number of one series."""

    key: SeriesKey
    time: float
    """Unix seconds; the start of the period of a roll-up."""
    step_seconds: float
    """Length of that period; 0 for a sample."""
    min: Number
    mean: Number
    max: Number


def recorded_numbers(tiers: Sequence[TierReader], since: float, until: float) -> Iterator[RecordedNumber]:
    """All of them, coarse ones first; within a tier the oldest rows first."""
    kept = [_times(tier, since, until) for tier in tiers]
    for place in reversed(range(len(tiers))):
        step = tiers[place].tier.step_seconds
        wanted = kept[place] - {period_start(time, step) for finer in kept[:place] for time in finer}
        if wanted:
            for run in tiers[place].runs(min(wanted), max(wanted) + step):
                yield from _of_run(run, [row for row, time in enumerate(run.times) if time in wanted], step)


def _times(reader: TierReader, since: float, until: float) -> set[float]:
    step = reader.tier.step_seconds
    runs = reader.runs(since - step, until)
    return {time for run in runs for time in run.times if _is_within(time, step, since, until)}


def _is_within(time: float, step: float, since: float, until: float) -> bool:
    return since - step < time < until if step else since <= time < until


def _of_run(run: Run, rows: Sequence[int], step: float) -> Iterator[RecordedNumber]:
    if not rows:
        return
    width = run.layout.width
    for place, key in enumerate(run.layout.keys):
        if step:
            low, mean, high, count = (run.column(statistic * width + place) for statistic in (MIN, MEAN, MAX, COUNT))
        else:
            low = mean = high = count = run.column(place)
        for row in rows:
            if not math.isnan(count[row]):
                yield _number_at(key, run.times[row], step, (low[row], mean[row], high[row]))


def _number_at(key: SeriesKey, time: float, step: float, values: tuple[float, float, float]) -> RecordedNumber:
    low, mean, high = values
    metric = key.metric
    middle = rounded_mean(mean, metric) if step else number(mean, metric)
    return RecordedNumber(key, time, step, number(low, metric), middle, number(high, metric))
