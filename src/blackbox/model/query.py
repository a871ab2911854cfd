"""Answers to questions about the recording. Times are Unix seconds, sizes bytes; what follows from other numbers by
reasoning stands in a forecast or an advice, never beside measured ones."""

from typing import Any, Literal

from msgspec import Struct, field

from blackbox.model.event import Event, EventKind
from blackbox.model.parts import BlockType

Number = int | float
Point = tuple[float, Number | None, Number | None, Number | None]
"""Start of a stretch, then least, mean and largest in it; null where nothing was measured."""


class Series(Struct, frozen=True, kw_only=True):
    """One metric of one subject. Without `gpu` and `pid`: the machine; without `pid`: a GPU."""

    gpu: int | None
    """Index of the GPU (of the parent, for a MIG instance)."""
    pid: int | None
    """Process, in the server's pid namespace."""
    metric: str
    """Key of the snapshot that is followed."""
    points: list[Point]
    """[start, least, mean, largest] of each step from its first to its last sample; a gap between stays a gap."""
    gpu_uuid: str | None
    """UUID of the device: the MIG instance where there is one."""
    name: str | None
    """Of the process, the GPU, or the model an engine serves."""
    start_time: float | None
    """Of the process: with the pid its identity."""
    engine: str | None
    """Kind of the inference engine whose metric it is."""


class History(Struct, frozen=True, kw_only=True):
    """Answer of `GET /vram/history`."""

    from_: float = field(name="from")
    """Start of the range."""
    to: float
    """End of the range."""
    step_seconds: float
    """Length of the stretch that each point sums up; never shorter than the recording is fine."""
    series: tuple[Series, ...]
    """The machine, then the GPUs, each with its processes."""
    series_omitted: int
    """Beyond the most that one answer holds."""
    simulated: bool = False
    """Of the simulated machine: no figure here is real."""

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a line per point: `time` (UTC), `gpu`, `pid`, `name`, `metric`, `min`, `mean`,
        `max`. Raises `ImportError` where there is no pandas."""
        from blackbox.model.notebook import history_frame

        return history_frame(self)

    def _repr_html_(self) -> str:
        """Its series as a table."""
        from blackbox.model.notebook import history_html

        return history_html(self)


class ChartSeries(Struct, frozen=True, kw_only=True):
    """One metric of one subject, as arrays with an element per step of the chart. Without `gpu` and `pid`: the machine;
    without `pid`: a GPU."""

    gpu: int | None
    """Index of the GPU (of the parent, for a MIG instance)."""
    pid: int | None
    """Process, in the server's pid namespace."""
    metric: str
    """Key of the snapshot that is followed."""
    gpu_uuid: str | None
    """UUID of the device: the MIG instance where there is one."""
    name: str | None
    """Of the process, the GPU, or the model an engine serves."""
    start_time: float | None
    """Of the process: with the pid its identity."""
    engine: str | None
    """Kind of the inference engine whose metric it is."""
    low: list[Number | None]
    """Least in each step; null where nothing was measured."""
    mean: list[Number | None]
    """Mean in each step."""
    high: list[Number | None]
    """Largest in each step."""


class Mark(Struct, frozen=True, kw_only=True):
    """An event, light enough for a chart; `GET /vram/events` has the rest."""

    id: int
    """Of the event."""
    kind: EventKind
    """What sort of thing."""
    timestamp: float
    """Unix seconds."""
    message: str
    """The same in words."""
    gpu_uuid: str | None
    """Device it happened on."""
    pid: int | None
    """Process it happened to."""


class Chart(Struct, frozen=True, kw_only=True):
    """Answer of `GET /vram/chart`."""

    from_: float = field(name="from")
    """Start of the range."""
    to: float
    """End of the range."""
    start: float
    """Start of the first step; each next one starts `step_seconds` later."""
    step_seconds: float
    """Length of a step; never shorter than the recording is fine."""
    steps: int
    """Elements of each array."""
    series: tuple[ChartSeries, ...]
    """The machine, then the GPUs, each with its processes; of each its metrics in a fixed order."""
    series_omitted: int
    """Beyond the most that one answer holds; those with the highest peaks are told."""
    marks: tuple[Mark, ...]
    """What happened in the range, oldest first; of too much the newest."""
    marks_omitted: bool
    """More happened."""
    recorded_from: float | None
    """Time of the first that is still kept; null where nothing is."""
    recorded_to: float | None
    """Time of the last."""
    simulated: bool = False
    """Of the simulated machine: no figure here is real."""

    def to_pandas(self) -> Any:
        """As of a `History`: a line per step of each series. Raises `ImportError` where there is no pandas."""
        from blackbox.model.notebook import chart_frame

        return chart_frame(self)

    def _repr_html_(self) -> str:
        """Its series as a table, then what happened."""
        from blackbox.model.notebook import chart_html

        return chart_html(self)


class StackSeries(Struct, frozen=True, kw_only=True):
    """Live memory of a process on a GPU that one stack allocated, over time."""

    gpu: int
    """Index of the GPU (of the parent, for a MIG instance)."""
    gpu_uuid: str
    """UUID of the device: the MIG instance where there is one."""
    pid: int
    """Process, in the server's pid namespace."""
    name: str
    """The kernel's name of the process."""
    start_time: float | None
    """Unix seconds; with the pid, its identity."""
    frames: tuple[str, ...]
    """Innermost first; empty for what is of unknown stack."""
    type: BlockType
    """What the memory is for."""
    subtype: str | None
    """Finer than `type`, where it is known."""
    bytes: tuple[int | None, ...]
    """At each of the `times`; null where the process told no stacks then."""


class StackHistory(Struct, frozen=True, kw_only=True):
    """Answer of `GET /vram/stacks`."""

    from_: float = field(name="from")
    """Start of the range."""
    to: float
    """End of the range."""
    times: tuple[float, ...]
    """Unix seconds of the moments of the recording that were looked at, oldest first."""
    series: tuple[StackSeries, ...]
    """By GPU and process; of each its stacks, those with the highest peaks first."""
    series_omitted: int
    """Beyond the most that one answer holds; those with the highest peaks are told."""
    simulated: bool = False
    """Of the simulated machine: no figure here is real."""


class Aggregate(Struct, frozen=True, kw_only=True):
    """What one series came to over a range."""

    gpu: int | None
    """Index of the GPU (of the parent, for a MIG instance)."""
    pid: int | None
    """Process, in the server's pid namespace."""
    metric: str
    """Key of the snapshot that is followed."""
    min: Number
    """Least."""
    max: Number
    """Largest."""
    mean: float
    """Over the samples."""
    p95: Number
    """95 % of the samples are not above."""
    p99: Number
    """99 % of the samples are not above."""
    count: int
    """Samples."""
    exact: bool
    """Made from every sample; otherwise the percentiles are upper bounds, from the roll-ups."""
    gpu_uuid: str | None
    """UUID of the device: the MIG instance where there is one."""
    name: str | None
    """Of the process, the GPU, or the model an engine serves."""
    start_time: float | None
    """Of the process: with the pid its identity."""
    engine: str | None
    """Kind of the inference engine whose metric it is."""


class Aggregated(Struct, frozen=True, kw_only=True):
    """Answer of `GET /vram/aggregated`."""

    from_: float = field(name="from")
    """Start of the window."""
    to: float
    """End of the window."""
    aggregates: tuple[Aggregate, ...]
    """One per series with a sample in the window."""
    simulated: bool = False
    """Of the simulated machine: no figure here is real."""


class Repeats(Struct, frozen=True, kw_only=True):
    """How often events alike have come."""

    count: int
    """How many, the newest included."""
    first_at: float
    """Unix seconds of the oldest of them that was looked at."""
    last_at: float
    """Unix seconds of the newest."""
    first_id: int
    """Id of the oldest."""


class NumberedEvent(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An event and its place in the recording. Keys that do not apply are absent."""

    id: int
    """Grows from event to event; the `id:` on the event stream."""
    repeats: Repeats | None = None
    """In a folded list, of what came more than once."""
    shortened: bool = False
    """All was asked for, and this refusal is told as in a light list: the answer would be too large. Asked for alone
    (`event`), it is told whole."""


class EventList(Struct, frozen=True, kw_only=True):
    """Answer of `GET /vram/events`."""

    events: tuple[NumberedEvent, ...]
    """The newest that fit, oldest first."""
    simulated: bool = False
    """Of the simulated machine: no figure here is real."""


Change = Literal["new", "gone", "grown", "shrunk", "shifted"]


class Side(Struct, frozen=True, kw_only=True):
    """One of the two snapshots compared."""

    seq: int
    """Sample number since the server started."""
    timestamp: str
    """UTC time of the snapshot, RFC 3339."""
    used_bytes: int
    """Of all GPUs."""


class TypeChange(Struct, frozen=True, kw_only=True):
    """Blocks of one type in one process, then and later."""

    type: BlockType
    """What the blocks are for."""
    subtype: str | None
    """Finer than `type`, where it is known."""
    before_bytes: int
    """Sum of their sizes in `a`."""
    after_bytes: int
    """Sum of their sizes in `b`."""
    delta_bytes: int
    """After - before."""
    before_blocks: int
    """Their number in `a`."""
    after_blocks: int
    """Their number in `b`."""


class PurposeChange(Struct, frozen=True, kw_only=True):
    """What a process holds for one purpose, then and later."""

    purpose: str
    """As in `purposes` of a process: what is in use, evictable and free are told apart."""
    before_bytes: int
    """In `a`."""
    after_bytes: int
    """In `b`."""
    delta_bytes: int
    """After - before."""


class StackChange(Struct, frozen=True, kw_only=True):
    """Live memory of one process from one stack, then and later."""

    frames: tuple[str, ...]
    """Innermost first; empty for what is of unknown stack."""
    type: BlockType
    """What the memory is for."""
    subtype: str | None
    """Finer than `type`, where it is known."""
    before_bytes: int
    """Live in `a`."""
    after_bytes: int
    """Live in `b`."""
    delta_bytes: int
    """After - before."""
    unknown: dict[str, str] = {}
    """Key of this object -> why its value was not measured."""


class ProcessChange(Struct, frozen=True, kw_only=True):
    """A process on one GPU whose memory differs."""

    change: Change
    """`new` and `gone`: it holds memory in one of the two only. `shifted`: as much, but for other purposes."""
    gpu: int
    """Index of the GPU (of the parent, for a MIG instance)."""
    gpu_uuid: str
    """UUID of the device: the MIG instance where there is one."""
    pid: int
    """Process, in the server's pid namespace."""
    name: str
    """The kernel's name of the process."""
    start_time: float | None
    """Unix seconds; with the pid, its identity."""
    before_bytes: int
    """`used_bytes` in `a`; 0 for a new one."""
    after_bytes: int
    """`used_bytes` in `b`; 0 for one that is gone."""
    delta_bytes: int
    """After - before."""
    types: tuple[TypeChange, ...]
    """Which types of blocks differ, the largest difference first."""
    purposes: tuple[PurposeChange, ...] = ()
    """For which purposes it holds more or less, the largest difference first; empty where its allocator did not tell
    its blocks in both."""
    stacks: tuple[StackChange, ...]
    """From which stacks more or less is live, the largest difference first; of a process that is new or gone, all.
    Empty, and named in `unknown`, where the process did not tell its stacks in both."""
    unknown: dict[str, str]
    """Key of this object -> why its value was not measured."""


class Comparison(Struct, frozen=True, kw_only=True):
    """Answer of `GET /vram/compare`."""

    a: Side
    """The snapshot as of `a`."""
    b: Side
    """The snapshot as of `b`."""
    delta_bytes: int
    """Used bytes of all GPUs, b - a."""
    processes: tuple[ProcessChange, ...]
    """Those that differ, the largest difference first."""
    unchanged: int
    """Processes that do not differ."""
    simulated: bool = False
    """Of the simulated machine: no figure here is real."""

    def to_pandas(self, of: Literal["processes", "types", "purposes", "stacks"] = "processes") -> Any:
        """A `pandas.DataFrame` with a line per process, or what `of` names of each. Raises `ImportError` where there is
        no pandas."""
        from blackbox.model.notebook import comparison_frame

        return comparison_frame(self, of)

    def _repr_html_(self) -> str:
        """The processes that differ, as a table."""
        from blackbox.model.notebook import comparison_html

        return comparison_html(self)
