"""Events: what happened at a time, and one struct per kind that has more to say than its message."""

from typing import Literal

from msgspec import Struct

from blackbox.model.parts import Allocator

Ended = Literal["orderly", "exception", "killed", "abrupt", "unknown"]
"""How a process ended, see `ProcessLife.ended`."""
EventKind = Literal[
    "xid",
    "ecc",
    "gpu_lost",
    "gpu_back",
    "source_lost",
    "source_back",
    "oom",
    "process_start",
    "process_exit",
    "crash",
    "memory_growth",
    "memory_orphaned",
    "threshold",
]


class ProcessLife(Struct, frozen=True, kw_only=True):
    """A process on one GPU, at its start, at its end, or after it."""

    name: str | None
    """The kernel's name of the process."""
    start_time: float | None
    """Unix seconds; with the pid, the identity of the process."""
    used_bytes: int | None
    """Held when the event was noticed; for an exit, when the process was last seen."""
    peak_used_bytes: int | None
    """The most that any sample saw it hold on this GPU; null where the driver never told."""
    peak_at: float | None
    """Unix seconds of the first sample that saw the peak."""
    ended: Ended | None = None
    """How it ended: `orderly` (by itself, with any exit code), `exception` (nobody caught it), `killed` (by a signal),
    `abrupt` (without its exit handlers: by a signal or `os._exit`), `unknown`. Null at its start, and where memory was
    left behind."""
    signal: int | None = None
    """Number of the signal that killed it, where the kernel told."""
    exit_code: int | None = None
    """Its exit code, where the kernel told."""
    exception: str | None = None
    """Type of the exception that nobody caught, never its message. Like `ended` (others get `unknown`), `signal` and
    `exit_code` shown to the owner of the process and to whoever may see all."""


RISE_SHARE = 5 / 6
"""Of the time that a trend looks at: so much lies between the middles of its first and its last sixth, whose medians
tell the rise."""


class Growth(Struct, frozen=True, kw_only=True):
    """Memory of a process that keeps growing: what was seen, not what will come."""

    name: str | None
    """The kernel's name of the process."""
    start_time: float | None
    """Unix seconds; with the pid, the identity of the process."""
    used_bytes: int
    """Held when the growth was noticed."""
    rise_bytes: int
    """Grown within the window, between the medians of its first and last sixth."""
    window_seconds: float
    """From the first point looked at to the last."""
    rate_bytes_per_second: float
    """Median of the slopes between all pairs of points (Theil-Sen)."""
    rate_low_bytes_per_second: float
    """The rate is above this with 97.5 % confidence."""
    rate_high_bytes_per_second: float
    """And below this."""

    @property
    def rise_seconds(self) -> float:
        """Time in which it grew by `rise_bytes`."""
        return self.window_seconds * RISE_SHARE


class Crossing(Struct, frozen=True, kw_only=True):
    """A GPU's used memory passed a threshold."""

    threshold_percent: float
    """As set."""
    used_percent: float
    """100 * used / total, when it was noticed."""
    above: bool
    """False: it fell back below."""


class TraceStep(Struct, frozen=True, array_like=True, gc=False):
    """One step in the history of an allocator, in its own words."""

    action: str
    address: int
    size: int
    stream: int | None = None
    time_us: int | None = None
    """Unix time in microseconds."""
    stack: int | None = None
    """Index into the `stacks` beside it."""
    pool: tuple[int, int] | None = None
    """None: not told."""
    tag: str | None = None
    """The program's own note."""


class TraceSegment(Struct, frozen=True, array_like=True, gc=False):
    """Memory that an allocator got from the driver in one piece; its blocks tile it."""

    address: int
    size: int
    stream: int = 0
    pool: tuple[int, int] | None = None
    """None: not told."""
    small: bool = False
    """It serves small requests alone."""
    expandable: bool = False
    """A mapped stretch of an expandable segment."""
    recorded: bool = False
    """Its making is in the history, or was."""


class TraceScope(Struct, frozen=True, array_like=True, gc=False):
    """Where a scope that the program named begins or ends."""

    name: str
    stage: Literal["START", "END"]
    time_us: int
    """Unix time in microseconds."""


class TraceSettings(Struct, frozen=True, kw_only=True):
    """What decides how an allocator cuts its blocks."""

    max_split_bytes: int | None = None
    """None: no such limit."""
    expandable: bool = False
    """Expandable segments are on."""
    divisions: tuple[int, ...] = ()
    """Of the steps between two powers of two, for requests below 2 MiB, from 2 to 4 MiB, ..."""
    memory_fraction: float | None = None
    """Of the GPU's memory, that the program may have (`torch.cuda.set_per_process_memory_fraction`); None: all, or not
    known."""


class OutOfMemory(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An allocation that failed, and the state of the allocator that could not serve it."""

    source: str
    requested_bytes: int
    thread_id: int | None
    """Who asked."""
    device_total_bytes: int | None
    device_free_bytes: int | None
    allocator: Allocator | None
    trace: tuple[TraceStep, ...]
    """The last steps, oldest first."""
    stacks: tuple[tuple[str, ...], ...]
    """Innermost first, as `file:line function`."""
    block_stacks: tuple[int, ...] = ()
    """Of each block of `allocator`: index into `stacks`, -1 where that is not known. Absent, as what follows, where
    the agent did not tell it."""
    segments: tuple[TraceSegment, ...] = ()
    """Those of the blocks, by address."""
    settings: TraceSettings | None = None
    """How the allocator cut its blocks."""
    scopes: tuple[TraceScope, ...] = ()
    """The newest, oldest first."""
    host_pinned_bytes: int | None = None
    """Pinned memory of the host that the program held then, where PyTorch recorded it (2.14, `record_host=True`)."""


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened, with the wall time at which it was noticed. Keys that do not apply are absent."""

    kind: EventKind
    """What sort of thing."""
    timestamp: float
    """Unix seconds."""
    message: str
    """The same in words."""
    gpu_uuid: str | None = None
    """Device it happened on."""
    pid: int | None = None
    """Process it happened to."""
    code: int | None = None
    """The driver's number, such as the Xid."""
    uid: int | None = None
    """Owner of the process."""
    oom: OutOfMemory | None = None
    """What an agent saw, for an event of this kind."""
    process: ProcessLife | None = None
    """The process that started, ended, or left memory behind."""
    growth: Growth | None = None
    """For `memory_growth`."""
    threshold: Crossing | None = None
    """For `threshold`."""
