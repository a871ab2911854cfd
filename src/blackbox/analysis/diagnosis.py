"""Why an allocation failed: fragmentation, another process, too little memory, or a limit."""

from typing import Literal

from msgspec import Struct

from blackbox.analysis.stacks import StackGrowth
from blackbox.analysis.trace.moments import KEPT_BACK
from blackbox.analysis.usage import FREE_IN_CACHE, GpuSummary
from blackbox.model.snapshot import Engine

SIGNIFICANT_SHARE = 0.05
"""Share of the GPU's memory: smaller changes do not explain why it is full."""
STEADY_FALL_SHARE = 0.1
"""Growth is steady when it never fell by more than this share of its rise."""

Cause = Literal["fragmentation", "neighbour", "shortage", "limit", "unknown"]
"""`fragmentation`: enough was free, in pieces too small; `neighbour`: another process holds what was missing;
`shortage`: the program needs more than there is; `limit`: the device had enough free, something else refused the
request, or a setting kept free memory from it; `unknown`: how much was free is not known, or
enough was in one piece."""


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


class FailedAllocation(Struct, frozen=True, kw_only=True):
    """What is known about a failed allocation; the input of diagnosis and advice."""

    request: FailedRequest | None
    cache: AllocatorCache | None
    processes: tuple[ProcessShare, ...]
    uses: tuple[UsageChange, ...]
    growth: StackGrowth | None
    gpu: GpuSummary | None
    engines: tuple[Engine, ...]

    @property
    def failed_process(self) -> ProcessShare | None:
        return next((process for process in self.processes if process.is_failed), None)

    @property
    def others(self) -> list[ProcessShare]:
        """Other processes on the GPU, largest first."""
        return [process for process in self.processes if not process.is_failed]


def cause_of(failure: FailedAllocation) -> Cause | None:
    """The immediate cause; None when nothing failed."""
    request, cache = failure.request, failure.cache
    if request is None:
        return None
    if request.missing_bytes is None:
        return "unknown"
    if request.missing_bytes == 0:
        return "limit"
    free = 0 if cache is None else cache.free_for_request_bytes
    if cache is not None and free >= request.missing_bytes:
        return "unknown" if (cache.largest_hole_bytes or 0) >= request.requested_bytes else "fragmentation"
    if is_kept_back(failure):
        return "limit"
    short = request.missing_bytes - free
    return "neighbour" if _others_are_to_blame(failure, short) else "shortage"


def is_kept_back(failure: FailedAllocation) -> bool:
    """Whether `max_split_size_mb` kept free what would have been enough."""
    request, cache = failure.request, failure.cache
    if request is None or cache is None or not request.missing_bytes:
        return False
    return cache.free_for_request_bytes + cache.unusable.get(KEPT_BACK, 0) >= request.missing_bytes


def steady_growth(failure: FailedAllocation) -> UsageChange | None:
    """The use of memory that grew the most without falling, as a leak does; None where no use did."""
    if failure.gpu is None:
        return None
    least = SIGNIFICANT_SHARE * failure.gpu.total_bytes
    grown = [use for use in failure.uses if use.what != FREE_IN_CACHE and use.rise_bytes >= least]
    steady = [use for use in grown if use.fell_bytes <= STEADY_FALL_SHARE * use.rise_bytes]
    return max(steady, key=lambda use: use.rise_bytes, default=None)


def _others_are_to_blame(failure: FailedAllocation, short: int) -> bool:
    """Whether other processes hold what was missing, and either hold more than the program itself or took as much as
    was missing within the time reported."""
    others = failure.others
    held = sum(process.used_bytes for process in others)
    own = failure.failed_process
    if held < short:
        return False
    return own is None or held > own.used_bytes or max(process.change.rise_bytes for process in others) >= short
