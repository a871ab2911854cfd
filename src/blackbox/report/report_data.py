"""What a report says, as plain data: `blackbox.report.analysis` fills it, text and page only print it."""

from typing import Literal

from msgspec import Struct

from blackbox.model.sample import Event
from blackbox.model.snapshot import Block, Engine, Snapshot
from blackbox.report.readings import GpuReading, Reading
from blackbox.report.stacks import Growth

Cause = Literal["fragmentation", "neighbour", "shortage", "limit", "unknown"]
"""`fragmentation`: enough was free, in too small pieces; `neighbour`: another process has what was missing; `shortage`:
the program needs more than there is; `limit`: the device had enough, something else refused; `unknown`: not told."""


class Request(Struct, frozen=True, kw_only=True):
    """The allocation that failed, and what stood against it. None: nobody told."""

    time: float
    """Unix seconds."""
    requested_bytes: int
    device_free_bytes: int | None
    missing_bytes: int | None
    """Requested beyond what was free on the device."""
    others_bytes: int | None
    """Held on the device by other processes."""
    thread: str | None
    """Who asked."""


class Cache(Struct, frozen=True, kw_only=True):
    """The allocator of the process in question."""

    reserved_bytes: int
    allocated_bytes: int
    free_bytes: int
    """Held and not in use."""
    stranded_bytes: int | None
    """Of these, kept from being returned by a live neighbour."""
    largest_hole_bytes: int | None
    """The largest request it could serve without new memory from the driver."""


class Change(Struct, frozen=True, kw_only=True):
    """What grew, or shrank, over the time reported."""

    what: str
    before_bytes: int
    after_bytes: int
    fell_bytes: int
    """The deepest fall from a peak in between; 0 when it only ever grew."""
    is_new: bool = False
    """Not there at the beginning."""

    @property
    def rise_bytes(self) -> int:
        return self.after_bytes - self.before_bytes


class Party(Struct, frozen=True, kw_only=True):
    """A process on the GPU in question."""

    pid: int
    name: str
    label: str
    """Name and pid, for people."""
    user: str | None
    used_bytes: int
    uses: dict[str, int]
    """Empty where no allocator tells."""
    change: Change
    is_failed: bool


class Remedy(Struct, frozen=True, kw_only=True):
    """Something that would have helped."""

    title: str
    text: str
    bytes: int | None
    """Memory it would have made available; None where nobody can tell."""


class Report(Struct, frozen=True, kw_only=True):
    """Everything a report says."""

    title: str
    """What happened, in one sentence."""
    origin: str
    host: str
    simulated: bool
    time: float
    """Unix seconds of the instant reported."""
    since: float
    """Start of the time before it."""
    gpu_uuid: str | None
    gpu: GpuReading | None
    """The GPU in question."""
    request: Request | None
    """None: nothing failed, the report only shows the state."""
    cause: Cause | None
    why: tuple[str, ...]
    """The cause in sentences, each with its numbers."""
    cache: Cache | None
    subject: str | None
    """The process in question, in words."""
    parties: tuple[Party, ...]
    """Holders of memory on the GPU in question, largest first."""
    uses: tuple[Change, ...]
    """What the memory of the process in question is for, largest first."""
    growth: Growth | None
    """Its allocations by stack, where it kept a trace."""
    remedies: tuple[Remedy, ...]
    blocks: tuple[Block, ...]
    """The block map of the process in question."""
    readings: tuple[Reading, ...]
    subject_pid: int | None
    engines: tuple[Engine, ...]
    events: tuple[Event, ...]
    last: Snapshot
    notes: tuple[str, ...]
    """What is not known, and why."""
