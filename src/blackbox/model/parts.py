"""The parts of a sample: what one source can see at one instant, before anything is merged or judged.

Every size is in bytes. `taken_at` is seconds on the machine's monotonic clock (comparable between processes of one
machine). `None` means the source could not tell; the reason stands in the part's `unknown`, keyed by field name.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

GpuState = Literal["ok", "asleep", "stale", "lost", "no_access", "failed"]
ProcessKind = Literal["compute", "graphics", "mps"]
BlockType = Literal["kv_cache", "activation", "weight", "other"]
BlockState = Literal["active", "pending_free", "inactive"]
ThreadState = Literal["active", "running", "waiting"]


AddressingMode = Literal["hmm", "ats"]
SYSTEM_MEMORY = "system"
"""Source of the memory of a GPU that has none of its own."""


class Part(Struct, frozen=True, kw_only=True, gc=False):
    """Base of all parts of a sample. None refers to itself, so Python's collector need not go through the thousands
    that a minute of moments holds."""

    unknown: dict[str, str] = {}
    """Field name -> why its value could not be measured."""


class Memory(Struct, frozen=True, kw_only=True):
    """One device's memory; `total_bytes == used_bytes + free_bytes + driver_reserved_bytes`, exactly."""

    total_bytes: int
    used_bytes: int
    free_bytes: int
    driver_reserved_bytes: int
    source: str
    """Which driver call said so: `nvml_v2`, `nvml_v1`, `amdgpu`, `simulated`; `amdgpu_vram_gtt`: a processor with
    graphics, whose programs use both; `system`: the machine's memory, since the GPU has none of its own."""


class MigInstance(Struct, frozen=True, kw_only=True):
    """Place of a MIG device inside its parent GPU, in the driver's numbers."""

    gpu_instance_id: int
    """The slice of the GPU's memory."""
    compute_instance_id: int
    """The share of that slice's compute units."""
    profile: str | None = None
    """The driver's name of the slice size, such as `1g.10gb`."""


def gpu_name(index: int, mig: MigInstance | None) -> str:
    """`GPU 0`, `GPU 2 / MIG 1`: a MIG instance is called by its GPU's index and its own number there."""
    return f"GPU {index}" if mig is None else f"GPU {index} / MIG {mig.gpu_instance_id}"


class Device(Part, frozen=True, kw_only=True):
    """A GPU, or a MIG instance (`parent_uuid` set). The UUID is its identity; the index is a convenience."""

    uuid: str
    index: int
    """The driver's index of the GPU (of the parent, for a MIG instance)."""
    name: str
    state: GpuState = "ok"
    reason: str | None = None
    """Why `state` is not `ok`, in one line."""
    taken_at: float
    """When `memory` was read."""
    memory: Memory | None
    parent_uuid: str | None = None
    mig: MigInstance | None = None
    utilization_percent: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    addressing_mode: AddressingMode | None = None
    """How it reads the machine's memory: `hmm`: the kernel mirrors page tables; `ats`: it uses the processor's own."""
    numa_node: int | None = None
    """The kernel's NUMA node that its memory is, whose pages the kernel gives out and takes back."""
    is_partly_listed: bool = False
    """The list of its processes is there, and not whole (`unknown` has why): who is in it is known all the same."""


class MemoryLimit(Struct, frozen=True, kw_only=True):
    """Less than the GPU has: what a process may hold of it, by its cgroup or by its own settings. What a cgroup is only
    promised (`dmem.low`, `dmem.min`: others have to give way) refuses nothing, and is none."""

    kind: Literal["dmem", "nvml", "pytorch", "jax"]
    """Who keeps it: the kernel's controller, NVIDIA's driver by itself (as for MPS), or the allocator in the program:
    `torch.cuda.set_per_process_memory_fraction`, `XLA_PYTHON_CLIENT_MEM_FRACTION`."""
    limit_bytes: int
    """What is refused beyond."""
    used_bytes: int | None
    """Held of it, by all processes of the cgroup or by the allocator; null where nobody tells."""
    cgroup: str | None = None
    """Whose limit it is: the process's own, or one around it; null where the program limits itself."""


def bytes_left(limit: MemoryLimit) -> tuple[int, int]:
    """What a limit leaves, by which limits are compared, and the limit itself, where they leave the same. One that does
    not tell what is held leaves all."""
    return max(0, limit.limit_bytes - (limit.used_bytes or 0)), limit.limit_bytes


PodQos = Literal["guaranteed", "burstable", "besteffort"]
"""Kubernetes' classes of service."""


class Workload(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose a process is, as far as the path of its cgroup tells."""

    runtime: str | None = None
    """Who runs its container: `docker`, `containerd`, `cri-o`, `podman`, `lxc` or `systemd-nspawn`."""
    pod_uid: str | None = None
    """Uid of its pod."""
    namespace: str | None = None
    """Of the pod. Source: the kubelet's directories of logs, by `pod_uid`."""
    pod: str | None = None
    """Name of the pod, likewise."""
    qos: PodQos | None = None
    """The pod's class of service."""
    slurm_job: str | None = None
    """Number of its Slurm job."""
    slurm_step: str | None = None
    """Step of that job: a number, `batch`, `extern` or `interactive`."""
    unknown: dict[str, str] = {}
    """Key of this object -> why its value is not known. Keys that the path has no place for are absent without a
    reason: a process outside of pods has no pod."""


class GivenTo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A container of a pod that was given a GPU, whether it uses it or not. Source: the kubelet."""

    namespace: str
    """Kubernetes namespace of the pod."""
    pod: str
    """Name of the pod."""
    container: str
    """Name of the container in the pod."""
    shared: bool = False
    """It was given a share of the GPU (time slicing, MPS): others may have been given it, too. Absent otherwise."""


class GivenGpus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was given to whom, of a whole machine."""

    containers: dict[str, tuple[GivenTo, ...]] = {}
    """UUID of the GPU, or of the MIG instance -> who was given it."""
    reason: str | None = None
    """Why the others may have been given to somebody, too; null where they were given to nobody."""


class DeviceProcess(Part, frozen=True, kw_only=True, gc=False):
    """A process holding memory on one device, as the driver lists it."""

    pid: int
    gpu_uuid: str
    """The device it runs on: the MIG instance where there is one."""
    used_bytes: int | None
    kind: ProcessKind
    name: str | None
    user: str | None
    uid: int | None
    container: str | None
    """Container id as found in the process's cgroup path; None when it runs in none."""
    start_time: float | None
    """Unix seconds. With the pid, the identity of the process."""
    state: ThreadState | None = None
    """State of its main thread."""
    limit: MemoryLimit | None = None
    """Of its cgroups on this device, the one whose limit leaves least."""
    workload: Workload | None = None
    """What its cgroup says of whose it is; None where that names nobody."""


class AllocatorBlock(Struct, frozen=True, array_like=True, gc=False):
    """A block of a caching allocator, in the allocator's own words (PyTorch: segments hold blocks)."""

    address: int
    size: int
    state: BlockState
    type: BlockType = "other"
    requested_bytes: int | None = None
    subtype: str | None = None
    type_source: str | None = None
    thread_id: int | None = None
    stream: int | None = None
    stack: int | None = None
    """Who allocated it: `id` of one of the allocator's stacks."""
    segment: int | None = None
    """Address of the segment that it is cut from."""
    pool: int | None = None
    """Pool of its segment: 0 serves everybody, others those who asked for them (graphs, `MemPool`)."""
    allocated_at: float | None = None
    """Unix seconds."""


if TYPE_CHECKING:
    Blocks = Sequence[AllocatorBlock]
    """A source may hold them as it likes (`model.block_arrays`); read from bytes they are a tuple."""
else:
    Blocks = tuple[AllocatorBlock, ...]


class KvPage(Struct, frozen=True, array_like=True, gc=False):
    """A page of an inference engine's KV cache, its part in one layer, or several of a kind as one."""

    page_id: int
    """Of the first."""
    address: int
    size: int
    in_use: bool
    """Referenced by a request."""
    cached: bool
    """Holds a prefix that a later request may hit; evictable when not in use."""
    pages: int = 1
    """Neighbours that hold the same. With address 0, all that hold the same, wherever they lie."""


class KvPool(Struct, frozen=True, kw_only=True):
    """The KV cache of one engine on one device: the address range it takes from the allocator, and its pages.

    Pages lie inside `ranges`, do not overlap, and together are as large as the ranges. Where they would be too many,
    they are one row per state instead, without addresses, and just as large.
    """

    ranges: tuple[tuple[int, int], ...]
    """(address, size) of each backing tensor."""
    pages: tuple[KvPage, ...]


class OwningThread(Struct, frozen=True, kw_only=True):
    """A thread and the live bytes it allocated."""

    thread_id: int
    allocated_bytes: int
    state: ThreadState
    name: str | None = None


class OwningStack(Struct, frozen=True, array_like=True, gc=False):
    """A stack and the live bytes it allocated, of one purpose."""

    frames: tuple[str, ...]
    """Innermost first, as `file:line function`."""
    allocated_bytes: int
    blocks: int
    type: BlockType = "other"
    subtype: str | None = None
    id: int | None = None
    """What the allocator's blocks call it; None where they name no stack."""


class Allocator(Part, frozen=True, kw_only=True):
    """What one process's allocator holds on one device, told from inside the process."""

    pid: int
    start_time: float | None
    gpu_uuid: str
    taken_at: float
    source: str
    """Who told: `pytorch`, `jax`, `cupy`, `rmm`, `simulated`."""
    reserved_bytes: int
    """Held from the driver, minus memory put to sleep (still counted by the allocator, unmapped by the driver)."""
    allocated_bytes: int
    inactive_split_bytes: int | None
    """Free inside segments that a live neighbour keeps from being returned."""
    requested_bytes: int | None = None
    """What the program asked for, of `allocated_bytes`."""
    largest_free_bytes: int | None = None
    """The largest request that needs no new memory from the driver."""
    blocks: Blocks | None = None
    """None: counters only. They tile `reserved_bytes` exactly otherwise."""
    kv_pools: tuple[KvPool, ...] = ()
    threads: tuple[OwningThread, ...] | None = None
    """None: owners unknown. Sums to `allocated_bytes` otherwise."""
    details_taken_at: float | None = None
    """When `blocks`, `threads` and `stacks` were seen, where that is earlier than the counters; they may then sum to
    less."""
    stacks: tuple[OwningStack, ...] | None = None
    """None: nobody records who allocates. Sums to at most `allocated_bytes`: the largest are told, and those of blocks
    older than the recording are not known."""
    uid: int | None = None
    """User whose program told it, as the kernel says; None where that is not known."""
    limit_bytes: int | None = None
    """What it lets its program hold, by the program's own settings. None: all, or not known."""


class KernelCounters(Part, frozen=True, kw_only=True):
    """What the kernels of one process do to the memory; None where that was not measured. Units as in the contract's
    `nsight_metrics`."""

    pid: int
    scope: Literal["process", "device", "kernel"]
    source: str
    atomic_operations: int | None = None
    threads_per_block: int | None = None
    occupancy: float | None = None
    active_blocks: int | None = None
    memory_throughput: int | None = None
    dram_read_bytes: int | None = None
    dram_write_bytes: int | None = None
    program: str | None = None
    """Path of the program, where a report tells it."""
    uid: int | None = None
    """User whose program told it, as the kernel says; None where no program did, or it is not known."""


class InferenceEngine(Part, frozen=True, kw_only=True):
    """An inference engine and its KV cache, in pages."""

    kind: str
    pid: int | None
    model: str | None
    kv_pages_total: int | None = None
    kv_pages_used: int | None = None
    kv_pages_cached: int | None = None
    kv_usage_ratio: float | None = None
    prefix_hit_ratio: float | None = None
    requests_running: int | None = None
    requests_waiting: int | None = None
    preemptions_total: int | None = None
    sleeping: bool | None = None
    """Whether its model is out of the GPU's memory for now, by a sleep mode of its own; None where it does not tell."""
    pids: tuple[int, ...] = ()
    """Processes on GPUs that work for it: itself, and its workers. Empty where that is not known."""
    taken_at: float | None = None
    """When it told its figures."""
    uid: int | None = None
    """User whose program it is, as the kernel says; None where that is not known."""
