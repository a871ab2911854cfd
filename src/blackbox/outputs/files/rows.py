"""A recording as rows. Long form: one row per number, so that a new metric is no new column."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from blackbox.model.query import Series
from blackbox.model.series import METRIC_KEYS
from blackbox.recorder import Recording
from blackbox.recorder.storage.tiers import DAY_SECONDS, FULL, HOUR_SECONDS, MINUTE

Value = int | float | str | None
Row = tuple[Value, ...]
FULL_POINTS = 10_000
"""More than an hour of samples: steps are then as short as a chart makes them, two samples each."""


class Column(NamedTuple):
    name: str
    type: Literal["float", "int", "text"]


SERIES_COLUMNS = (
    Column("time", "float"),
    Column("step_seconds", "float"),
    Column("gpu", "int"),
    Column("gpu_uuid", "text"),
    Column("pid", "int"),
    Column("start_time", "float"),
    Column("name", "text"),
    Column("engine", "text"),
    Column("metric", "text"),
    Column("min", "float"),
    Column("mean", "float"),
    Column("max", "float"),
)
"""`time` is the start of a step in Unix seconds; the numbers are of all samples in it (a step of 0: of one). Without
`pid`: a GPU; without `gpu` too: the machine. Units are in the metrics' names."""
EVENT_COLUMNS = (
    Column("time", "float"),
    Column("id", "int"),
    Column("kind", "text"),
    Column("gpu_uuid", "text"),
    Column("pid", "int"),
    Column("code", "int"),
    Column("requested_bytes", "int"),
    Column("message", "text"),
)


def series_rows(recording: Recording, since: float, until: float, omitted: Callable[[int], None]) -> Iterator[Row]:
    """Every series of a range, in steps of two samples or of a roll-up. `omitted` hears of series beyond what one
    question answers."""
    for start, end, points in _windows(recording, since, until):
        for metric in METRIC_KEYS:
            found = recording.history(start, end, metric=metric, points=points)
            if found.series_omitted:
                omitted(found.series_omitted)
            for series in found.series:
                yield from _rows(series, found.step_seconds)


def sample_rows(recording: Recording, since: float, until: float) -> Iterator[Row]:
    """Every number of a range as it was recorded: a row per sample, and per roll-up where no samples are left."""
    for one in recording.numbers(since, until):
        subject, metric = one.key
        yield (
            one.time,
            one.step_seconds,
            subject.gpu,
            subject.gpu_uuid,
            subject.pid,
            subject.start_time,
            subject.name,
            subject.engine,
            metric.key,
            one.min,
            one.mean,
            one.max,
        )


def event_rows(recording: Recording, since: float, until: float) -> Iterator[Row]:
    """Every event of a range."""
    for recorded in recording.events(since, until, light=True):
        event = recorded.event
        yield (
            event.timestamp,
            recorded.id,
            event.kind,
            event.gpu_uuid,
            event.pid,
            event.code,
            event.oom.requested_bytes if event.oom else None,
            event.message,
        )


def _windows(recording: Recording, since: float, until: float) -> Iterator[tuple[float, float, int]]:
    """Stretches that one question answers at the finest rate kept: days of minutes, then hours of samples."""
    kept = recording.span()
    if kept is None:
        return
    since, until = max(since, kept[0]), min(until, kept[1] + 1.0)
    fine_from = max(since, kept[1] - (FULL.keep_seconds or 0.0))
    start = since
    while start < fine_from:
        end = min(start + DAY_SECONDS, fine_from)
        yield start, end, max(1, int((end - start) // MINUTE.step_seconds))
        start = end
    while start < until:
        end = min(start + HOUR_SECONDS, until)
        yield start, end, FULL_POINTS
        start = end


def _rows(series: Series, step_seconds: float) -> Iterator[Row]:
    for time, least, mean, largest in series.points:
        if mean is not None:
            yield (
                time,
                step_seconds,
                series.gpu,
                series.gpu_uuid,
                series.pid,
                series.start_time,
                series.name,
                series.engine,
                series.metric,
                least,
                mean,
                largest,
            )
