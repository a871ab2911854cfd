"""Processes whose memory keeps growing."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from blackbox.analysis.trend import NOTEWORTHY_BYTES, POINTS_MAX, Point, Trend, rising_trend
from blackbox.events.holders import Holder, Holders, Place
from blackbox.events.processes import is_another
from blackbox.model.event import Growth
from blackbox.model.sample import DeviceProcess, Event
from blackbox.model.snapshot import Moment
from blackbox.model.text import duration, rate, size, who

BUCKET_SECONDS = 10.0
"""One point: the least held in it, so that the ups and downs of every step of a program cancel out."""
POINTS = POINTS_MAX
"""Ten minutes: a program that has not settled by then rarely will."""
LOOKS_PER_MOMENT_MAX = 4
"""A look takes about a millisecond where memory does grow, on the thread that samples; the rest wait their turn."""

WINDOW_SECONDS = BUCKET_SECONDS * POINTS


class _Track(Struct):
    """The points of one process on one device."""

    row: DeviceProcess
    points: deque[Point]
    bucket: int
    least: int
    is_growing: bool = False
    """It was told, and has not stopped since."""


class GrowthWatch:
    """Looks at a full window about once per bucket and process; tells each growth once, until it stops."""

    def __init__(self) -> None:
        self._tracks: dict[Place, _Track] = {}
        self._due: dict[Place, None] = {}
        """Whose window has a new point, longest waiting first."""

    def observe(self, moment: Moment, held: Holders) -> Iterator[Event]:
        """Growths that have become certain."""
        bucket = int(moment.taken_at // BUCKET_SECONDS)
        for place in self._tracks.keys() - held.by_place.keys():
            del self._tracks[place]
        for place, holder in held.by_place.items():
            used = holder.row.used_bytes
            if used is None:
                continue
            track = self._tracks.get(place)
            if track is None or is_another(track.row, holder.row):
                self._tracks[place] = _Track(holder.row, deque(maxlen=POINTS), bucket, used)
            elif bucket == track.bucket:
                track.least = min(track.least, used)
            else:
                track.points.append((track.bucket * BUCKET_SECONDS, float(track.least)))
                track.bucket, track.least = bucket, used
                if _rise(track) >= NOTEWORTHY_BYTES:
                    self._due.setdefault(place)
                else:
                    track.is_growing = False
        yield from self._look(held, moment.timestamp)

    def _look(self, held: Holders, timestamp: float) -> Iterator[Event]:
        for place in tuple(islice(self._due, LOOKS_PER_MOMENT_MAX)):
            del self._due[place]
            track, holder = self._tracks.get(place), held.by_place.get(place)
            if track is None or holder is None or holder.row.used_bytes is None:
                continue
            trend = rising_trend(track.points)
            if trend is not None and not track.is_growing:
                yield _event(holder, trend, timestamp)
            track.is_growing = trend is not None


def _rise(track: _Track) -> float:
    """Over a full window; 0 before there is one."""
    points = track.points
    return points[-1][1] - points[0][1] if len(points) == POINTS else 0.0


def _event(holder: Holder, trend: Trend, timestamp: float) -> Event:
    row = holder.row
    used = row.used_bytes or 0
    return Event(
        kind="memory_growth",
        timestamp=timestamp,
        message=f"{who(row.name, row.pid)} has grown on GPU {holder.gpu} by {rate(trend.rate)} for "
        f"{duration(trend.seconds)}, to {size(used)}",
        gpu_uuid=row.gpu_uuid,
        pid=row.pid,
        uid=row.uid,
        growth=Growth(
            name=row.name,
            start_time=row.start_time,
            used_bytes=used,
            rise_bytes=round(trend.rise),
            window_seconds=trend.seconds,
            rate_bytes_per_second=trend.rate,
            rate_low_bytes_per_second=trend.rate_low,
            rate_high_bytes_per_second=trend.rate_high,
        ),
    )
