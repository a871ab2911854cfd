"""Several metrics over time as arrays on one grid of steps, with what happened meanwhile."""

import math
from collections.abc import Sequence

from blackbox.model.event import Event
from blackbox.model.query import Chart, ChartSeries, Mark
from blackbox.model.series import METRIC_KEYS
from blackbox.model.visibility import visible_event
from blackbox.recorder.query.buckets import TimeBuckets
from blackbox.recorder.query.history import SERIES_MAX, HistoryQuery, found_series
from blackbox.recorder.storage.event_log import RecordedEvent
from blackbox.recorder.storage.tier_reader import TierReader

MARKS_MAX = 1000
"""In one answer: a chart has no room for more."""
NUMBERS_MAX = 1_000_000
"""In one answer, of which each element of a series takes three: 10 MB. Series beyond are left out and counted."""
_ORDER = {key: place for place, key in enumerate(METRIC_KEYS)}


def chart(
    tiers: Sequence[TierReader],
    query: HistoryQuery,
    points: int,
    happened: Sequence[RecordedEvent],
    span: tuple[float, float] | None,
) -> Chart:
    """The answer to `/vram/chart`; `span`: times of the first and the last that is kept."""
    step, largest = found_series(tiers, query, points)
    first, end = math.floor(query.since / step), math.ceil(query.until / step)
    kept = largest[: min(SERIES_MAX, max(1, NUMBERS_MAX // (3 * (end - first))))]
    marks = happened[-MARKS_MAX:]
    return Chart(
        from_=query.since,
        to=query.until,
        start=round(first * step, 3),
        step_seconds=step,
        steps=end - first,
        series=tuple(sorted((_series(one, first, end) for one in kept), key=_order)),
        series_omitted=len(largest) - len(kept),
        marks=tuple(_mark(one.id, visible_event(one.event, query.viewer_uid)) for one in marks),
        marks_omitted=len(happened) > len(marks),
        recorded_from=None if span is None else span[0],
        recorded_to=None if span is None else span[1],
    )


def _series(buckets: TimeBuckets, first: int, end: int) -> ChartSeries:
    subject, metric = buckets.key
    low, mean, high = buckets.columns(range(first, end))
    return ChartSeries(
        gpu=subject.gpu,
        pid=subject.pid,
        metric=metric.key,
        gpu_uuid=subject.gpu_uuid,
        name=subject.name,
        start_time=subject.start_time,
        engine=subject.engine,
        low=low,
        mean=mean,
        high=high,
    )


def _order(one: ChartSeries) -> tuple[int, str, int, float, int]:
    """The machine, then the GPUs, each with its processes; of each, the metrics in the order of the table."""
    missing = -1
    return (
        missing if one.gpu is None else one.gpu,
        one.gpu_uuid or "",
        missing if one.pid is None else one.pid,
        one.start_time or 0.0,
        _ORDER[one.metric],
    )


def _mark(number: int, event: Event) -> Mark:
    return Mark(
        id=number,
        kind=event.kind,
        timestamp=event.timestamp,
        message=event.message,
        gpu_uuid=event.gpu_uuid,
        pid=event.pid,
    )
