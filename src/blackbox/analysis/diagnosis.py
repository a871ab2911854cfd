"""What is known of a failed allocation, and whether memory had grown before it as a leak does."""

from typing import Literal

from msgspec import Struct

from blackbox.analysis.stacks import StackGrowth
from blackbox.analysis.trace.device_findings import AllocatorMoment
from blackbox.analysis.usage import FREE_IN_CACHE, PENDING, GpuSummary
from blackbox.model.snapshot import Engine

SIGNIFICANT_SHARE = 0.05
"""Share of the GPU's memory: smaller changes do not explain why it is full."""
STEADY_FALL_SHARE = 0.1
"""Growth is steady when it never fell by more than this share of its rise."""
THIRD_SHARE_MIN = 0.1
"""And when each third of the time has at least this share of it: what is loaded or made once is no leak."""
NO_LEAKS = frozenset((FREE_IN_CACHE, "weights", "optimizer state"))
"""Uses that grow while a program starts, and then never again."""


class FailedRequest(Struct, frozen=True, kw_only=True):
    """The allocation that failed, and the memory that was free for it. None: not reported."""

    time: float
    """Unix seconds."""
    requested_bytes: int
    device_free_bytes: int | None
    missing_bytes: int | None
    """How much more was requested than was free on the device."""
    others_bytes: int | None
    """Memory of the device that other processes held."""
    thread: str | None
    """Name and id of the thread that asked."""


class AllocatorCache(Struct, frozen=True, kw_only=True):
    """What the allocator of the process in question held, and kept free in its cache."""

    reserved_bytes: int
    allocated_bytes: int
    free_bytes: int
    """Reserved and not in use."""
    stranded_bytes: int | None
    """Of these, bytes that cannot be returned to the driver because of live blocks in the same segments."""
    largest_hole_bytes: int | None
    """The largest request that the allocator could serve without new memory from the driver."""
    usable_bytes: int | None = None
    """Free for the request that failed: same pool, stream and kind of segment; None where that is not known."""
    unusable: dict[str, int] = {}
    """Bytes that were free and could not serve it, by the reason (`blackbox.analysis.trace.moments`)."""
    expandable: bool | None = None
    """Expandable segments were on; None: not known."""

    @property
    def free_for_request_bytes(self) -> int:
        """As far as that is known."""
        return self.free_bytes if self.usable_bytes is None else self.usable_bytes


class UsageChange(Struct, frozen=True, kw_only=True):
    """How the memory of a process, or of one use, changed over the time reported."""

    what: str
    before_bytes: int
    after_bytes: int
    fell_bytes: int
    """The largest fall from a peak to a later level; 0 when it never fell."""
    rises: tuple[int, ...] = ()
    """How much it grew in each third of that time; empty where too few instants are known."""
    is_new: bool = False
    """It held nothing at the beginning."""

    @property
    def rise_bytes(self) -> int:
        return self.after_bytes - self.before_bytes


class ProcessShare(Struct, frozen=True, kw_only=True):
    """What one process holds of the GPU in question."""

    pid: int
    name: str
    label: str
    """Name and pid, for people."""
    user: str | None
    used_bytes: int
    uses: dict[str, int]
    """Use of memory -> bytes; empty where no allocator reports."""
    change: UsageChange
    is_failed: bool


class KnownLimit(Struct, frozen=True, kw_only=True):
    """Less than the GPU has, for the process in question."""

    kind: Literal["cgroup", "mig", "fraction"]
    """Its cgroup; the MIG instance that it runs on; the share of the GPU that its own allocator allows it."""
    limit_bytes: int | None
    """None: a share of a GPU whose size nobody told."""
    used_bytes: int | None
    """Held of it when last seen."""
    whole_free_bytes: int | None
    """Free on the whole GPU then."""
    share: float | None = None
    """Of the GPU's memory, where that is what limits it."""


class FailedAllocation(Struct, frozen=True, kw_only=True):
    """What is known about a failed allocation; the input of diagnosis and advice."""

    request: FailedRequest | None
    cache: AllocatorCache | None
    processes: tuple[ProcessShare, ...]
    uses: tuple[UsageChange, ...]
    growth: StackGrowth | None
    gpu: GpuSummary | None
    engines: tuple[Engine, ...]
    limit: KnownLimit | None = None
    """None where nothing limits the process to less than the GPU, or nobody told."""
    trace_growth: UsageChange | None = None
    """What was held from step to step of a replayed trace; None where it has too few steps."""
    step_peaks: tuple[int, ...] = ()
    """The most that each step of that trace held, oldest first."""

    @property
    def failed_process(self) -> ProcessShare | None:
        return next((process for process in self.processes if process.is_failed), None)

    @property
    def others(self) -> list[ProcessShare]:
        """Other processes on the GPU, largest first."""
        return [process for process in self.processes if not process.is_failed]


def steady_growth(failure: FailedAllocation) -> UsageChange | None:
    """The memory that grew the most without falling, and all the time, as a leak does: of one use over the recording,
    or all that was held from step to step of a trace. None where none did."""
    if failure.trace_growth is not None:
        held = failure.cache.allocated_bytes if failure.cache is not None else failure.trace_growth.after_bytes
        return failure.trace_growth if _is_steady(failure.trace_growth, held) else None
    if failure.gpu is None:
        return None
    total = failure.gpu.total_bytes
    steady = [use for use in failure.uses if use.what not in NO_LEAKS and _is_steady(use, total)]
    return max(steady, key=lambda use: use.rise_bytes, default=None)


def _is_steady(change: UsageChange, total: int) -> bool:
    rise = change.rise_bytes
    if rise <= 0 or rise < SIGNIFICANT_SHARE * total or change.fell_bytes > STEADY_FALL_SHARE * rise:
        return False
    return bool(change.rises) and min(change.rises) >= THIRD_SHARE_MIN * rise


def uses_of_moment(moment: AllocatorMoment) -> tuple[UsageChange, ...]:
    """What the memory of a traced moment was for; with what was not allocated, all that was reserved."""
    held = {share.category: share.bytes for share in moment.by_category}
    held[PENDING] = moment.active_bytes - moment.bytes
    held[FREE_IN_CACHE] = moment.reserved_bytes - moment.active_bytes
    return tuple(
        UsageChange(what=what, before_bytes=count, after_bytes=count, fell_bytes=0)
        for what, count in held.items()
        if count
    )
