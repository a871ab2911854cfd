"""Series over time, from whichever tier is as fine as the query and still has the time it asks for."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, pairwise
from typing import NamedTuple
from weakref import WeakKeyDictionary

from blackbox.model.identity import StartTimes
from blackbox.model.query import Aggregate, History, Series
from blackbox.model.series import METRIC_KEYS
from blackbox.model.visibility import sees
from blackbox.recorder.query.buckets import RunSlice, TimeBuckets, bucket_rows, number
from blackbox.recorder.storage.layout import Layout, SeriesKey
from blackbox.recorder.storage.rollup import Summary, percentile, pool, pooled_percentile, samples, summaries, summarise
from blackbox.recorder.storage.rows import Run
from blackbox.recorder.storage.subjects import Subject
from blackbox.recorder.storage.tier_reader import TierReader

METRIC = "used_bytes"
SERIES_MAX = 1000
"""Series in one answer: a screen shows some tens. Those with the highest peaks are kept, the rest counted."""
SAMPLES_PER_POINT_MIN = 2.0
"""Points closer than samples would look like gaps."""
STEP_SECONDS_MIN = 0.1
"""Steps are multiples of it, so that their starts are numbers one can read."""
EDGE = 1e-9
"""Of rounding."""


class HistoryQuery(NamedTuple):
    """Which numbers are wanted."""

    since: float
    until: float
    gpu: str | None
    pid: int | None
    metrics: frozenset[str]
    viewer_uid: int | None

    @classmethod
    def checked(
        cls,
        since: float,
        until: float,
        gpu: str | None,
        pid: int | None,
        metrics: Collection[str] | None,
        viewer_uid: int | None,
    ) -> "HistoryQuery":
        """Raises `ValueError` with one line."""
        for metric in metrics or ():
            if metric not in METRIC_KEYS:
                raise ValueError(f"metric: {metric!a:.80} is none of {', '.join(METRIC_KEYS)}")
        if not (math.isfinite(since) and math.isfinite(until) and since < until):
            raise ValueError("from: must be before to")
        return cls(since, until, gpu, pid, frozenset(metrics or (METRIC,)), viewer_uid)

    def places(self, layout: Layout) -> list[tuple[SeriesKey, int]]:
        """The series of a layout that are asked for, and where each stands."""
        return [
            (SeriesKey(subject, metric), first + offset)
            for subject, first in layout.places()
            if self._is_about(subject)
            for offset, metric in enumerate(layout.metrics_of(subject))
            if metric.key in self.metrics and (metric.visible_to == "anyone" or sees(self.viewer_uid, subject.uid))
        ]

    def _is_about(self, subject: Subject) -> bool:
        return (self.pid is None or subject.pid == self.pid) and (
            self.gpu is None or self.gpu == subject.gpu_uuid or self.gpu == str(subject.gpu)
        )


class FoundSeries(NamedTuple):
    """Every series that a query asks for, cut into buckets of one length."""

    step_seconds: float
    largest: list[TimeBuckets]
    """Those with a sample, the highest peaks first."""


def history(tiers: Sequence[TierReader], query: HistoryQuery, points: int) -> History:
    """The answer to `/vram/history`."""
    step, largest = found_series(tiers, query, points)
    kept = largest[:SERIES_MAX]
    spans = [one.span() for one in kept]
    grid = range(min((span[0] for span in spans), default=0), max((span[-1] + 1 for span in spans), default=0))
    starts = {place: round(place * step, 3) for place in grid}
    return History(
        from_=query.since,
        to=query.until,
        step_seconds=step,
        series=tuple(sorted((_series(one, starts) for one in kept), key=_order)),
        series_omitted=max(0, len(largest) - SERIES_MAX),
    )


def found_series(tiers: Sequence[TierReader], query: HistoryQuery, points: int) -> FoundSeries:
    """The series in at most so many buckets each."""
    wanted_step = (query.until - query.since) / points
    tier = _finest_with(tiers, query.since)
    while tier + 1 < len(tiers) and tiers[tier + 1].tier.step_seconds <= wanted_step:
        tier += 1
    slices = _slices(tiers[: tier + 1], query)
    first = list(islice(slices, 1))
    step = _step(wanted_step, tiers[tier].tier.step_seconds, first)
    found: dict[tuple[object, ...], TimeBuckets] = {}
    of_layouts: WeakKeyDictionary[Layout, list[TimeBuckets]] = WeakKeyDictionary()
    """Where the series of a layout go: the same ones in all its runs."""
    starts = StartTimes()
    for part in chain(first, slices):
        rows = bucket_rows(part, step)
        layout = part.run.layout
        if layout not in of_layouts:
            of_layouts[layout] = [found.setdefault(key.identity(starts), TimeBuckets()) for key, _ in part.places]
        for (key, place), buckets, stored in zip(part.places, of_layouts[layout], part.stored_columns(), strict=True):
            buckets.add(key, part, place, stored, rows)
    return FoundSeries(step, sorted((one for one in found.values() if one), key=lambda one: one.peak, reverse=True))


def aggregated(tiers: Sequence[TierReader], query: HistoryQuery) -> tuple[Aggregate, ...]:
    """The answer to `/vram/aggregated`."""
    finest = _finest_with(tiers, query.since)
    found: dict[tuple[object, ...], _Parts] = {}
    starts = StartTimes()
    for part in _slices(tiers[: finest + 1], query):
        for key, place in part.places:
            parts = found.setdefault(key.identity(starts), _Parts(key, [], []))
            if part.rolled:
                parts.summaries.extend(summaries(part.run, place, part.rows))
            else:
                parts.samples.extend(samples(part.run, place, part.rows))
    return tuple(
        sorted((_aggregate(parts) for parts in found.values() if parts.samples or parts.summaries), key=_order)
    )


def first_recorded(tiers: Sequence[TierReader]) -> float | None:
    """Time of the first that is kept; None where nothing is. A row of a coarser tier begins before what it sums up: the
    finer one tells the time, as long as it has it."""
    found, step = None, 0.0
    for reader in reversed(tiers):
        first = reader.first()
        if first is not None and (found is None or first < found + step):
            found, step = first, reader.tier.step_seconds
    return found


def _finest_with(tiers: Sequence[TierReader], since: float) -> int:
    """The finest tier that has all that any has since then."""
    for place, reader in enumerate(tiers[:-1]):
        first = reader.first()
        if first is None:
            continue
        is_early = first <= since + tiers[place + 1].tier.step_seconds
        if is_early or not any(_has_before(coarser, since, first) for coarser in tiers[place + 1 :]):
            return place
    return len(tiers) - 1


def _has_before(reader: TierReader, since: float, first: float) -> bool:
    """Whether a row tells of the time since then, and of nothing from `first` on: a server may have rested before."""
    step = reader.tier.step_seconds
    return any(_touching(run, step, since, first - step) for run in reader.runs(since - step, first - step))


def _slices(tiers: Sequence[TierReader], query: HistoryQuery) -> Iterator[RunSlice]:
    """Rows of the coarsest tier, then of the finer ones what is not rolled up yet."""
    start = query.since
    wanted: WeakKeyDictionary[Layout, list[tuple[SeriesKey, int]]] = WeakKeyDictionary()
    for reader in reversed(tiers):
        step, end = reader.tier.step_seconds, start
        for run in reader.runs(start - step, query.until):
            rows = _touching(run, step, start, query.until)
            if rows:
                newest = run.times[rows[-1]] if run.in_order else max(map(run.times.__getitem__, rows))
                end = max(end, newest + step)
            places = wanted.get(run.layout)
            if places is None:
                places = query.places(run.layout)
                wanted[run.layout] = places
            if rows and places:
                yield RunSlice(run, step > 0, rows, places)
        start = end


def _touching(run: Run, step: float, since: float, until: float) -> Sequence[int]:
    """The rows that tell of the range, of which each stands for the `step` from its time on."""
    times = run.times
    if not run.in_order:
        return [
            row for row, time in enumerate(times) if time < until and (time + step > since if step else time >= since)
        ]
    first = bisect_right(times, since, key=lambda time: time + step) if step else bisect_left(times, since)
    return range(first, max(first, bisect_left(times, until)))


def _step(wanted: float, tier_step: float, slices: Iterable[RunSlice]) -> float:
    if not tier_step:
        spacings = [
            later - earlier
            for part in slices
            for earlier, later in pairwise(map(part.run.times.__getitem__, part.rows))
        ]
        wanted = max(wanted, SAMPLES_PER_POINT_MIN * percentile(sorted(spacings), 0.5)) if spacings else wanted
        tier_step = STEP_SECONDS_MIN
    return round(max(1, math.ceil(wanted / tier_step - EDGE)) * tier_step, 3)


class _Parts(NamedTuple):
    """What was found of one series."""

    key: SeriesKey
    samples: list[float]
    summaries: list[Summary]


def _aggregate(parts: _Parts) -> Aggregate:
    subject, metric = parts.key
    ordered = sorted(parts.samples)
    pooled = [*parts.summaries, *([summarise(ordered)] if ordered else [])]
    exact = not parts.summaries
    whole = pool(pooled)
    p99 = percentile(ordered, 0.99) if exact else pooled_percentile(pooled, 0.99)
    return Aggregate(
        gpu=subject.gpu,
        pid=subject.pid,
        metric=metric.key,
        min=number(whole.min, metric),
        max=number(whole.max, metric),
        mean=round(whole.mean, max(metric.decimals, 1)),
        p95=number(percentile(ordered, 0.95) if exact else whole.p95, metric),
        p99=number(p99, metric),
        count=int(whole.weight),
        exact=exact,
        gpu_uuid=subject.gpu_uuid,
        name=subject.name,
        start_time=subject.start_time,
        engine=subject.engine,
    )


def _series(buckets: TimeBuckets, starts: Mapping[int, float]) -> Series:
    subject, metric = buckets.key
    return Series(
        gpu=subject.gpu,
        pid=subject.pid,
        metric=metric.key,
        points=buckets.points(starts),
        gpu_uuid=subject.gpu_uuid,
        name=subject.name,
        start_time=subject.start_time,
        engine=subject.engine,
    )


def _order(one: Series | Aggregate) -> tuple[int, int, float]:
    """The machine, then the GPUs, each with its processes."""
    missing = -1
    return (
        missing if one.gpu is None else one.gpu,
        missing if one.pid is None else one.pid,
        one.start_time or 0.0,
    )
