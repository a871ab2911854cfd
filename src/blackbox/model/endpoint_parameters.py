"""The parameters of the endpoints, each declared once."""

from typing import Literal, get_args

from blackbox.model.event import EventKind
from blackbox.model.parameter import DURATION, NUMBER_IN_HEADER, TEXT, TIME, Parameter, TimeText, one_of, some_of, whole
from blackbox.model.series import METRIC_KEYS
from blackbox.model.view import BlockDetail

TIME_FORMS = (
    "`now`, how long ago (`-15m`, `1h30m`, `10 minutes ago`), a time of day (`12:03`, `yesterday 14:00`), ISO 8601, or "
    "Unix seconds; in UTC where it names no zone"
)
"""What `blackbox.model.times.unix_seconds` reads."""

POINTS_MAX = 10_000
"""Of one series in one answer: more than any chart has pixels."""
MOMENTS_MAX = 100
"""Read whole for one answer: each takes some milliseconds."""
EVENTS_MAX = 10_000
"""In one answer, which is then a few MB."""
EVENT_ID_MAX = 2**53
"""JavaScript's largest."""
EventDetail = Literal["full", "light", "folded"]
ReportFormat = Literal["html", "json"]
PID_MAX = 2**22
"""The kernel's largest."""


def time_parameter(name: str, help: str, *, required: bool = False) -> Parameter[TimeText]:  # noqa: A002 - as in Parameter
    return Parameter(name=name, help=f"{help} {TIME_FORMS}.", values=TIME, required=required)


GPU = Parameter(
    name="gpu",
    help="Index or UUID of a GPU, or UUID of a MIG instance. All GPUs when absent.",
    values=TEXT,
    examples={"index": "0", "uuid": "GPU-3f8c1a2e-5b7d-4c69-9a10-2f4e6d8b0c13"},
)
SERIES_GPU = Parameter(
    name="gpu",
    help="Index or UUID of a GPU, or UUID of a MIG instance. Everything when absent.",
    values=TEXT,
    examples=GPU.examples,
)
BLOCKS: Parameter[BlockDetail] = Parameter(
    name="blocks",
    help="Every block; blocks counted by process, type and use (`summary`), the same with stacks (`stacks`), or none. "
    "Sums and counts stay whole.",
    values=one_of(get_args(BlockDetail)),
    default="full",
)
EVENT_GPU = Parameter(
    name="gpu",
    help="Index or UUID of a GPU, or UUID of a MIG instance: what happened on it alone. Everything when absent.",
    values=TEXT,
    examples=GPU.examples,
)
IF_NONE_MATCH = Parameter(
    name="If-None-Match", location="header", help="ETag of the answer already at hand.", values=TEXT
)
LAST_EVENT_ID = Parameter(
    name="Last-Event-ID",
    location="header",
    help="Id of the last event received; the stream resumes behind it as far as the kept history reaches.",
    values=NUMBER_IN_HEADER,
)
COLUMNS_TIME = time_parameter("t", "The blocks as of then, from the recording; the newest when absent.")
VERSION = Parameter(
    name="since",
    help="`version` of an answer already at hand: blocks of a process that are the same as there are left out.",
    values=TEXT,
)
HISTORY_SECONDS = 3600.0
"""Range of a history without a start: as far as the full rate reaches."""
FROM = time_parameter("from", "Start; an hour before the end when absent.")
TO = time_parameter("to", "End; now when absent.")
PID = Parameter(name="pid", help="One process, or one engine.", values=whole(0, PID_MAX))
METRIC = Parameter(
    name="metric",
    help="Key of the snapshot, its GPUs, processes or engines.",
    values=one_of(METRIC_KEYS),
    default="used_bytes",
)
METRICS_OF_CHART: Parameter[frozenset[str]] = Parameter(
    name="metric",
    help=f"Keys of the snapshot, its GPUs, processes or engines, separated by commas: {', '.join(METRIC_KEYS)}.",
    values=some_of(METRIC_KEYS),
    default="used_bytes",
)
POINTS = Parameter(name="points", help="Most points per series.", values=whole(1, POINTS_MAX), default="300")
MOMENTS = Parameter(
    name="points",
    help="Most moments to look at, evenly spaced.",
    values=whole(1, MOMENTS_MAX),
    default="20",
)
AT = time_parameter("t", "The time. Needed where no `event` is named.")
EVENT = Parameter(
    name="event",
    help="Id of an event: the moment of a refusal itself, with the process as its agent saw it then, instead of the "
    "last reading before.",
    values=whole(0, EVENT_ID_MAX),
)
NEWEST = "newest"
"""The event to report on where none is named."""
REPORT_EVENT = Parameter(
    name="event",
    help="Id of the event to report on; the last out-of-memory or crash when absent, or now where there was none.",
    values=whole(0, EVENT_ID_MAX),
)
DUMP = Parameter(name="dump", help="Name of the dump to report on.", values=TEXT)
REPORT_FORMAT: Parameter[ReportFormat] = Parameter(
    name="format", help="A page for people, or the same as JSON.", values=one_of(get_args(ReportFormat)), default="html"
)
SINCE = time_parameter("since", "Not before.")
UNTIL = time_parameter("until", "Not after.")
KIND: Parameter[frozenset[EventKind]] = Parameter(
    name="kind",
    help=f"Kinds of events, separated by commas: {', '.join(get_args(EventKind))}. All when absent.",
    values=some_of(get_args(EventKind)),
)
ONE_EVENT = Parameter(name="event", help="Id of the one event to tell, in full.", values=whole(0, EVENT_ID_MAX))
EVENT_DETAIL: Parameter[EventDetail] = Parameter(
    name="detail",
    help="All that is known of each (a refusal may take 100 kB); without allocator, history, and stacks but the one to "
    "blame (`light`); or the same with events alike as one (`folded`): the newest, with `repeats`, of 2,000.",
    values=one_of(get_args(EventDetail)),
    default="full",
)
LIMIT = Parameter(name="limit", help="The newest so many.", values=whole(1, EVENTS_MAX), default="1000")
BEFORE = time_parameter("a", "The earlier.", required=True)
AFTER = time_parameter("b", "The later; the newest snapshot when absent.")
WINDOW = Parameter(name="window", help="Its length, such as `15m`, `24h`, `7d`.", values=DURATION, default="5m")
WINDOW_END = time_parameter("to", "Its end; now when absent.")
