"""`GET /vram/forecast`: when memory will be full, and who fills it with what."""

from blackbox.analysis.compare import compare
from blackbox.analysis.growth_origin import growth_origin
from blackbox.hub import Published
from blackbox.merge import merge
from blackbox.model import endpoints
from blackbox.model.forecast import Forecast, GrowthOrigin
from blackbox.model.snapshot import Process
from blackbox.model.view import Shape, UnknownGpuError, with_blocks
from blackbox.model.visibility import visible_event
from blackbox.recorder import Recording
from blackbox.recorder.query.outlook import forecast_of
from blackbox.server.api.context import Context
from blackbox.server.api.endpoint import handles
from blackbox.server.api.recording import found_answer
from blackbox.server.http.answer import AnswerOrCoroutine, Viewer
from blackbox.server.http.query import Query
from blackbox.server.http.request import Request
from blackbox.server.http.response import unavailable

REFUSALS_MAX = 100
"""The newest, that are looked through for those of the same stack: a program that fails every four minutes has as many
in a working day."""


@handles(endpoints.FORECAST)
def forecasted(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """When memory will be full, where it steadily fills; and settings worth changing."""
    latest = context.hub.latest
    if latest is None:
        return unavailable("no sample yet", retry_after_seconds=1)
    now, viewer_uid, gpu = latest.moment.timestamp, viewer.uid, query.get(endpoints.GPU)

    def find(recording: Recording) -> Forecast:
        snapshot = latest.snapshot(Shape(gpu, "summary", viewer_uid))

        def origin_of(process: Process, since: float) -> GrowthOrigin | None:
            return _origin(recording, latest, process, since, viewer_uid)

        return forecast_of(recording, snapshot, now, viewer_uid, origin_of)

    return found_answer(context, request, viewer, find)


def _origin(
    recording: Recording, latest: Published, process: Process, since: float, viewer_uid: int | None
) -> GrowthOrigin | None:
    """What the process has grown by since then, or since the recording began; None where that is not recorded."""
    span = recording.span()
    moment = None if span is None else recording.moment_at(max(since, span[0]))
    if moment is None:
        return None
    try:
        before = with_blocks(merge(moment, process.gpu_uuid, viewer_uid), "stacks", 0)
        after = latest.snapshot(Shape(process.gpu_uuid, "stacks", viewer_uid))
    except UnknownGpuError:  # it was not there then
        return None
    refusals = recording.events(kind="oom", limit=REFUSALS_MAX, light=True)
    seen = (visible_event(one.event, viewer_uid) for one in refusals if one.event.gpu_uuid == process.gpu_uuid)
    return growth_origin(process, compare(before, after), seen)
