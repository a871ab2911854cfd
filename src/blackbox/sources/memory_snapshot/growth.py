"""Whether the memory of a snapshot grew from step to step of its program, and when that could be told."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from blackbox.analysis.purpose_frames import KV_CACHE
from blackbox.analysis.trace.rounds import ROUNDS_MIN, rounds
from blackbox.analysis.trace.timeline import lives
from blackbox.analysis.trend import NOTEWORTHY_BYTES, POINTS_MAX, POINTS_MIN, Point, Trend, rising_trend
from blackbox.model.event import Event, Growth
from blackbox.model.text import duration, rate, size
from blackbox.sources.memory_snapshot.device_replay import MICROSECONDS, DeviceReplay
from blackbox.sources.memory_snapshot.parts import PID, device_uuid

LOOKS_MAX = 240
"""Trends computed of one device, each of which takes about a millisecond: as many as moments are played."""


class Steps(NamedTuple):
    """Where each step of a program begins."""

    begun: list[int]
    """Positions of entries."""
    are_marked: bool
    """False: they are rounds in which what was held rose, and fell back."""


def steps_of(device: DeviceReplay, done: int) -> Steps:
    """Those of the first so many entries."""
    run, course = device.run, device.course
    marked = [step for step in course.step_starts() if run.first <= step <= run.first + done]
    begin = course.unmarked_from() if len(marked) < ROUNDS_MIN else None
    if begin is None:
        return Steps(marked, True)
    found = [begin + place for place in rounds(run.allocated[begin - run.first : done + 1])]
    return Steps(found, False) if found else Steps(marked, True)


def step_levels(device: DeviceReplay, begun: Sequence[int]) -> list[int]:
    """Bytes allocated when each of these steps began; where nothing is trained, without KV cache, which grows with what
    is generated, and is no leak."""
    run = device.run
    at = [step - run.first for step in begun]
    held = [run.allocated[done] for done in at]
    if device.course.trains:
        return held
    for block, since, until in zip(*lives(run, at), strict=True):
        if device.context.category_of(block).name == KV_CACHE:
            for step in range(since, until):
                held[step] -= run.size[block]
    return held


def growths(device: DeviceReplay) -> Iterator[tuple[int, Event]]:
    """What a server would have told of the program: (entries replayed when it became certain, the event). A growth is
    told once, and again only after it has stopped. None without times."""
    run, times = device.run, device.run.trace.time_us
    if times is None:
        return
    begun = steps_of(device, run.steps).begun[1:]  # the first makes what others find
    levels = step_levels(device, begun)
    points = [(times[step] / MICROSECONDS, float(level)) for step, level in zip(begun, levels, strict=True)]
    is_growing = False
    for count in range(POINTS_MIN, len(points) + 1, -(-len(points) // LOOKS_MAX) or 1):
        trend = _trend(points[:count])
        if trend is not None and not is_growing:
            yield begun[count - 1] - run.first, _event(device, trend, levels[count - 1])
        is_growing = trend is not None


def _trend(points: Sequence[Point]) -> Trend | None:
    """Of no more points than a trend is made of: the least of each stretch where there are more."""
    length = -(-len(points) // POINTS_MAX)
    stretches = [points[start : start + length] for start in range(len(points) % length, len(points), length)]
    thinned = [min(stretch, key=lambda point: point[1]) for stretch in stretches]
    if thinned[-1][1] - thinned[0][1] < NOTEWORTHY_BYTES or thinned[-1][0] <= thinned[0][0]:
        return None
    return rising_trend(thinned)


def _event(device: DeviceReplay, trend: Trend, held: int) -> Event:
    gpu = device.recorded.device
    return Event(
        kind="memory_growth",
        timestamp=0.0,  # of the moment that it is played with
        message=f"the recorded process has grown on GPU {gpu} by {rate(trend.rate)} for {duration(trend.seconds)}, "
        f"to {size(held)}",
        gpu_uuid=device_uuid(gpu),
        pid=PID,
        growth=Growth(
            name=None,
            start_time=None,
            used_bytes=held,
            rise_bytes=round(trend.rise),
            window_seconds=trend.seconds,
            rate_bytes_per_second=trend.rate,
            rate_low_bytes_per_second=trend.rate_low,
            rate_high_bytes_per_second=trend.rate_high,
        ),
    )
