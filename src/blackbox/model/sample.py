"""A sample: everything one source saw at one instant. Its parts stand in `model.parts`, its events in `model.event`."""

from msgspec import Struct

from blackbox.model.event import Ended, Event
from blackbox.model.parts import Allocator, Device, DeviceProcess, GivenGpus, InferenceEngine, KernelCounters
from blackbox.model.status import SourceState, UserStatus


class ProcessExit(Struct, frozen=True, kw_only=True):
    """How a process ended, as a source beside it saw."""

    pid: int
    start_time: float | None
    """Unix seconds."""
    timestamp: float
    """Unix seconds; when it was noticed."""
    name: str | None
    uid: int | None
    ended: Ended
    signal: int | None = None
    exit_code: int | None = None
    exception: str | None = None
    gpu_uuids: tuple[str, ...] = ()
    """Devices on which its allocators held memory, as last told."""


class Sample(Struct, frozen=True, kw_only=True, rename={"process_exits": "endings"}):
    """Everything one source saw in one go. An empty sample with a `state` and a `reason` is a valid answer."""

    source: str
    taken_at: float
    state: SourceState = "ok"
    reason: str | None = None
    """Why `state` is not `ok`, and what to do about it, in one line."""
    simulated: bool = False
    devices: tuple[Device, ...] = ()
    processes: tuple[DeviceProcess, ...] = ()
    processes_taken_at: float | None = None
    """When the process list was read, where that is rarer than the sample."""
    allocators: tuple[Allocator, ...] = ()
    kernels: tuple[KernelCounters, ...] = ()
    engines: tuple[InferenceEngine, ...] = ()
    events: tuple[Event, ...] = ()
    process_exits: tuple[ProcessExit, ...] = ()
    """Of the last minute: each is in many samples."""
    given: GivenGpus | None = None
    """Which GPUs were given to pods; None of a source that does not ask."""
    cost: dict[str, float] = {}
    """What the sample cost the machine: base units in the name (`cpu_seconds_total`, `driver_calls_total`)."""
    facts: dict[str, str] = {}
    """Static facts: `driver_version`, `nvml_version`, `pid_scope`."""
    of_users: tuple[UserStatus, ...] = ()
    """What `reason`, `cost` and `facts` leave out: it is about programs, and for their owners."""
