"""The closed minutes of a recording: their roll-ups, and the moment that each keeps.

Only the tier of minutes is read, which never changes once a minute is written: whoever reads twice reads the same.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from blackbox.model.moment import Moment
from blackbox.model.query import Number
from blackbox.recorder.query.samples import RecordedNumber, recorded_numbers
from blackbox.recorder.storage.frames import moment_of
from blackbox.recorder.storage.subjects import Subject
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tiers import FULL, MINUTE, MINUTE_SECONDS, period_start

Statistics = tuple[Number, Number, Number]
"""The least, the mean and the most of a minute."""


class ClosedMinute(Struct, frozen=True):
    """All that is kept of one minute."""

    start: float
    """Unix seconds."""
    numbers: dict[Subject, dict[str, Statistics]]
    """Subject -> key of the metric -> its numbers."""
    moment: Moment | None
    """Its last; None where that is damaged."""


class ClosedMinutes:
    """Reads a recording, live or not. Damage is skipped, never raised."""

    def __init__(self, directory: Path) -> None:
        self._minutes = TierReader(directory, MINUTE)
        self._moments = TierReader(directory, FULL)

    def first(self) -> float | None:
        """Start of the oldest minute that is kept."""
        return self._minutes.first()

    def recorded_until(self) -> float | None:
        """The newest moment."""
        times = [time for reader in (self._moments, self._minutes) if (time := reader.last()) is not None]
        return max(times, default=None)

    def closed_until(self) -> float | None:
        """End of the last closed minute: a minute is written before the first moment of the next one is."""
        newest = self.recorded_until()
        return None if newest is None else period_start(newest, MINUTE_SECONDS)

    def next_start(self, since: float, until: float) -> float | None:
        """Start of the first minute in a range."""
        for run in self._minutes.runs(since, until):
            found = [time for time in run.times if since <= time < until]
            if found:
                return min(found)
        return None

    def read(self, since: float, until: float) -> list[ClosedMinute]:
        """The minutes that begin in a range of whole minutes, oldest first."""
        numbers: dict[float, dict[Subject, dict[str, Statistics]]] = {}
        for number in self._numbers(since, until):
            of_subject = numbers.setdefault(number.time, {}).setdefault(number.key.subject, {})
            of_subject[number.key.metric.key] = number.min, number.mean, number.max
        moments = {period_start(frame.time, MINUTE_SECONDS): frame for frame in self._minutes.frames(since, until)}
        return [ClosedMinute(start, numbers[start], moment_of(moments.get(start))) for start in sorted(numbers)]

    def _numbers(self, since: float, until: float) -> Iterator[RecordedNumber]:
        for number in recorded_numbers([self._minutes], since, until):
            if since <= number.time < until:
                yield number
