"""What the columns of a row mean.

A layout is stored as msgpack: an array of subjects, where each has the metrics of `FIRST_METRICS`; else a map of those
subjects and of the metrics that each kind has.
"""

import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Annotated, NamedTuple
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct

from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.identity import StartTimes
from blackbox.model.series import METRICS, RECORDED, Metric, SubjectKind
from blackbox.recorder.storage.compression import DamageError, pack, unpack
from blackbox.recorder.storage.subjects import Metrics, Subject

STATISTICS = ("min", "mean", "max", "p95", "count")
"""Of one number over the period of a row; in the full-rate tier a row has the number itself instead."""
MIN, MEAN, MAX, P95, COUNT = range(len(STATISTICS))

MetricKeys = dict[SubjectKind, tuple[str, ...]]
MEMORY_KEYS = (
    "total_bytes",
    "used_bytes",
    "free_bytes",
    "driver_reserved_bytes",
    "reserved_bytes",
    "unattributed_bytes",
    "used_percent",
)
FIRST_METRICS: MetricKeys = {
    "machine": (*MEMORY_KEYS, "fragmentation_ratio"),
    "gpu": (*MEMORY_KEYS, "utilization_percent", "temperature_celsius", "power_watts"),
    "process": ("used_bytes", "reserved_bytes", "allocated_bytes"),
    "engine": (
        "kv_pages_total",
        "kv_pages_used",
        "kv_pages_cached",
        "kv_usage_ratio",
        "prefix_hit_ratio",
        "requests_running",
        "requests_waiting",
        "preemptions_total",
    ),
}
"""Of layouts that do not name their metrics. Part of the format: it never changes, whatever is recorded."""


CHECKSUM_BITS = 32
"""Of an id, by which the rows of a chunk name a layout: the low bits are its checksum, which binds rows to its content;
the others count those in the chunk that have the same one. Those of the first are 0, as in recordings of before."""
ID_BITS = 53
"""Ids stand in rows of floating-point numbers."""
STAND_INS_MAX = 1000
"""A damaged or foreign recording may name anything."""


SUBJECTS_MAX = 1 << 17
"""Of one row: ten times 8 GPUs x 1,000 processes."""
Subjects = Annotated[tuple[Subject, ...], msgspec.Meta(max_length=SUBJECTS_MAX)]


class NamedLayout(Struct, frozen=True):
    """As stored where the metrics are others than the first."""

    metrics: MetricKeys
    subjects: Subjects


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Subjects | NamedLayout)


class SeriesKey(NamedTuple):
    """One series."""

    subject: Subject
    metric: Metric

    def identity(self, starts: StartTimes) -> tuple[object, ...]:
        """The same for the same series, whatever its subject is called by now."""
        return *self.subject.identity(starts), self.metric.key


class Layout:
    """The subjects of a row, in order; the columns are the metrics of each in turn."""

    def __init__(self, subjects: tuple[Subject, ...], metric_keys: MetricKeys | None = None) -> None:
        """`metric_keys`: of each kind of subject; None for those recorded now."""
        self.subjects = subjects
        self._metric_keys = RECORDED_KEYS if metric_keys is None else metric_keys

    @classmethod
    def union(cls, layouts: Iterable["Layout"]) -> "Layout":
        """One with the subjects of all, and the metrics that any of them has, as far as this version records them."""
        told = list(layouts)
        present = {(kind, key) for layout in told for kind, keys in layout._metric_keys.items() for key in keys}
        metric_keys: MetricKeys = {
            kind: tuple(key for key in keys if (kind, key) in present) for kind, keys in RECORDED_KEYS.items()
        }
        return cls(tuple(dict.fromkeys(subject for layout in told for subject in layout.subjects)), metric_keys)

    @classmethod
    def unpacked(cls, blob: object) -> "Layout":
        """The layout in `blob`. Raises `DamageError`."""
        try:
            stored = _decoder.decode(unpack(blob))
        except DECODE_ERRORS as error:
            raise DamageError(f"layout: {error}") from error
        return cls(stored.subjects, stored.metrics) if isinstance(stored, NamedLayout) else cls(stored, FIRST_METRICS)

    @property
    def body(self) -> bytes:
        """As stored, before compression; made anew each time, for it is asked for once or twice."""
        if self._metric_keys == FIRST_METRICS:
            return _encoder.encode(self.subjects)
        return _encoder.encode(NamedLayout(self._metric_keys, self.subjects))

    @cached_property
    def checksum(self) -> int:
        """CRC-32 of the body. Many layouts have the same, and whoever chooses names of programs can choose two that
        have: it tells damage, not layouts apart."""
        return zlib.crc32(self.body)

    @cached_property
    def keys(self) -> list[SeriesKey]:
        """The series of a row, in order."""
        return [SeriesKey(subject, metric) for subject in self.subjects for metric in self.metrics_of(subject)]

    @cached_property
    def width(self) -> int:
        """How many series a row has. Counted without making `keys`, which of an hour of short processes are many."""
        return sum(self._widths())

    def _widths(self) -> list[int]:
        """How many series each subject has."""
        counts = {kind: len(metrics) for kind, metrics in self._metrics.items()}
        return [counts.get(subject.kind, 0) for subject in self.subjects]

    def metrics_of(self, subject: Subject) -> tuple[Metric, ...]:
        """Those that the row has of a subject, in order."""
        return self._metrics.get(subject.kind, ())

    def place(self, subject: Subject, metric: Metric) -> int | None:
        """The column of a series; None where the row does not have it."""
        first = self._first_places.get(subject)
        offset = None if first is None else self._offsets[subject.kind].get(metric)
        return None if first is None or offset is None else first + offset

    def places(self) -> Iterator[tuple[Subject, int]]:
        """Each subject, and the column of its first metric. Made anew each time: `keys` of an hour take megabytes."""
        return zip(self.subjects, accumulate(self._widths(), initial=0), strict=False)

    def packed(self) -> bytes:
        """As stored."""
        return pack(self.body)

    @cached_property
    def _metrics(self) -> dict[SubjectKind, tuple[Metric, ...]]:
        return {kind: tuple(_metric(kind, key) for key in keys) for kind, keys in self._metric_keys.items()}

    @cached_property
    def _offsets(self) -> dict[SubjectKind, dict[Metric, int]]:
        return {
            kind: {metric: offset for offset, metric in enumerate(metrics)} for kind, metrics in self._metrics.items()
        }

    @cached_property
    def _first_places(self) -> dict[Subject, int]:
        return dict(self.places())


class LayoutCache:
    """Layouts by the bytes they are stored as, which are all that they depend on: none is ever out of date. It holds
    those that somebody else holds, such as rows that are kept, and no other: that of an hour in which processes came
    and went takes megabytes. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[bytes, Layout] = WeakValueDictionary()

    def unpacked(self, blob: object) -> Layout:
        """The layout in `blob`. Raises `DamageError`."""
        if not isinstance(blob, bytes):
            return Layout.unpacked(blob)
        known = self._known.get(blob)
        return self._known.setdefault(blob, Layout.unpacked(blob)) if known is None else known


def keys_of(metrics: Metrics) -> MetricKeys:
    """The metrics' names, as they are stored."""
    return {kind: tuple(metric.key for metric in of_kind) for kind, of_kind in metrics.items()}


RECORDED_KEYS = keys_of(RECORDED)


@lru_cache(STAND_INS_MAX)
def _metric(kind: SubjectKind, key: str) -> Metric:
    """The metric, or a stand-in for one that this version does not know: its columns keep their place."""
    for metric in RECORDED[kind]:
        if metric.key == key:
            return metric
    return next(
        (metric for metric in METRICS if metric.key == key and kind in metric.subjects),
        Metric(key, (kind,), "ratio", "Recorded by another version.", visible_to="owner"),
    )
