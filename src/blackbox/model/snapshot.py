"""The snapshot: the immutable merge of all samples of one instant, in the shape of the API contract.

A key of the contract is always present and of its documented type. Where nobody could measure a value it is 0 or
empty **and** named in the `unknown` of the same object, with the reason. Keys beyond the contract may be null.
All sizes are bytes.
"""

from typing import Any, Literal

from msgspec import Struct

from blackbox.model.parts import (
    AddressingMode,
    BlockType,
    GivenTo,
    GpuState,
    MemoryLimit,
    MigInstance,
    ProcessKind,
    ThreadState,
    Workload,
)
from blackbox.model.quantity import Bytes, Count, Percent, Ratio
from blackbox.model.status import SourceStatus

SCHEMA_VERSION = 1


class Process(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One process on one GPU or MIG instance."""

    pid: int
    """Process id, in the server's pid namespace."""
    name: str
    """The kernel's name of the process (comm), never its arguments."""
    used_bytes: Bytes
    """What the driver gave the process; equals nvidia-smi. Source: NVML, else the allocator's reserved bytes."""
    reserved_bytes: Bytes
    """What its allocator holds from the driver. Source: agent, else `used_bytes`."""
    gpu: int
    """Index of the GPU (of the parent, for a MIG instance)."""
    gpu_uuid: str
    """UUID of the device: the MIG instance where there is one."""
    allocated_bytes: Bytes | None
    """Live inside `reserved_bytes`. Source: agent; null without one."""
    user: str | None
    """Owner of the process."""
    container: str | None
    """Container id from the cgroup; null outside containers."""
    start_time: float | None
    """Unix seconds; pid and start time together identify the process."""
    kind: ProcessKind
    """Which of the driver's lists names it."""
    limit: MemoryLimit | None = None
    """What it may hold of the GPU, by its cgroup or by its own settings (which an agent tells), where that is less than
    the GPU has; of several the one that leaves least. Absent without a limit."""
    workload: Workload | None = None
    """Pod, runtime of the container, Slurm job and step, as its cgroup names them. Absent where it names none."""
    purposes: dict[str, Bytes] | None = None
    """What its `reserved_bytes` are for, by purpose: `weight`, `gradient`, `optimizer`, `activation`, `kv_used`,
    `communication`, `workspace` and `other` are live; `kv_cached` may be evicted; `cached` is free in the allocator.
    Without those that are 0; absent where no allocator tells its blocks."""
    unknown: dict[str, str] = {}
    """Key of this object -> why its value was not measured. Absent when everything was."""


class Thread(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A thread and the live GPU memory it allocated. Without an agent: one row per process, on its main thread."""

    thread_id: int
    """OS thread id."""
    allocated_bytes: Bytes
    """Sums over a process to its `allocated_bytes`, or to its `used_bytes` where that is null."""
    state: ThreadState
    """`running`: on a CPU now; `active`: ran or allocated since the last sample; `waiting`: asleep."""
    pid: int
    """Process it belongs to."""
    gpu: int
    """Index of the GPU (of the parent, for a MIG instance)."""
    name: str | None
    """The kernel's name of the thread."""
    unknown: dict[str, str] = {}
    """Key of this object -> why its value was not measured. Absent when everything was."""


class Block(Struct, frozen=True, omit_defaults=True, gc=False):
    """A block of GPU memory. Keys beyond the contract are left out of a block where they are unknown."""

    block_id: int
    """Unique in one snapshot; the same block keeps its id while it lives."""
    address: int
    """Device address; 0 if unknown."""
    size: Bytes
    """Bytes."""
    type: BlockType
    """What it is for. See `type_source` for how that is known."""
    allocated: bool
    """Held by a tensor or a page table."""
    utilized: bool
    """Holds live data now; implies `allocated`."""
    pid: int
    """Process that holds it."""
    gpu: int
    """Index of the GPU (of the parent, for a MIG instance)."""
    requested_bytes: Bytes | None = None
    """What the program asked for, before the allocator rounded up."""
    subtype: str | None = None
    """Finer than `type`: `optimizer`, `gradient`, `kv_page`, `kv_pages`, `kv_padding`, `graph_pool`, `opaque`."""
    type_source: str | None = None
    """How the type is known: `framework`, `tensor`, `tag` or `profiler` (told), `residual` (inferred), `stack`,
    `annotation` or `pattern` (inferred from a trace), `none` (not known)."""
    thread_id: int | None = None
    """OS thread id of the thread that allocated it."""
    stream: int | None = None
    """CUDA stream it was allocated on."""


class BlockGroup(Struct, frozen=True, kw_only=True, gc=False):
    """Blocks of one process and GPU that are alike, counted: the answer to `?blocks=summary`."""

    pid: int
    """Process that holds them."""
    gpu: int
    """Index of the GPU (of the parent, for a MIG instance)."""
    type: BlockType
    """As in a block."""
    allocated: bool
    """As in a block."""
    utilized: bool
    """As in a block."""
    count: Count
    """Number of blocks."""
    size: Bytes
    """Sum of the sizes."""
    subtype: str | None = None
    """As in a block."""


class Stack(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Live memory of one process on one GPU by the stack that allocated it."""

    pid: int
    """Process that holds it."""
    gpu: int
    """Index of the GPU (of the parent, for a MIG instance)."""
    frames: tuple[str, ...]
    """Innermost first, as `file:line function`; empty for all that is of unknown stack, or of one too small to tell."""
    type: BlockType
    """What the memory is for, as in a block."""
    allocated_bytes: Bytes
    """Sum of the sizes of its live blocks."""
    subtype: str | None = None
    """Finer than `type`, as in a block."""
    blocks: Count | None = None
    """Number of its live blocks; left out where it is not known."""


class KernelMetrics(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the kernels of one process do. `available: false` means zeros and a `reason`."""

    atomic_operations: Count
    """Atomic operations of its kernels."""
    threads_per_block: Count
    """Threads in a CUDA thread block."""
    occupancy: Percent
    """Warps resident on the streaming multiprocessors, % of the most they can hold."""
    active_blocks: Count
    """Thread blocks resident."""
    memory_throughput: Count
    """Bytes per second between the GPU and its DRAM."""
    dram_read_bytes: Bytes
    """Bytes its kernels read from the GPU's DRAM."""
    dram_write_bytes: Bytes
    """Bytes its kernels wrote to the GPU's DRAM."""
    available: bool
    """Whether anything was measured; false means zeros and a `reason`."""
    scope: Literal["process", "device", "kernel"] | None
    """What was measured: this process alone, the whole device while the process was alone on it, or single kernels."""
    source: str | None
    """Who measured: `cupti`, `gpm`, `ncu`, `pm_sampling`, `simulated`."""
    reason: str | None
    """Why `available` is false."""
    program: str | None = None
    """Path of the program whose kernels these are, in what `blackbox import` prints; absent where it is not told."""
    unknown: dict[str, str] = {}
    """Key of this object -> why its value was not measured. Absent when everything was."""


class Fragmentation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the allocators' memory is cut up, over the processes whose allocators report."""

    external_ratio: Ratio | None
    """1 - largest free block / all free bytes."""
    internal_ratio: Ratio | None
    """1 - requested / allocated: lost to rounding."""
    cached_ratio: Ratio | None
    """1 - allocated / reserved: held but not in use."""
    largest_free_bytes: Bytes | None
    """The largest request that needs no new memory from the driver."""
    unknown: dict[str, str] = {}
    """Key of this object -> why its value was not measured. Absent when everything was."""


class Xid(Struct, frozen=True, kw_only=True):
    """The driver's last error report on a GPU."""

    code: int
    """NVIDIA's number of the error."""
    timestamp: float
    """Unix seconds."""


class Gpu(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One GPU, or one MIG instance of the GPU `parent_uuid`, with its own ledger."""

    index: int
    """The driver's index (of the parent, for a MIG instance). A convenience; it may change at a reboot."""
    uuid: str
    """Identity of the device."""
    name: str
    """Product name."""
    state: GpuState
    """`ok`; `asleep`: powered down by the kernel, and asking would wake it; `stale`: no new figures; `lost`: the driver
    lost it; `no_access`; `failed`."""
    reason: str | None
    """Why `state` is not `ok`."""
    age_seconds: float
    """Age of the memory figures when the snapshot was made."""
    total_bytes: Bytes
    """Source: NVML memory v2, else v1. `total = used + free + driver_reserved`, exactly."""
    used_bytes: Bytes
    """Allocated by programs; equals nvidia-smi's "used"."""
    free_bytes: Bytes
    """Not allocated."""
    driver_reserved_bytes: Bytes
    """Kept by driver and firmware."""
    reserved_bytes: Bytes
    """Sum of `reserved_bytes` of the processes on it."""
    unattributed_bytes: int
    """`used_bytes` minus what the processes listed on it use; negative where they share memory."""
    used_percent: Percent
    """100 * used / total, two decimals; 0 when total is 0."""
    memory_source: str | None
    """Driver call that told its memory: `nvml_v2`, `nvml_v1`, `amdgpu`, `simulated`. `amdgpu_vram_gtt`: a processor
    with graphics, carve-out and machine's memory together. `system`: the machine's memory; the GPU has none."""
    parent_uuid: str | None
    """UUID of the GPU it is a slice of; null for a whole GPU."""
    mig: MigInstance | None
    """Place inside its parent; null for a whole GPU."""
    utilization_percent: Percent | None
    """Share of time in which a kernel ran. Source: NVML."""
    temperature_celsius: float | None
    """Temperature of the GPU. Source: NVML."""
    power_watts: float | None
    """Power drawn by the GPU. Source: NVML."""
    xid: Xid | None
    """Last Xid seen since the server started; null when there was none."""
    addressing_mode: AddressingMode | None = None
    """How it reads the machine's memory: `hmm`: the kernel mirrors page tables; `ats`: it uses the processor's own, as
    coherent GPUs do (GH200, GB200). Absent where neither is told."""
    allocated_bytes: Bytes | None = None
    """Live memory inside `reserved_bytes`, of the processes whose allocators tell it; null where none does."""
    numa_node: int | None = None
    """The kernel's NUMA node that its memory is: what a program held there may stay in use after its end. Absent
    otherwise."""
    given_to: tuple[GivenTo, ...] | None = None
    """Containers of pods that were given it, as of a minute ago at most, whether they use it or not; of a GPU with MIG
    instances those that were given all of it. Empty: nobody was. Absent where no kubelet is asked, or it does not tell
    (`unknown`). Source: the kubelet's PodResources."""
    unknown: dict[str, str] = {}
    """Key of this object -> why its value was not measured. Absent when everything was."""


class Engine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An inference engine and its KV cache."""

    kind: str
    """`vllm`, `sglang`, `llama.cpp`, `triton`, `ollama`, `lmdeploy`, `tensorrt-llm`, `tgi`."""
    pid: int | None
    """Its process on the GPU; null when not found."""
    model: str | None
    """Name of the model it serves."""
    kv_pages_total: Count | None
    """Pages of its KV cache."""
    kv_pages_used: Count | None
    """Pages referenced by a request."""
    kv_pages_cached: Count | None
    """Pages that hold a prefix nobody references now; evictable."""
    kv_usage_ratio: Ratio | None
    """Used pages / all pages, in the engine's own words."""
    prefix_hit_ratio: Ratio | None
    """Prefix cache hits / queries since the engine started."""
    requests_running: Count | None
    """Requests being worked on."""
    requests_waiting: Count | None
    """Requests queued."""
    preemptions_total: Count | None
    """Requests thrown out of the cache since the engine started."""
    sleeping: bool | None
    """Whether its model is out of the GPU's memory for now, by a sleep mode of its own; null where it does not tell."""
    pids: tuple[int, ...]
    """Its processes on GPUs: its own, and those of its workers. Empty where that is not known."""
    gpus: tuple[int, ...]
    """Indices of the GPUs, of those selected, that these processes hold memory on."""
    age_seconds: float | None
    """Age of its figures when the snapshot was made; null where it never told any."""
    unknown: dict[str, str] = {}
    """Key of this object -> why its value was not measured. Absent when everything was."""


class Snapshot(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer of `GET /vram` and of every event of `GET /vram/stream`."""

    total_bytes: Bytes
    """VRAM of the selected GPUs. `total = used + free + driver_reserved`, exactly."""
    used_bytes: Bytes
    """Allocated by programs; equals nvidia-smi's "used"."""
    free_bytes: Bytes
    """Not allocated."""
    reserved_bytes: Bytes
    """Held by the processes' allocators: the sum of `processes[].reserved_bytes`."""
    used_percent: Percent
    """100 * used / total, two decimals; 0 when total is 0."""
    active_blocks: Count
    """Blocks utilized, counted before any are cut from the answer."""
    free_blocks: Count
    """Blocks not utilized, counted likewise."""
    atomic_allocations_bytes: Bytes
    """Bytes in indivisible live allocations: the sizes of the utilized blocks."""
    fragmentation_ratio: Ratio
    """Share of allocator-held memory stranded by its neighbours: inactive split bytes / reserved bytes."""
    processes: tuple[Process, ...]
    """One row per process and GPU (or MIG instance)."""
    threads: tuple[Thread, ...]
    """Who allocated: one row per owning thread, or one per process where owners are unknown."""
    blocks: tuple[Block, ...]
    """Sum of sizes over a process on a GPU = its `used_bytes`."""
    nsight_metrics: dict[str, KernelMetrics]
    """Key: pid as text; one entry per GPU process."""
    driver_reserved_bytes: Bytes
    """Kept by driver and firmware."""
    unattributed_bytes: int
    """`used_bytes` minus the sum of the processes' `used_bytes`; signed."""
    fragmentation: Fragmentation | None
    """null when no allocator reports."""
    gpus: tuple[Gpu, ...]
    """MIG instances stand behind their parents, which alone count in the sums."""
    engines: tuple[Engine, ...]
    """Inference engines found."""
    sources: tuple[SourceStatus, ...]
    """Health of every source of numbers."""
    blocks_omitted: Count
    """Blocks cut from `blocks` by the cap or by `?blocks=`; the sums and counts include them."""
    blocks_summary: tuple[BlockGroup, ...] | None
    """With `?blocks=summary` and `?blocks=stacks`; null otherwise."""
    stacks: tuple[Stack, ...] | None
    """Who allocated, in the program's code: rows of a process on a GPU sum to its `allocated_bytes`. null where no
    program records the history of its allocator, and without `?blocks=full` or `?blocks=stacks`."""
    schema: int
    """Version of this shape."""
    seq: int
    """Sample number since the server started; the `id:` of a stream event."""
    timestamp: str
    """UTC time of the snapshot, RFC 3339."""
    age_seconds: float
    """Age of the oldest memory figure or process list when the snapshot was made; `engines[]` have their own."""
    host: str
    """Name of the machine."""
    simulated: bool
    """True when the numbers come from the simulator (`--demo`)."""
    unknown: dict[str, str] = {}
    """Key of this object -> why its value was not measured. Absent when everything was."""

    def to_pandas(self, of: Literal["processes", "gpus", "blocks", "threads", "engines"] = "processes") -> Any:
        """A `pandas.DataFrame` with a line per process, or what `of` names; what nobody measured is missing in it.
        Raises `ImportError` where there is no pandas."""
        from blackbox.model.notebook import data_frame, rows_of

        return data_frame(rows_of(getattr(self, of)))

    def _repr_html_(self) -> str:
        """Each GPU as a bar of its processes, and the processes as a table."""
        from blackbox.model.notebook import snapshot_html

        return snapshot_html(self)
