"""`GET /vram/dumps` and `GET /vram/report`: what is kept of incidents, and what it tells."""

import subprocess
import sys

from blackbox.model import endpoints
from blackbox.model.dump import DumpInfo, DumpList
from blackbox.model.endpoint_parameters import NEWEST, ReportFormat
from blackbox.model.visibility import WITHHELD
from blackbox.recorder import Recording
from blackbox.recorder.storage.dump_files import DUMPS_DIRECTORY, DumpFile, dumps_in
from blackbox.server.api.context import Context
from blackbox.server.api.endpoint import handles
from blackbox.server.api.recording import NO_RECORDING, found_answer
from blackbox.server.http.answer import AnswerOrCoroutine, Viewer
from blackbox.server.http.query import Query
from blackbox.server.http.query_pool import QueryPool
from blackbox.server.http.request import HTTPError, Request
from blackbox.server.http.response import JSON, Fields, Response, text, too_much_waits
from blackbox.sources.isolation.outputs import TooMuchWrittenError

REPORT_SECONDS = 120.0
"""For the child that makes it; its limit of CPU time comes first on a machine that is not busy."""
REPORT_BYTES_MAX = 32 * 1024 * 1024
"""A page of the longest history kept takes a tenth of it."""
TOO_MUCH = "the report takes too much memory or time"


@handles(endpoints.DUMPS)
def dumps(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """The dumps kept. How large they are tells how much every program told, which is for those who see all."""
    limit = query.value(endpoints.LIMIT)

    def find(recording: Recording) -> DumpList:
        found = dumps_in(recording.directory / DUMPS_DIRECTORY)[-limit:]
        told = (_info(dump, viewer) for dump in found)
        return DumpList(dumps=tuple(info for info in told if info is not None))

    return found_answer(context, request, viewer, find)


@handles(endpoints.REPORT)
def report(context: Context, _request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """What led to an event."""
    event, dump = query.get(endpoints.REPORT_EVENT), query.get(endpoints.DUMP)
    shape = query.value(endpoints.REPORT_FORMAT)
    if event is not None and dump is not None:
        raise HTTPError(400, "event and dump do not go together")
    if context.query_pool is None:
        return text(404, NO_RECORDING)
    what = NEWEST if event is None else str(event)
    return _report(context, viewer, what if dump is None else dump, shape, is_dump=dump is not None)


async def _report(context: Context, viewer: Viewer, what: str, shape: ReportFormat, *, is_dump: bool) -> Response:
    pool = context.query_pool
    assert pool is not None

    def work() -> Response:
        if is_dump:
            _require_dump(pool.recording, what)
        return _made(pool, what, viewer, shape)

    answer = await pool.report(work)
    return answer if context.waiting.has_room(answer.body) else too_much_waits()


def _require_dump(recording: Recording, name: str) -> None:
    """A name in the list, so that no other file is ever opened."""
    if all(dump.path.name != name for dump in dumps_in(recording.directory / DUMPS_DIRECTORY)):
        raise HTTPError(404, f"there is no dump {name!a:.100}")


def _made(pool: QueryPool, what: str, viewer: Viewer, shape: ReportFormat) -> Response:
    """The report, from a child of limited memory and CPU time: it reads what agents of any user have sent."""
    uid = "all" if viewer.uid is None else str(viewer.uid)
    command = [sys.executable, "-P", "-m", "blackbox.report", str(pool.recording.directory), what, uid, shape]
    try:
        done = pool.run_child(command, REPORT_SECONDS, REPORT_BYTES_MAX)
    except subprocess.TimeoutExpired:
        raise HTTPError(503, f"the report was not made within {REPORT_SECONDS:.0f} s") from None
    except TooMuchWrittenError:
        raise HTTPError(503, TOO_MUCH) from None
    if done.returncode == 1:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise HTTPError(404, lines[-1] if lines else "there is no report")
    if done.returncode != 0:
        raise HTTPError(503, TOO_MUCH)
    policy, _, body = done.stdout.partition(b"\n")
    if shape == "json":
        return Response(200, body, JSON, (("Cache-Control", "no-store"),))
    return Response(200, body, "text/html; charset=utf-8", _page_fields(policy.decode("ascii")))


def _page_fields(policy: str) -> Fields:
    """The page may run its own script, in an origin of its own: it cannot ask this server for anything."""
    return (
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", f"{policy}; sandbox allow-scripts; base-uri 'none'; frame-ancestors 'self'"),
        ("Referrer-Policy", "no-referrer"),
    )


def _info(dump: DumpFile, viewer: Viewer) -> DumpInfo | None:
    """None where it has just been deleted."""
    try:
        size = dump.path.stat().st_size
    except OSError:
        return None
    hidden = viewer.uid is not None
    return DumpInfo(
        name=dump.path.name,
        kind=dump.kind,
        timestamp=dump.time,
        pid=dump.pid,
        size_bytes=0 if hidden else size,
        unknown={"size_bytes": WITHHELD} if hidden else {},
    )
