"""Every endpoint of the HTTP interface, declared once. The server's routes, its refusal of unknown parameters, the
clients' paths, the OpenAPI description and `docs/api.md` are made from `ENDPOINTS`; `blackbox.server.api` has a handler
for each."""

from blackbox.model.about import Coverage, OwnCost, SettingsInForce
from blackbox.model.block_table import CONTENT_TYPE, BlockTableHead
from blackbox.model.dump import DumpList
from blackbox.model.endpoint import Endpoint, StatusAnswer
from blackbox.model.endpoint_answers import (
    BAD_QUERY,
    BUSY,
    JSON,
    NO_GPU,
    NO_RECORDING,
    NO_SAMPLE,
    NO_SAMPLE_OR_BUSY,
    NOT_RECORDED,
    REFUSED,
    SCRIPT,
    STYLE,
    TOO_MANY_STREAMS,
    events_answer,
    json_answer,
)
from blackbox.model.endpoint_parameters import (
    AFTER,
    AT,
    BEFORE,
    BLOCKS,
    COLUMNS_TIME,
    DUMP,
    EVENT,
    EVENT_DETAIL,
    EVENT_GPU,
    FROM,
    GPU,
    IF_NONE_MATCH,
    KIND,
    LAST_EVENT_ID,
    LIMIT,
    METRIC,
    METRICS_OF_CHART,
    MOMENTS,
    ONE_EVENT,
    PID,
    POINTS,
    REPORT_EVENT,
    REPORT_FORMAT,
    SERIES_GPU,
    SINCE,
    TO,
    UNTIL,
    VERSION,
    WINDOW,
    WINDOW_END,
)
from blackbox.model.fleet_endpoints import FLEET_ENDPOINTS
from blackbox.model.forecast import Forecast
from blackbox.model.query import Aggregated, Chart, Comparison, EventList, History, StackHistory
from blackbox.model.snapshot import Snapshot

HEALTH = {
    "type": "object",
    "required": ["status", "sources"],
    "properties": {
        "status": {
            "type": "string",
            "enum": ["ok", "stale", "starting"],
            "description": "`ok` only while the data of every source is fresh.",
        },
        "sources": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/SourceStatus"},
            "description": "As of now: ages have grown since the last sample.",
        },
        "recorder": {
            "type": ["object", "null"],
            "description": "How the recording goes, which `status` does not depend on; null where nothing is recorded.",
        },
        "fleet": {
            "type": ["object", "null"],
            "description": "How the shipping goes, likewise; null where nothing is shipped.",
        },
    },
}

# Endpoints

INDEX = Endpoint(
    path="/",
    operation="index",
    summary="The dashboard, for browsers; for all others what there is to ask for.",
    description="A client that accepts `text/html` gets the page, which asks for a token where one is needed.",
    answer=StatusAnswer(help="The routes, one a line."),
    statuses=REFUSED,
    accepts_any_parameter=True,
)
SNAPSHOT = Endpoint(
    path="/vram",
    operation="snapshot",
    summary="The newest snapshot.",
    parameters=(GPU, BLOCKS, IF_NONE_MATCH),
    answer=StatusAnswer(
        help="The snapshot. Compressed with gzip or zstd where the client accepts it.",
        content_type=JSON,
        body=Snapshot,
        headers=("ETag",),
    ),
    statuses={304: StatusAnswer(help="Nothing newer than the ETag in `If-None-Match`.", content_type=None)}
    | BAD_QUERY
    | NO_GPU
    | NO_SAMPLE
    | REFUSED,
)
SNAPSHOT_STREAM = Endpoint(
    path="/vram/stream",
    operation="stream",
    summary="Snapshots as they are made, as server-sent events.",
    description="The first event comes at once, then one per sample; `id` is the `seq` of its snapshot. "
    "A client too slow for that gets the newest snapshot and is told how many it missed.",
    parameters=(GPU, BLOCKS, LAST_EVENT_ID),
    answer=events_answer("snapshot"),
    statuses=BAD_QUERY | NO_GPU | TOO_MANY_STREAMS | REFUSED,
)
COLUMNS = Endpoint(
    path="/vram/columns",
    operation="columns",
    summary="The blocks of the newest snapshot, or of a time, as packed columns of numbers.",
    description="For programs that draw or count every block: a fraction of the bytes of `blocks`, made once for all "
    "who may see the same. docs/columns.md describes the layout; its head is a BlockTableHead.",
    parameters=(GPU, COLUMNS_TIME, EVENT, VERSION, IF_NONE_MATCH),
    answer=StatusAnswer(
        help="The columns. Compressed with gzip or zstd where the client accepts it.",
        content_type=CONTENT_TYPE,
        schema={"type": "string", "format": "binary"},
        head=BlockTableHead,
        headers=("ETag",),
    ),
    statuses={304: StatusAnswer(help="Nothing newer than the ETag in `If-None-Match`.", content_type=None)}
    | BAD_QUERY
    | {404: StatusAnswer(help="The machine has no such GPU, or nothing was recorded then.")}
    | NO_SAMPLE_OR_BUSY
    | REFUSED,
)
HISTORY = Endpoint(
    path="/vram/history",
    operation="history",
    summary="A metric over time, of the machine, its GPUs and its processes. A gap in the recording stays a gap.",
    parameters=(FROM, TO, SERIES_GPU, PID, METRIC, POINTS),
    answer=json_answer(History),
    statuses=BAD_QUERY | NO_RECORDING | BUSY | REFUSED,
)
CHART = Endpoint(
    path="/vram/chart",
    operation="chart",
    summary="Several metrics over time as arrays on one grid of steps, with what happened meanwhile.",
    description="As `/vram/history`, for programs that draw: what memory is for has metrics of its own, such as "
    "`weight_bytes` and `kv_used_bytes`.",
    parameters=(FROM, TO, SERIES_GPU, PID, METRICS_OF_CHART, POINTS),
    answer=json_answer(Chart),
    statuses=BAD_QUERY | NO_RECORDING | BUSY | REFUSED,
)
STACKS = Endpoint(
    path="/vram/stacks",
    operation="stacks",
    summary="Live memory by the stack that allocated it, over time, as arrays: of processes that record their stacks.",
    description="Several moments of the range, which stand in `times`; between them nothing is told.",
    parameters=(FROM, TO, SERIES_GPU, PID, MOMENTS),
    answer=json_answer(StackHistory),
    statuses=BAD_QUERY | NO_RECORDING | BUSY | REFUSED,
)
SNAPSHOT_AT = Endpoint(
    path="/vram/at",
    operation="at",
    summary="The snapshot as of then, with its own `seq` and `timestamp`.",
    parameters=(AT, EVENT, GPU, BLOCKS),
    answer=json_answer(Snapshot),
    statuses=BAD_QUERY | NOT_RECORDED | BUSY | REFUSED,
)
EVENTS = Endpoint(
    path="/vram/events",
    operation="events",
    summary="What happened, oldest first.",
    parameters=(SINCE, UNTIL, KIND, EVENT_GPU, LIMIT, EVENT_DETAIL, ONE_EVENT),
    answer=json_answer(EventList),
    statuses=BAD_QUERY | {404: StatusAnswer(help="There is no such event, or no recording.")} | BUSY | REFUSED,
)
DUMPS = Endpoint(
    path="/vram/dumps",
    operation="dumps",
    summary="The dumps kept beside the recording: the minutes around an out-of-memory, a crash, a fault.",
    answer=json_answer(DumpList),
    parameters=(LIMIT,),
    statuses=BAD_QUERY | NO_RECORDING | BUSY | REFUSED,
)
REPORT = Endpoint(
    path="/vram/report",
    operation="report",
    summary="What led to an event, with verdict, causes and what would have helped: of the recording, or of a dump.",
    description="As `blackbox report` makes it. The page asks for nothing and has a policy of its own. JSON "
    "(`format=json`) has `title`, `causes` (the first is the one to act on), `advice`, `request`, `uses`, `processes`, "
    "`events` and more: docs/reports.md.",
    parameters=(REPORT_EVENT, DUMP, REPORT_FORMAT),
    answer=StatusAnswer(help="The report.", content_type="text/html", headers=("Content-Security-Policy",)),
    statuses=BAD_QUERY
    | {404: StatusAnswer(help="There is no such event or dump, nothing is left of its time, or there is no recording.")}
    | BUSY
    | REFUSED,
)
EVENTS_STREAM = Endpoint(
    path="/vram/events/stream",
    operation="eventStream",
    summary="Events as they happen, as server-sent events.",
    description="`event` is the kind, `id` the event's id, `data` the event as in `/vram/events`. "
    "A client that comes back with `Last-Event-ID` gets all it missed.",
    parameters=(KIND, EVENT_GPU, LAST_EVENT_ID),
    answer=events_answer("NumberedEvent"),
    statuses=BAD_QUERY | NO_RECORDING | TOO_MANY_STREAMS | REFUSED,
)
COMPARE = Endpoint(
    path="/vram/compare",
    operation="compare",
    summary="What is new, gone, grown or shrunk between two times, by process and by type of block.",
    parameters=(BEFORE, AFTER, GPU),
    answer=json_answer(Comparison),
    statuses=BAD_QUERY | NOT_RECORDED | NO_SAMPLE_OR_BUSY | REFUSED,
)
AGGREGATED = Endpoint(
    path="/vram/aggregated",
    operation="aggregated",
    summary="Least, largest, mean and percentiles of each series over a window.",
    parameters=(WINDOW, WINDOW_END, SERIES_GPU, PID, METRIC),
    answer=json_answer(Aggregated),
    statuses=BAD_QUERY | NO_RECORDING | BUSY | REFUSED,
)
COVERAGE = Endpoint(
    path="/vram/coverage",
    operation="coverage",
    summary="What each process lets Blackbox see of its memory, and why not more.",
    parameters=(GPU,),
    answer=json_answer(Coverage),
    statuses=BAD_QUERY | NO_GPU | NO_SAMPLE | REFUSED,
)
FORECAST = Endpoint(
    path="/vram/forecast",
    operation="forecast",
    summary="Predictions: when memory that steadily fills will be full; and settings worth changing. Told apart from "
    "what was measured, and with the evidence.",
    parameters=(GPU,),
    answer=json_answer(Forecast),
    statuses=BAD_QUERY
    | {404: StatusAnswer(help="The machine has no such GPU, or there is no recording.")}
    | NO_SAMPLE_OR_BUSY
    | REFUSED,
)
METRICS = Endpoint(
    path="/metrics",
    operation="metrics",
    summary="Prometheus text exposition. docs/metrics.md lists the names.",
    answer=StatusAnswer(help="Metrics."),
    statuses=REFUSED,
    accepts_any_parameter=True,
)
HEALTHZ = Endpoint(
    path="/healthz",
    operation="health",
    summary="Whether every source delivers fresh data.",
    answer=StatusAnswer(help="All fresh.", content_type=JSON, schema=HEALTH),
    statuses={503: StatusAnswer(help="Some are not.", content_type=JSON, schema=HEALTH)} | REFUSED,
    accepts_any_parameter=True,
)
STATUS = Endpoint(
    path="/status",
    operation="status",
    summary="What the server itself takes and does: CPU time, memory, clients.",
    answer=json_answer(OwnCost),
    statuses=BAD_QUERY | REFUSED,
)
SETTINGS = Endpoint(
    path="/settings",
    operation="settings",
    summary="The settings in force, and where each was set. Nothing can be set here.",
    answer=json_answer(SettingsInForce),
    statuses=BAD_QUERY | REFUSED,
)
READYZ = Endpoint(
    path="/readyz",
    operation="ready",
    summary="Whether the first sample has been taken.",
    answer=StatusAnswer(help="It has."),
    statuses=NO_SAMPLE | REFUSED,
    is_public=True,
    accepts_any_parameter=True,
)
LIVEZ = Endpoint(
    path="/livez",
    operation="live",
    summary="Whether the server serves: for a probe that restarts what does not answer.",
    description="The data may be stale, which a restart would not mend: `/healthz` tells that.",
    answer=StatusAnswer(help="It does."),
    statuses=REFUSED,
    is_public=True,
    accepts_any_parameter=True,
)
OPENAPI = Endpoint(
    path="/openapi.json",
    operation="description",
    summary="This description.",
    answer=StatusAnswer(help="OpenAPI 3.1.", content_type=JSON, schema={"type": "object"}),
    statuses=REFUSED,
    accepts_any_parameter=True,
)

LOGIN = Endpoint(
    path="/login",
    operation="login",
    summary="Trades the token in `Authorization` for a session cookie, as the dashboard does.",
    description="A valid cookie is renewed. Where no token is needed, nothing is set.",
    answer=StatusAnswer(help="Admitted."),
    statuses=REFUSED,
    accepts_any_parameter=True,
)


def _built(path: str, operation: str, content_type: str, what: str) -> Endpoint:
    return Endpoint(
        path=path,
        operation=operation,
        summary=f"{what} of the dashboard.",
        answer=StatusAnswer(
            help="Empty where this server was installed without its dashboard.",
            content_type=content_type,
            headers=("ETag",),
        ),
        statuses={304: StatusAnswer(help="As the ETag in `If-None-Match` says.", content_type=None)} | REFUSED,
        accepts_any_parameter=True,
        is_public=True,
    )


DASHBOARD_SCRIPT = _built("/dashboard.js", "dashboardScript", SCRIPT, "The program")
DASHBOARD_STYLE = _built("/dashboard.css", "dashboardStyle", STYLE, "The style sheet")

ENDPOINTS = (
    INDEX,
    SNAPSHOT,
    SNAPSHOT_STREAM,
    COLUMNS,
    HISTORY,
    CHART,
    STACKS,
    SNAPSHOT_AT,
    EVENTS,
    DUMPS,
    REPORT,
    EVENTS_STREAM,
    COMPARE,
    AGGREGATED,
    FORECAST,
    COVERAGE,
    *FLEET_ENDPOINTS,
    METRICS,
    HEALTHZ,
    STATUS,
    SETTINGS,
    READYZ,
    LIVEZ,
    OPENAPI,
    LOGIN,
    DASHBOARD_SCRIPT,
    DASHBOARD_STYLE,
)
