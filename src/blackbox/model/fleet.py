"""Answers about a fleet: what many machines' servers shipped to one database. Times are Unix seconds, sizes bytes; what
nobody measured is null."""

from msgspec import Struct

from blackbox.model.quantity import Bytes, Count

HOSTS_NAMED_MAX = 20
"""Of machines that are late or unknown, in one answer: who has more looks at the list of machines."""


class FleetCover(Struct, frozen=True, kw_only=True):
    """How much of the fleet an answer is of. Where it is not `whole`, its sums are too small."""

    whole: bool
    """There are machines, every one is fresh, and every shard answered."""
    machines: Count
    """Machines that the database knows, on the shards that answered."""
    fresh: Count
    """Of these, with all that they shipped up to the time asked for; of now, up to some minutes ago."""
    late: Count
    """Of these, whose servers have not shipped so far yet: what they hold is not in the answer."""
    unknown: Count
    """Of these, with nothing recorded then: the server was off, or never shipped, or shipped a gap."""
    late_hosts: tuple[str, ...]
    """Names of the late, the first 20."""
    unknown_hosts: tuple[str, ...]
    """Names of the unknown, likewise."""
    twice_hosts: tuple[str, ...]
    """Names of machines that two recordings tell of at that time, the first 20: two servers, or one whose recording was
    shipped once more. Of each GPU the newest counts; a machine of which no GPU is left is not counted above."""
    shards: Count | None
    """Shards of the database; null where the database does not tell: then one that does not answer is an error."""
    missing_shards: tuple[str, ...]
    """Shards that did not answer, by number and address: their machines are not in the answer, nor counted above."""


class FleetLedger(Struct, frozen=True, kw_only=True):
    """Memory of whole GPUs, summed; `total = used + free + driver_reserved`."""

    total_bytes: Bytes
    """Memory of the GPUs."""
    used_bytes: Bytes
    """Allocated by programs."""
    free_bytes: Bytes
    """Not allocated."""
    driver_reserved_bytes: Bytes
    """Kept by driver and firmware."""
    unattributed_bytes: int | None
    """Used, minus what the processes listed use; null where what some process uses is not known."""
    unmeasured_gpus: Count
    """GPUs whose memory nobody measured: they are in no sum here."""


class FleetMachineAt(Struct, frozen=True, kw_only=True):
    """A machine at a time."""

    tenant: str
    """Whose machine it is; empty without tenants."""
    machine: str
    """Identity of the machine."""
    host: str
    """Its name."""
    timestamp: float
    """Of the moment that its numbers are of."""
    gpus: Count
    """Whole GPUs."""
    processes: Count
    """Rows of processes, each of a process on a GPU."""
    ledger: FleetLedger
    """Of its GPUs."""
    omitted_processes: Count
    """Processes that its server shipped no rows of, since they are too many."""
    omitted_used_bytes: Bytes
    """What these use."""


class FleetProcess(Struct, frozen=True, kw_only=True):
    """A process on a GPU of some machine."""

    tenant: str
    """Whose machine it is."""
    machine: str
    """Identity of the machine."""
    host: str
    """Its name."""
    gpu: int | None
    """Index of the GPU (of the parent, for a MIG instance)."""
    gpu_uuid: str
    """UUID of the GPU, or of the MIG instance."""
    pid: int
    """Process id on that machine."""
    start_time: float | None
    """Start of the process; with the pid, its identity."""
    name: str | None
    """The kernel's name of the process."""
    user: str | None
    """Its owner, in the words of the server that shipped it: a hash unless that was told otherwise."""
    container: str | None
    """Container id."""
    namespace: str | None
    """Kubernetes namespace of its pod."""
    pod: str | None
    """Name of its pod."""
    pod_uid: str | None
    """Uid of its pod."""
    slurm_job: str | None
    """Number of its Slurm job."""
    slurm_step: str | None
    """Step of that job."""
    used_bytes: Bytes | None
    """What the driver gave it."""
    reserved_bytes: Bytes | None
    """What its allocator holds; null where no allocator reports."""
    allocated_bytes: Bytes | None
    """Live in its allocator; null where no allocator reports."""


class FleetAt(Struct, frozen=True, kw_only=True):
    """Who held what on every machine at a time."""

    asked: float
    """The time asked for."""
    cover: FleetCover
    """How much of the fleet this is."""
    ledger: FleetLedger
    """Sums over `machines`."""
    machines: tuple[FleetMachineAt, ...]
    """Those with numbers of that time, the fullest first."""
    processes: tuple[FleetProcess, ...]
    """The largest, largest first."""
    processes_omitted: Count
    """Rows of processes beyond the limit; sums and counts include them."""


class FleetHolder(Struct, frozen=True, kw_only=True):
    """Whoever holds memory, summed over machines."""

    name: str | None
    """A job, pod, user, ... as asked for; null: of whom nobody told."""
    processes: Count
    """Rows of processes."""
    gpus: Count
    """GPUs and MIG instances that it is on."""
    machines: Count
    """Machines that it is on."""
    used_bytes: Bytes | None
    """What the driver gave it."""
    reserved_bytes: Bytes | None
    """Held by allocators that report."""
    allocated_bytes: Bytes | None
    """Live in allocators that report."""
    silent: Count
    """Processes whose allocators report nothing: they are in no number of allocators."""


class FleetTop(Struct, frozen=True, kw_only=True):
    """Who holds the most at a time."""

    asked: float
    """The time asked for."""
    by: str
    """What processes are gathered by."""
    cover: FleetCover
    """How much of the fleet this is."""
    holders: tuple[FleetHolder, ...]
    """The largest first."""
    all: FleetHolder
    """All processes together, those of holders beyond the limit too."""


class FleetWaster(Struct, frozen=True, kw_only=True):
    """Memory that somebody's allocators held and that nothing lived in, over a range of hours."""

    name: str | None
    """A job, pod, user, ... as asked for; null: of whom nobody told."""
    processes: Count
    """Processes whose allocators report."""
    machines: Count
    """Machines that they were on."""
    held_byte_hours: float
    """At least this was held, times hours: of each process and hour the least that its allocator held."""
    never_used_byte_hours: float
    """Of that, what nothing lived in for the whole hour: the least held minus the most that was live. A lower bound."""


class FleetEmptyGpu(Struct, frozen=True, kw_only=True):
    """A GPU that a scheduler gave to a job or to a pod, and that no process was on."""

    tenant: str
    """Whose machine it is."""
    host: str
    """Name of the machine."""
    gpu_uuid: str
    """UUID of the GPU."""
    scheduler: str
    """`slurm` or `kubernetes`."""
    job: str
    """Number of the Slurm job, or `namespace/pod/container`."""
    user: str | None
    """Owner of the job; null of a pod."""
    since: float
    """When it was given; of a pod the first minute of the range in which it had it."""
    until: float | None
    """When it was given back; null while it lasts, and of a pod that had it when its kubelet told
    last within the range."""
    empty_minutes: Count
    """Minutes of the range without a process on it."""
    seen_minutes: Count
    """Minutes of the range that its machine shipped; of others nobody knows."""


class FleetWaste(Struct, frozen=True, kw_only=True):
    """Memory held in vain."""

    since: float
    """Start of the range, a full hour."""
    until: float
    """End of the range, a full hour."""
    by: str
    """What processes are gathered by."""
    cover: FleetCover
    """How much of the fleet this is."""
    wasters: tuple[FleetWaster, ...]
    """Those that held the most in vain first."""
    silent_processes: Count
    """Processes whose allocators report nothing: of what they waste nobody knows."""
    allocations: Count
    """GPUs given within the range to jobs by a scheduler that tells, or to containers of pods; each pair counts."""
    empty: tuple[FleetEmptyGpu, ...]
    """Of these, the ones that were empty for longest first."""


class FleetLife(FleetProcess, frozen=True, kw_only=True):
    """A process on a GPU from its start to its end; its bytes are the most it ever had."""

    first_seen: float
    """Start of the first minute that lists it."""
    last_seen: float
    """Start of the last minute that lists it."""
    ended_at: float | None
    """When its end was noticed; null while it lives, or nobody saw it end."""
    ended: str | None
    """How: `orderly`, `exception`, `killed`, `abrupt`, `unknown`."""
    signal: int | None
    """Number of the signal that killed it."""
    exit_code: int | None
    """Its exit code."""


class FleetWhere(Struct, frozen=True, kw_only=True):
    """Where a pod, job, user or container was."""

    what: str
    """As asked for."""
    matched: tuple[str, ...]
    """As what it was found: `pod`, `pod_uid`, `slurm_job`, `user`, `container`."""
    since: float
    """Start of the range: lives that ended before are left out."""
    until: float
    """End of the range: lives that began later are left out."""
    cover: FleetCover
    """How much of the fleet this is."""
    lives: tuple[FleetLife, ...]
    """The last seen first."""
    omitted: Count
    """Lives beyond the limit."""


class FleetOom(Struct, frozen=True, kw_only=True):
    """An out-of-memory on some machine."""

    tenant: str
    """Whose machine it is."""
    machine: str
    """Identity of the machine."""
    host: str
    """Its name."""
    timestamp: float
    """When it was noticed."""
    event_id: int
    """Its id in the recording of that machine: `blackbox report ID` there."""
    gpu_uuid: str | None
    """Device it happened on."""
    pid: int | None
    """Process it happened to."""
    name: str | None
    """The kernel's name of that process."""
    user: str | None
    """Its owner."""
    namespace: str | None
    """Kubernetes namespace of its pod."""
    pod: str | None
    """Name of its pod."""
    slurm_job: str | None
    """Number of its Slurm job."""
    requested_bytes: Bytes | None
    """What was asked for."""
    device_free_bytes: Bytes | None
    """Free on the GPU."""
    device_total_bytes: Bytes | None
    """Memory of the GPU."""
    reserved_bytes: Bytes | None
    """Held by its allocator."""
    allocated_bytes: Bytes | None
    """Live in its allocator."""


class FleetOoms(Struct, frozen=True, kw_only=True):
    """Every out-of-memory of a range."""

    since: float
    """Start of the range."""
    until: float
    """End of the range."""
    cover: FleetCover
    """How much of the fleet this is."""
    ooms: tuple[FleetOom, ...]
    """The newest first."""
    omitted: Count
    """Out-of-memories beyond the limit."""


class FleetMachine(Struct, frozen=True, kw_only=True):
    """A machine, and how far its server has come."""

    tenant: str
    """Whose machine it is."""
    machine: str
    """Identity of the machine."""
    host: str
    """Its name."""
    version: str
    """Of its Blackbox."""
    state: str
    """`fresh`, `late`: it has not shipped for some minutes; `unknown`: it never shipped a minute."""
    shipped_until: float | None
    """Up to then all minutes were shipped."""
    ahead_since: float | None
    """While older minutes wait to be shipped: from here on ..."""
    ahead_until: float | None
    """... up to here minutes were shipped ahead of them; null where none wait."""
    recorded_until: float | None
    """The newest moment in its recording."""
    gaps: Count
    """Stretches that were lost before they were shipped."""
    updated: float
    """When its server said so, by its own clock."""
    simulated: bool
    """Its numbers are a simulation's."""


class FleetMachines(Struct, frozen=True, kw_only=True):
    """All machines."""

    asked: float
    """When."""
    cover: FleetCover
    """How much of the fleet this is."""
    machines: tuple[FleetMachine, ...]
    """Those that are behind first."""
