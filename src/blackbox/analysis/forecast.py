"""When memory will be full, if it goes on rising as it does: a range, with the rise it follows from.

Without a steady rise there is no prediction, and none reaches further ahead than a few times what it looks back on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from msgspec import structs

from blackbox.analysis.kv_cache import advise_on_kv_caches
from blackbox.analysis.trend import NOTEWORTHY_BYTES, POINTS_MAX, POINTS_MIN, Point, Trend, rising_trend
from blackbox.model.forecast import Evidence, Forecast, Grower, GrowthOrigin, Outlook
from blackbox.model.identity import StartTimes
from blackbox.model.parts import gpu_name
from blackbox.model.query import History, Series
from blackbox.model.snapshot import Gpu, Process, Snapshot
from blackbox.model.text import duration, rate, size, who

WINDOWS_SECONDS = (180.0, 120.0, 60.0, 600.0, 3600.0, 86_400.0)
"""Stretches of the past that are searched for a trend: what happens now comes before what happens all day, and of the
brief ones the longest that has a trend knows its rate best."""
YOUNG_SECONDS = 360.0
"""What is older is judged by the brief ones only where it is higher than ever: a program that leaks fast does not live
for ten minutes, and one that does has shown by then how it rises and falls."""
BRIEF_SHARE_MIN = 0.6
"""Of a window below three minutes that its points must cover: half a minute of loading a model is no trend."""
NEW_SHARE = 0.5
"""Of a rise: so much of it must be above all that was held before it, to be something new."""
FALL_SHARE = 0.25
"""As in a trend: what was higher before than now by this share of the rise is not part of it."""
FLAT_SHARE = 0.05
"""Of a rise: up to so much above its lowest point it has not begun."""
REACH = 10
"""A prediction reaches no further ahead than this many times the length of its evidence."""
WINDOWS_TEXT = "minutes, hour or day"
YOUNG_TEXT = "too little is recorded yet"
SLICED = "it is cut into slices, which fill one by one: each has its own"

GROWERS_MAX = 4
"""Processes whose growth is looked into: for each, a moment of the recording is merged."""

OutlookKey = tuple[str | None, int | None, float | None]
"""(UUID of a device, pid, start time)."""


class Rise(NamedTuple):
    """A trend, and where it begins."""

    trend: Trend
    from_: float
    since: float
    """When it began, as far back as any window reaches."""


OriginOf = Callable[[Process, float], GrowthOrigin | None]
"""What the growth of a process since then is for."""


def unknown_origin(_process: Process, _since: float) -> None:
    """For those who are not interested, or have nothing to compare with."""


def forecast(
    now: float,
    snapshot: Snapshot,
    histories: Sequence[History],
    kv_history: History,
    origin_of: OriginOf = unknown_origin,
) -> Forecast:
    """What lies ahead of the machine that `snapshot` shows, by the `used_bytes` of each window of `WINDOWS_SECONDS`.

    `kv_history` is a week of `kv_usage_ratio`. `origin_of` is asked once for each process with a prediction, the
    soonest first, and for `GROWERS_MAX` of them.
    """
    starts = StartTimes()
    rises = _rises(histories, starts)
    enough = _enough_at(histories, starts)
    gpus = {gpu.uuid: gpu for gpu in snapshot.gpus}
    processes = [
        outlook
        for process in snapshot.processes
        if process.gpu_uuid in gpus
        and (outlook := _of_process(process, gpus[process.gpu_uuid], rises, starts)) is not None
    ]
    processes.sort(key=_urgency)
    growers = _growers(processes, snapshot, origin_of)
    parents = {gpu.parent_uuid for gpu in snapshot.gpus}
    return Forecast(
        timestamp=now,
        gpus=tuple(
            _of_sliced(gpu)
            if gpu.uuid in parents
            else _grown_by(
                _of_gpu(
                    gpu,
                    rises,
                    _rises_on(gpu, snapshot, rises, starts),
                    _untold(gpu, snapshot, enough, starts, now),
                    now,
                ),
                [one for one in processes if one.gpu_uuid == gpu.uuid],
                growers,
            )
            for gpu in snapshot.gpus
        ),
        processes=tuple(
            structs.replace(one, grower=growers.get((one.gpu_uuid, one.pid, one.start_time))) for one in processes
        ),
        advice=tuple(advise_on_kv_caches(snapshot, kv_history)),
    )


def _growers(processes: Sequence[Outlook], snapshot: Snapshot, origin_of: OriginOf) -> dict[OutlookKey, Grower]:
    """Who grows and what for, of each process with a prediction."""
    rows = {(row.gpu_uuid, row.pid): row for row in snapshot.processes}
    found: dict[OutlookKey, Grower] = {}
    for one in processes:
        if one.pid is None or one.since is None or one.full_in_seconds is None:
            continue
        row = rows[one.gpu_uuid, one.pid]
        found[one.gpu_uuid, one.pid, one.start_time] = Grower(
            pid=row.pid,
            name=row.name,
            start_time=row.start_time,
            user=row.user,
            since=one.since,
            origin=origin_of(row, one.since) if len(found) < GROWERS_MAX else None,
        )
    return found


def _grown_by(gpu: Outlook, processes: Sequence[Outlook], growers: Mapping[OutlookKey, Grower]) -> Outlook:
    """The outlook of a GPU with the process that grows fastest of those on it."""
    if gpu.full_in_seconds is None:
        return gpu
    rates = {
        (one.gpu_uuid, one.pid, one.start_time): one.evidence.rate_bytes_per_second
        for one in processes
        if one.evidence is not None
    }
    fastest = max(rates, key=lambda key: rates[key], default=None)
    return gpu if fastest is None else structs.replace(gpu, grower=growers.get(fastest))


def _urgency(outlook: Outlook) -> float:
    return float("inf") if outlook.full_in_seconds is None else outlook.full_in_seconds


def _rises(histories: Sequence[History], starts: StartTimes) -> dict[OutlookKey, list[Rise]]:
    """The trends of every subject, those of short windows first."""
    found: dict[OutlookKey, list[Rise]] = {}
    past, tops = _past(histories, starts), _tops(histories, starts)
    for history in histories:
        for series in history.series:
            points = list(_lows(series))[-POINTS_MAX:]
            trend = rising_trend(points)
            if trend is None or trend.rise < NOTEWORTHY_BYTES:
                continue
            key, (first, _) = _subject(series, starts), points[0]
            if _counts(history, trend, points, tops[key]):
                since = max(_since(past.get(key) or points, trend.rise), series.start_time or 0.0)
                found.setdefault(key, []).append(Rise(trend, first, since))
    return found


def _counts(history: History, trend: Trend, points: Sequence[Point], tops: Sequence[Point]) -> bool:
    """Whether the trend may be told: of a brief window only what is new."""
    seconds = history.to - history.from_
    if seconds >= YOUNG_SECONDS:
        return True
    (first, _), (last, level) = points[0], points[-1]
    if seconds < WINDOWS_SECONDS[0] and last - first < BRIEF_SHARE_MIN * seconds:
        return False
    before = max((value for end, value in tops if end <= first), default=0.0)
    return last - tops[0][0] <= YOUNG_SECONDS or before + NEW_SHARE * trend.rise <= level


class Enough(NamedTuple):
    """When enough is recorded of a subject for a trend to be seen."""

    at: float
    """`-inf` where it is now, `inf` where points as far apart as these never do."""
    first: Point | None = None
    """What it held at first, of what is recorded; None where that is all there is."""


def _enough_at(histories: Sequence[History], starts: StartTimes) -> dict[OutlookKey, Enough]:
    """From when on enough is recorded of each subject, in the window that has it first."""
    found: dict[OutlookKey, list[tuple[History, list[Point]]]] = {}
    for history in histories:
        for series in history.series:
            points = list(_lows(series))
            if points:
                found.setdefault(_subject(series, starts), []).append((history, points))
    return {subject: _enough(seen) for subject, seen in found.items()}


def _enough(seen: Sequence[tuple[History, list[Point]]]) -> Enough:
    times = [(history, [time for time, _ in points]) for history, points in seen]
    at = min(_window_enough_at(history, found, _apart(times)) for history, found in times)
    most = max((points for _, points in seen), key=len)
    return Enough(at, most[0] if len(most) > 1 else None)


def _untold(
    gpu: Gpu, snapshot: Snapshot, enough: Mapping[OutlookKey, Enough], starts: StartTimes, now: float
) -> tuple[float, str] | None:
    """From when on it can be told whether the GPU fills, and why not now: too little is recorded of it, or of a process
    on it that has risen since it came. None where it can."""
    whole = enough.get((gpu.uuid, None, None), Enough(inf)).at
    if whole > -inf:
        return whole, YOUNG_TEXT
    young = [
        (told, process)
        for process in snapshot.processes
        if process.gpu_uuid == gpu.uuid
        and (told := enough.get(_subject(process, starts))) is not None
        and -inf < told.at < inf
    ]
    return min(((told.at, why) for told, process in young if (why := _taken(process, told, now))), default=None)


def _taken(process: Process, told: Enough, now: float) -> str | None:
    """What a young process has taken; None where that is nothing to speak of."""
    time, held = told.first or (now, 0.0)
    rise = process.used_bytes - held
    if rise < NOTEWORTHY_BYTES:
        return None
    took = f"holds {size(rise)}" if told.first is None else f"took {size(rise)} in {duration(now - time)}"
    return f"{YOUNG_TEXT} of {who(process.name, process.pid)}, which {took}"


def _apart(seen: Sequence[tuple[History, list[float]]]) -> float:
    """Seconds between points in the window that has them closest; 0 where none has two."""
    return min(((times[-1] - times[0]) / (len(times) - 1) for _, times in seen if len(times) > 1), default=0.0)


def _window_enough_at(history: History, times: Sequence[float], apart: float) -> float:
    seconds = history.to - history.from_
    least = BRIEF_SHARE_MIN * seconds if seconds < WINDOWS_SECONDS[0] else 0.0
    if len(times) >= POINTS_MIN and times[-1] - times[0] >= least:
        return -inf
    wanted = max(least, (POINTS_MIN - 1) * max(apart, history.step_seconds))
    return max(times[0] + wanted, history.to) if wanted <= seconds else inf


def _tops(histories: Sequence[History], starts: StartTimes) -> dict[OutlookKey, list[Point]]:
    """The most that each subject held in every stretch, by the end of that, oldest first."""
    found: dict[OutlookKey, list[Point]] = {}
    for history in histories:
        for series in history.series:
            ends = (
                (start + history.step_seconds, float(high)) for start, _, _, high in series.points if high is not None
            )
            found.setdefault(_subject(series, starts), []).extend(ends)
    return {key: sorted(points) for key, points in found.items()}


def _past(histories: Sequence[History], starts: StartTimes) -> dict[OutlookKey, list[Point]]:
    """The course of each subject, oldest first: of every time the points that are closest together."""
    found: dict[OutlookKey, list[Point]] = {}
    finer_from = inf
    for history in sorted(histories, key=lambda one: -one.from_):
        last = finer_from - history.step_seconds
        for series in history.series:
            found.setdefault(_subject(series, starts), []).extend(point for point in _lows(series) if point[0] <= last)
        finer_from = history.from_
    return {key: sorted(points) for key, points in found.items()}


def _since(past: Sequence[Point], rise: float) -> float:
    """The last time at which the rise that lasts until now had not begun: what was higher before is another one."""
    begun, lowest = past[-1]
    for time, value in reversed(past):
        if value > lowest + FALL_SHARE * rise:
            break
        if value < lowest - FLAT_SHARE * rise:
            begun, lowest = time, value
    return begun


def _lows(series: Series) -> Iterator[Point]:
    """What is held even in the quietest moment of each stretch."""
    for time, low, _mean, _high in series.points:
        if low is not None:
            yield time, float(low)


def _subject(one: Series | Process, starts: StartTimes) -> OutlookKey:
    return one.gpu_uuid, one.pid, starts.first((one.gpu_uuid, one.pid), one.start_time)


def _rises_on(gpu: Gpu, snapshot: Snapshot, rises: dict[OutlookKey, list[Rise]], starts: StartTimes) -> list[Rise]:
    """The rises of the process on the GPU that grows fastest."""
    of_processes = [
        rises.get(_subject(process, starts), []) for process in snapshot.processes if process.gpu_uuid == gpu.uuid
    ]
    growing = [found for found in of_processes if found]
    return max(growing, key=lambda found: found[0].trend.rate) if growing else []


def _of_sliced(gpu: Gpu) -> Outlook:
    """Of a GPU in MIG mode: what grows in a slice is refused when that is full, whatever is free beside it."""
    why = _blind(gpu) or SLICED
    message = f"{gpu_name(gpu.index, gpu.mig)}: no prediction: {why}"
    return structs.replace(
        _outlook(gpu, None, gpu.name, gpu.used_bytes, ()), unknown={"full_in_seconds": why}, message=message
    )


def _of_gpu(
    gpu: Gpu,
    rises: dict[OutlookKey, list[Rise]],
    of_process: list[Rise],
    untold: tuple[float, str] | None,
    now: float,
) -> Outlook:
    """Of its own course; where that has no trend, since it remembers what has ended, by the process that grows.
    `untold`: from when on that can be told, and why not now."""
    name = gpu_name(gpu.index, gpu.mig)
    found = rises.get((gpu.uuid, None, None), []) or of_process
    outlook = _outlook(gpu, None, name, gpu.used_bytes, found)
    if found or _blind(gpu) or untold is None:
        return outlook
    enough_at, why = untold
    predictable_from = enough_at if enough_at < inf else now + BRIEF_SHARE_MIN * min(WINDOWS_SECONDS)
    left = duration(max(1.0, predictable_from - now))
    message = f"{name}: no prediction yet: {why}, enough in about {left}"
    unknown = {"full_in_seconds": why}
    return structs.replace(outlook, unknown=unknown, predictable_from=predictable_from, message=message)


def _of_process(process: Process, gpu: Gpu, rises: dict[OutlookKey, list[Rise]], starts: StartTimes) -> Outlook | None:
    """None where it does not rise."""
    found = rises.get(_subject(process, starts), [])
    if not found or "used_bytes" in process.unknown:
        return None
    return _outlook(gpu, process, who(process.name, process.pid), process.used_bytes, found)


def _outlook(gpu: Gpu, process: Process | None, name: str, used: int, found: Sequence[Rise]) -> Outlook:
    blind = _blind(gpu)
    within = next((rise for rise in found if _ahead(gpu, rise.trend.rate) <= REACH * rise.trend.seconds), None)
    rise = within or (found[-1] if found else None)
    certain = None if blind or within is None else within.trend
    return Outlook(
        gpu=gpu.index,
        gpu_uuid=gpu.uuid,
        pid=process.pid if process else None,
        name=process.name if process else gpu.name,
        start_time=process.start_time if process else None,
        used_bytes=used,
        headroom_bytes=gpu.free_bytes,
        full_in_seconds_min=_ahead(gpu, certain.rate_high) if certain else None,
        full_in_seconds=_ahead(gpu, certain.rate) if certain else None,
        full_in_seconds_max=_ahead(gpu, certain.rate_low) if certain else None,
        since=rise.since if rise else None,
        evidence=_evidence(rise) if rise else None,
        unknown={"full_in_seconds": blind} if blind else {},
        message=f"{name}: no prediction: {blind}" if blind else _message(gpu, process, name, rise, certain),
    )


def _blind(gpu: Gpu) -> str | None:
    """Why nothing can be said of it, whatever is recorded."""
    return gpu.unknown.get("free_bytes") or ((gpu.reason or gpu.state) if gpu.state != "ok" else None)


def _ahead(gpu: Gpu, bytes_per_second: float) -> float:
    return round(gpu.free_bytes / bytes_per_second, 1)


def _evidence(rise: Rise) -> Evidence:
    trend = rise.trend
    return Evidence(
        from_=rise.from_,
        to=rise.from_ + trend.seconds,
        points=trend.points,
        rise_bytes=round(trend.rise),
        rate_bytes_per_second=trend.rate,
        rate_low_bytes_per_second=trend.rate_low,
        rate_high_bytes_per_second=trend.rate_high,
    )


def _message(gpu: Gpu, process: Process | None, name: str, rise: Rise | None, certain: Trend | None) -> str:
    if rise is None:
        return f"{name}: no trend in the last {WINDOWS_TEXT}, so no prediction"
    growing = f"by {rate(rise.trend.rate)} as for the last {duration(rise.trend.seconds)}"
    if certain is None:
        return f"{name}: grows {growing}, but would not fill the GPU soon enough to predict when"
    sooner, likely, later = (
        duration(_ahead(gpu, speed)) for speed in (certain.rate_high, certain.rate, certain.rate_low)
    )
    end = f"would fill {gpu_name(gpu.index, gpu.mig)}" if process else "would be full"
    between = f" ({sooner} to {later})" if sooner != later else ""
    return f"{name}: prediction: {end} in {likely}{between}, if it goes on growing {growing}"
