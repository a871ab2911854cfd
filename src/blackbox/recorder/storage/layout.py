"""What the columns of a row mean."""

import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import msgspec

from blackbox.model.identity import StartTimes
from blackbox.recorder.storage.compression import DamageError, pack, unpack
from blackbox.recorder.storage.metrics import Metric, Subject

STATISTICS = ("min", "mean", "max", "p95", "count")
"""Of one number over the period of a row; in the full-rate tier a row has the number itself instead."""
MIN, MEAN, MAX, P95, COUNT = range(len(STATISTICS))

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Subject, ...])


class Key(NamedTuple):
    """One series."""

    subject: Subject
    metric: Metric

    def identity(self, starts: StartTimes) -> tuple[object, ...]:
        """The same for the same series, whatever its subject is called by now."""
        return *self.subject.identity(starts), self.metric.name


class Layout:
    """The subjects of a row, in order; the columns are the metrics of each in turn."""

    def __init__(self, subjects: tuple[Subject, ...]) -> None:
        self.subjects = subjects

    @classmethod
    def unpacked(cls, blob: object) -> "Layout":
        """The layout in `blob`. Raises `DamageError`."""
        try:
            return cls(_decoder.decode(unpack(blob)))
        except msgspec.DecodeError as error:
            raise DamageError(f"layout: {error}") from error

    @cached_property
    def body(self) -> bytes:
        """As stored, before compression."""
        return _encoder.encode(self.subjects)

    @cached_property
    def id(self) -> int:
        """Names the layout in rows, which are so bound to its content."""
        return zlib.crc32(self.body)

    @cached_property
    def keys(self) -> list[Key]:
        """The series of a row, in order."""
        return list(self._keys())

    def packed(self) -> bytes:
        """As stored."""
        return pack(self.body)

    def _keys(self) -> Iterator[Key]:
        for subject in self.subjects:
            for metric in subject.metrics:
                yield Key(subject, metric)
