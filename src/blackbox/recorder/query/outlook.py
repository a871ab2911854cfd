"""When memory will be full, out of the recording."""

from msgspec import structs

from blackbox.analysis.forecast import WINDOWS_SECONDS, OriginOf, forecast, unknown_origin
from blackbox.analysis.kv_cache import WINDOW_SECONDS as WEEK_SECONDS
from blackbox.analysis.trend import POINTS_MAX as TREND_POINTS
from blackbox.model.forecast import Forecast
from blackbox.model.query import History
from blackbox.model.snapshot import Snapshot
from blackbox.recorder.query.recording import Recording

SLOW_SECONDS = 600.0
"""From so long a window on a step is ten seconds and more: what came since it ended is in the brief ones."""
KV_POINTS = 168
"""One an hour, for a week."""


def forecast_of(
    recording: Recording,
    snapshot: Snapshot,
    now: float,
    viewer_uid: int | None = None,
    origin_of: OriginOf = unknown_origin,
) -> Forecast:
    """What lies ahead of the machine that `snapshot` (without blocks, as of `now`) shows; of programs as far as the
    viewer may see them, None sees all. `origin_of` tells what a process has grown by, where that is asked for."""
    windows = [
        recording.history(now - window, now, metric="used_bytes", points=TREND_POINTS, viewer_uid=viewer_uid)
        if window < SLOW_SECONDS
        else recording.history_lately(window, now, metric="used_bytes", points=TREND_POINTS, viewer_uid=viewer_uid)
        for window in WINDOWS_SECONDS
    ]
    return forecast(now, snapshot, windows, _kv_week(recording, now, viewer_uid), origin_of)


def _kv_week(recording: Recording, now: float, viewer_uid: int | None) -> History:
    """How full the KV caches were in the week before now. What came since the kept answer is read anew: "never used
    more" has to hold now."""
    metric = "kv_usage_ratio"
    kept = recording.history_lately(WEEK_SECONDS, now, metric=metric, points=KV_POINTS, viewer_uid=viewer_uid)
    if kept.to >= now:
        return kept
    since = recording.history(kept.to, now, metric=metric, points=1, viewer_uid=viewer_uid)
    return structs.replace(kept, to=now, series=kept.series + since.series)
