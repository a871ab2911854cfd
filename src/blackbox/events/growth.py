"""Processes whose memory keeps growing."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from blackbox.analysis.trend import NOTEWORTHY_BYTES, POINTS_MAX, POINTS_MIN, Point, Trend, rising_trend
from blackbox.events.listing import ListedProcess, MomentProcesses
from blackbox.events.processes import is_other_process
from blackbox.model.event import Event, Growth
from blackbox.model.identity import ProcessKey
from blackbox.model.moment import Moment
from blackbox.model.parts import Device, DeviceProcess
from blackbox.model.text import duration, rate, size, who

BUCKET_SECONDS = 5.0
"""One point: the least memory held in this time, so that the ups and downs of a program's steps cancel out."""
POINTS = 2 * POINTS_MAX
"""Ten minutes: a program that has not settled by then rarely will. A trend is made of pairs of them."""
FILLING = 2
"""A program that has grown by this many times what is left on the GPU is not given ten minutes: at that rate it is full
in half the time watched. Loading a model seldom takes so much at so even a pace."""
EXAMINED_PER_MOMENT_MAX = 4
"""Trends computed per moment: each takes about a millisecond on the thread that samples. The others wait for the next
moments."""

WINDOW_SECONDS = BUCKET_SECONDS * POINTS


class _Track(Struct):
    """The points of one process on one device."""

    listed: ListedProcess
    """As it was seen last."""
    row: DeviceProcess
    points: deque[Point]
    bucket: int
    least: int
    is_growing: bool = False
    """Its growth has been reported, and has not stopped since."""


class GrowthDetector:
    """Detects steady growth of a process's memory. Each process is examined about once per bucket, over a full window,
    or earlier where it will soon fill the GPU; a growth is reported once, and again only after it has stopped."""

    def __init__(self) -> None:
        self._tracks: dict[ProcessKey, _Track] = {}
        self._due: dict[ProcessKey, None] = {}
        """Processes whose window has a new point, the longest waiting first (a dict used as an ordered set)."""
        self._tracked: tuple[int, object] | None = None
        """The bucket and the processes of the moment before: in the same bucket the same tell no more than amounts."""

    def observe(self, moment: Moment, listing: MomentProcesses) -> Iterator[Event]:
        """Growths that have become certain in this moment."""
        bucket = int(moment.taken_at // BUCKET_SECONDS)
        if self._tracked is None or self._tracked[0] != bucket or self._tracked[1] is not listing.processes:
            self._tracked = bucket, listing.processes
            self._track(bucket, listing)
        elif listing.are_moved:
            for track in self._tracks.values():
                track.least = min(track.least, track.listed.row.used_bytes or 0)
        yield from self._examine(listing, moment.timestamp)

    def _track(self, bucket: int, listing: MomentProcesses) -> None:
        for key in self._tracks.keys() - listing.processes.keys():
            del self._tracks[key]
        for key, process in listing.processes.items():
            track = self._tracks.get(key)
            if track is not None and track.listed is process and track.bucket == bucket:
                continue
            used = process.row.used_bytes
            if used is None:
                continue
            if track is None or (track.listed is not process and is_other_process(track.row, process.row)):
                self._tracks[key] = _Track(process, process.row, deque(maxlen=POINTS), bucket, used)
                continue
            track.listed = process
            if process.row.start_time is not None:
                track.row = process.row
            if bucket == track.bucket:
                track.least = min(track.least, used)
            else:
                track.points.append((track.bucket * BUCKET_SECONDS, float(track.least)))
                track.bucket, track.least = bucket, used
                if _is_worth_a_look(track, listing.devices[key[0]]):
                    self._due.setdefault(key)
                else:
                    track.is_growing = False

    def _examine(self, listing: MomentProcesses, timestamp: float) -> Iterator[Event]:
        for key in tuple(islice(self._due, EXAMINED_PER_MOMENT_MAX)):
            del self._due[key]
            track, process = self._tracks.get(key), listing.processes.get(key)
            if track is None or process is None or process.row.used_bytes is None:
                continue
            trend = rising_trend(_thinned(track.points))
            if trend is not None and not track.is_growing:
                yield _event(process, trend, timestamp)
            track.is_growing = trend is not None


def _is_worth_a_look(track: _Track, device: Device) -> bool:
    """Whether the memory has risen noteworthily over a full window, or over less where it will soon fill the GPU."""
    points = track.points
    rise = points[-1][1] - points[0][1]
    if rise < NOTEWORTHY_BYTES or len(points) < POINTS_MIN:
        return False
    free = None if device.memory is None or "free_bytes" in device.unknown else device.memory.free_bytes
    is_filling = free is not None and rise >= FILLING * free
    return is_filling or len(points) == POINTS


def _thinned(points: deque[Point]) -> list[Point]:
    """No more points than a trend is made of: the lesser of each pair where there are more."""
    whole = list(points)
    if len(whole) <= POINTS_MAX:
        return whole
    return [min(pair, key=lambda point: point[1]) for pair in zip(whole[-2::-2], whole[::-2], strict=False)][::-1]


def _event(process: ListedProcess, trend: Trend, timestamp: float) -> Event:
    row = process.row
    used = row.used_bytes or 0
    return Event(
        kind="memory_growth",
        timestamp=timestamp,
        message=f"{who(row.name, row.pid)} has grown on {process.place} by {rate(trend.rate)} for "
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
