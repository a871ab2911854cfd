"""`GET /healthz`, `/readyz` and `/livez`: health follows the age of the data, life does not."""

from typing import Literal

import msgspec
from msgspec import Struct, structs

from blackbox.model.endpoints import HEALTHZ, LIVEZ, READYZ
from blackbox.model.moment import Moment
from blackbox.model.status import FleetStatus, RecorderStatus, SourceStatus
from blackbox.model.visibility import visible_sources
from blackbox.server.api.context import Context
from blackbox.server.api.endpoint import handles
from blackbox.server.http.answer import AnswerOrCoroutine, Viewer
from blackbox.server.http.query import Query
from blackbox.server.http.request import Request
from blackbox.server.http.response import JSON, Response, text, unavailable


class Health(Struct, frozen=True, kw_only=True):
    """Body of `/healthz`."""

    status: Literal["ok", "starting", "stale"]
    """`ok` only while the data of every source is fresh."""
    sources: tuple[SourceStatus, ...]
    """As of now: ages have grown since the sample, and a source that has grown too old is `stale`."""
    recorder: RecorderStatus | None = None
    """How the recording goes, which `status` does not depend on; null where nothing is recorded."""
    fleet: FleetStatus | None = None
    """How the shipping to a fleet's database goes, likewise; null where nothing is shipped."""


@handles(HEALTHZ)
def healthz(context: Context, _request: Request, viewer: Viewer, _query: Query) -> AnswerOrCoroutine:
    """200 while every source's data is fresh, else 503; the state of each source either way."""
    latest = context.hub.latest
    health = judge(None if latest is None else latest.moment, context.clock(), viewer.uid)
    if context.recorder_status is not None:
        health = structs.replace(health, recorder=context.recorder_status())
    if context.fleet_status is not None:
        health = structs.replace(health, fleet=context.fleet_status())
    status = 200 if health.status == "ok" else 503
    return Response(status, msgspec.json.encode(health), JSON, (("Cache-Control", "no-store"),))


@handles(READYZ)
def readyz(context: Context, _request: Request, _viewer: Viewer, _query: Query) -> AnswerOrCoroutine:
    """200 from the first sample on."""
    return unavailable("no sample yet", retry_after_seconds=1) if context.hub.latest is None else text(200, "ready")


@handles(LIVEZ)
def livez(_context: Context, _request: Request, _viewer: Viewer, _query: Query) -> AnswerOrCoroutine:
    """200 while the process serves, whatever the driver does: a probe that restarts must ask no more."""
    return text(200, "alive")


def judge(moment: Moment | None, now: float, viewer_uid: int | None) -> Health:
    """The health of the sources as a viewer sees it at `now` on the monotonic clock."""
    if moment is None:
        return Health(status="starting", sources=())
    since = max(0.0, now - moment.taken_at)
    sources = tuple(_aged(status, since, moment.stale_after_seconds) for status in visible_sources(moment, viewer_uid))
    fresh = bool(sources) and all(status.state == "ok" for status in sources)
    return Health(status="ok" if fresh else "stale", sources=sources)


def _aged(status: SourceStatus, since: float, stale_after_seconds: float) -> SourceStatus:
    if status.age_seconds is None:
        return status if status.state != "ok" else structs.replace(status, state="stale", reason="no good sample yet")
    age = round(status.age_seconds + since, 3)
    if status.state == "ok" and age > stale_after_seconds:
        return structs.replace(status, age_seconds=age, state="stale", reason=f"last good sample {age:.1f} s ago")
    return structs.replace(status, age_seconds=age)
