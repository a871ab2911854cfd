"""What a report says, as plain data: `blackbox.report.builder` fills it, `text` and `page` only print it."""

from msgspec import Struct

from blackbox.analysis.advice import FailureAdvice
from blackbox.analysis.diagnosis import AllocatorCache, FailedRequest, ProcessShare, UsageChange
from blackbox.analysis.stacks import StackGrowth
from blackbox.analysis.trace.device_findings import DeviceFindings
from blackbox.analysis.usage import GpuSummary, SnapshotSummary
from blackbox.analysis.verdict import Cause, ToldCause
from blackbox.model.event import Event
from blackbox.model.snapshot import Block, Engine, Snapshot
from blackbox.sources.memory_snapshot.replayed import DeviceTimeline, Told


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
    gpu: GpuSummary | None
    """The GPU in question."""
    request: FailedRequest | None
    """None: nothing failed, the report only shows the state."""
    causes: tuple[ToldCause, ...]
    """The first is the one to act on; empty where nothing failed."""
    why: tuple[str, ...]
    """The cause in sentences, each with its numbers."""
    cache: AllocatorCache | None
    subject: str | None
    """The process in question, in words."""
    processes: tuple[ProcessShare, ...]
    """Holders of memory on the GPU in question, largest first."""
    uses: tuple[UsageChange, ...]
    """What the memory of the process in question is for, largest first."""
    growth: StackGrowth | None
    """Its allocations by stack, where it kept a trace."""
    advice: tuple[FailureAdvice, ...]
    blocks: tuple[Block, ...]
    """The block map of the process in question."""
    summaries: tuple[SnapshotSummary, ...]
    subject_pid: int | None
    engines: tuple[Engine, ...]
    events: tuple[Event, ...]
    last: Snapshot
    traced: tuple[DeviceFindings, ...]
    """What the traces of a snapshot file tell, by device."""
    traced_gpu: int | None
    """The one of these that the report is about."""
    told: Told | None
    """That one at the moment in question, and over time."""
    others: tuple[DeviceTimeline, ...]
    """The other GPUs of a snapshot file over time."""
    notes: tuple[str, ...]
    """What is not known, and why."""

    @property
    def cause(self) -> Cause | None:
        """The first cause."""
        return self.causes[0].cause if self.causes else None
