"""What an agent reports: plain tuples that both sides know. Sizes in bytes; `None` where the agent cannot tell.

On the wire they are JSON arrays, field by field, with the long columns packed behind (see `blackbox.wire.message`).
A new field goes last and has a default, and is sent to a daemon that says it reads it (`Welcome`), as others refuse
what they do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

STATES = ("inactive", "active", "pending_free")
"""States of a block, by code: free in its segment; holding live data; freed, but a stream still waits for it."""
TYPES = ("other", "weight", "activation", "kv_cache")
"""Types of a block, by code."""
NOT_KNOWN = 2**64 - 1
"""A requested size or a stream that is not known for one block of a column."""
NO_THREAD = 0
"""A thread that is not known for one block of a column."""
PAGE_IN_USE = 1
"""Bit of a page's state: referenced by a request."""
PAGE_CACHED = 2
"""Bit of a page's state: holds a prefix that a later request may hit."""
NO_STACK = 2**32 - 1
"""A stack that is not known for one block of a column."""
OOM_TRACE = "oom_trace"
"""In `Welcome`: of a failed allocation all that its trace can be replayed with."""
BLOCK_ORIGINS = "block_origins"
"""In `Welcome`: of each block the stack and the time of its allocation, its segment and its pool."""
MEMORY_FRACTION = "memory_fraction"
"""In `Welcome`: of a failed allocation the share of the GPU that its program may have."""
ALLOCATOR_LIMIT = "allocator_limit"
"""In `Welcome`: what an allocator lets its program hold."""
HOST_PINNED = "host_pinned"
"""In `Welcome`: of a failed allocation the pinned memory of the host that its program held."""
POOLS_MAX = 256
"""Of one allocator that are told apart: a byte tells which."""


class Hello(NamedTuple):
    """The agent's process, as it sees itself. Where the kernel says something else, the daemon believes the kernel."""

    pid: int
    """In the agent's own pid namespace."""
    pid_namespace: int
    """Inode of `/proc/self/ns/pid`; 0 where it cannot be read."""
    start_ticks: int
    """Field 22 of `/proc/self/stat`; 0 where it cannot be read."""


class Welcome(NamedTuple):
    """What a daemon reads beyond the first version of these reports."""

    reads: tuple[str, ...] = ()
    """Names of additions, such as `OOM_TRACE`; an agent leaves alone those it does not know."""


class Goodbye(NamedTuple):
    """How a program ended, where no signal killed it."""

    exception: str | None = None
    """Type of the exception that nobody caught, such as `torch.OutOfMemoryError`; never its message. None: it returned,
    or left by `sys.exit`."""


class Cost(NamedTuple):
    """What the agent has cost its program since it started, and what it could not deliver."""

    cpu_seconds: float
    """CPU time of its thread, and of the program's threads inside its hooks where they say so."""
    reports: int
    dropped: int
    """Reports replaced by newer ones because the daemon was slow or away, or too large to send."""


class BlockColumns(NamedTuple):
    """The blocks of an allocator, one column per property, all of the same length; None: not known for any block.

    Columns are any sequences of whole numbers; comprehensions over the allocator's own list are fastest.
    """

    address: Sequence[int]
    size: Sequence[int]
    state: Sequence[int]
    """Index into `STATES`."""
    type: Sequence[int] | None = None
    """Index into `TYPES`."""
    requested: Sequence[int] | None = None
    """`NOT_KNOWN` where a block does not tell."""
    stream: Sequence[int] | None = None
    """`NOT_KNOWN` where a block does not tell."""
    thread: Sequence[int] | None = None
    """OS thread id in the agent's pid namespace; `NO_THREAD` where a block does not tell."""
    label: Sequence[int] | None = None
    """Index into `labels`."""
    labels: Sequence[tuple[str | None, str | None]] = ((None, None),)
    """(subtype, type_source) pairs, at most 256."""
    stack: Sequence[int] | None = None
    """`NO_STACK` where a block does not tell. Of a report: index into the stacks of its allocator, part of
    `BLOCK_ORIGINS`. Of a failed allocation: index into its stacks, part of `OOM_TRACE`."""
    starts: Sequence[int] | None = None
    """1 where the block is the first of its segment, else 0. Part of `BLOCK_ORIGINS`, as all that follows."""
    pool: Sequence[int] | None = None
    """Pool of its segment: 0 serves everybody, others by number."""
    allocated_ms: Sequence[int] | None = None
    """Unix time of its allocation in milliseconds; 0 where a block does not tell."""


class OwnerThread(NamedTuple):
    """A thread and the live bytes it allocated."""

    thread_id: int
    """OS thread id in the agent's pid namespace."""
    allocated_bytes: int
    name: str | None = None


class OwnerStack(NamedTuple):
    """A stack and the live bytes it allocated, of one purpose."""

    frames: tuple[str, ...]
    """Innermost first, as `file:line function`."""
    allocated_bytes: int
    blocks: int
    type: int = 0
    """Index into `TYPES`."""
    subtype: str | None = None


class AllocatorReport(NamedTuple):
    """What one allocator holds on one device. Fields mean what they mean in `blackbox.model.parts.Allocator`."""

    gpu_uuid: str
    """As the driver spells it: `GPU-…`, or `MIG-…` (see `blackbox.agent.devices`)."""
    reserved_bytes: int
    """Held from the driver, less what was put to sleep."""
    allocated_bytes: int
    inactive_split_bytes: int | None = None
    requested_bytes: int | None = None
    largest_free_bytes: int | None = None
    blocks: BlockColumns | None = None
    """They tile `reserved_bytes` exactly. None: unchanged, the last ones sent still stand."""
    threads: tuple[OwnerThread, ...] | None = None
    """At most `allocated_bytes` in sum. None: unchanged."""
    unknown: dict[str, str] = {}  # noqa: RUF012 - never changed
    """Field -> why it is not known."""
    stacks: tuple[OwnerStack, ...] | None = None
    """At most `allocated_bytes` in sum; sent, and replaced, with the blocks. None: not recorded."""
    limit_bytes: int | None = None
    """What it lets its program hold of the device, by the program's own settings. None: all, or not known. Part of
    `ALLOCATOR_LIMIT`."""


class KvPiece(NamedTuple):
    """Where the pages of one tensor lie: page i at `address + i * stride`, `size` bytes."""

    address: int
    stride: int
    size: int


class KvLayout(NamedTuple):
    """Where the KV cache of an engine is on one device, reported by the process that holds the memory."""

    engine: str
    """A key that the process with the layout and the one with the states both know; compared within one user and
    one pid namespace."""
    gpu_uuid: str
    ranges: tuple[tuple[int, int], ...]
    """(address, size) of each backing tensor. The pages tile them."""
    pages: int
    """Page ids 0 to `pages - 1`."""
    pieces: tuple[KvPiece, ...]
    """Every page has a part in each: one per layer where layers are apart."""


class KvStates(NamedTuple):
    """What the pages of an engine hold, reported by the process that assigns them."""

    engine: str
    states: bytes
    """One byte per page id: `PAGE_IN_USE`, `PAGE_CACHED`."""


class KernelReport(NamedTuple):
    """What the kernels of this process do. Fields mean what they mean in `blackbox.model.parts.KernelCounters`."""

    scope: Literal["process", "device", "kernel"]
    atomic_operations: int | None = None
    threads_per_block: int | None = None
    occupancy: float | None = None
    active_blocks: int | None = None
    memory_throughput: int | None = None
    dram_read_bytes: int | None = None
    dram_write_bytes: int | None = None
    unknown: dict[str, str] = {}  # noqa: RUF012


class EngineReport(NamedTuple):
    """An inference engine in this process. Fields mean what they mean in `blackbox.model.parts.InferenceEngine`."""

    kind: str
    model: str | None = None
    kv_pages_total: int | None = None
    kv_pages_used: int | None = None
    kv_pages_cached: int | None = None
    kv_usage_ratio: float | None = None
    prefix_hit_ratio: float | None = None
    requests_running: int | None = None
    requests_waiting: int | None = None
    preemptions_total: int | None = None
    unknown: dict[str, str] = {}  # noqa: RUF012


class Report(NamedTuple):
    """All that one probe sees at one instant; it replaces the last report of that probe.

    In a field that may be None, None means "unchanged" and an empty value "there is none".
    """

    source: str
    """The probe: `pytorch`, `vllm`, `jax`, `cupy`, `rmm`, `cupti`."""
    taken_at: float
    """`time.monotonic()`."""
    allocators: tuple[AllocatorReport, ...] = ()
    """Of every device it holds memory on; a device that is missing holds none any more."""
    kv_layouts: tuple[KvLayout, ...] | None = None
    kv_states: tuple[KvStates, ...] | None = None
    kernels: tuple[KernelReport, ...] | None = None
    """At most one."""
    engines: tuple[EngineReport, ...] | None = None


class TraceStep(NamedTuple):
    """One step in the history of an allocator."""

    action: str
    """In the allocator's own words: `alloc`, `free_completed`, `segment_alloc`, `oom`."""
    address: int
    size: int
    stream: int = NOT_KNOWN
    time_us: int | None = None
    """Unix time in microseconds."""
    stack: int | None = None
    """Index into the stacks beside it."""
    pool: tuple[int, int] | None = None
    """None: this version of PyTorch does not tell it. Part of `OOM_TRACE`, as `tag`."""
    tag: str | None = None
    """The program's own note."""


class SegmentRow(NamedTuple):
    """Memory that an allocator got in one piece; its blocks tile it."""

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


class AllocatorSettings(NamedTuple):
    """What decides how the allocator cuts its blocks."""

    max_split_bytes: int | None = None
    """None: no such limit."""
    expandable: bool = False
    divisions: tuple[int, ...] = ()
    """`roundup_power2_divisions`, for sizes below 2 MiB, from 2 to 4 MiB, ..."""
    memory_fraction: float | None = None
    """Of the GPU's memory, that the program may have; None: all, or not known. Part of `MEMORY_FRACTION`."""


class ScopeEdge(NamedTuple):
    """Where a scope that the program named begins or ends."""

    name: str
    stage: Literal["START", "END"]
    time_us: int
    """Unix time in microseconds."""


class Oom(NamedTuple):
    """An allocation that failed, with what is needed to find the cause."""

    source: str
    taken_at: float
    """`time.monotonic()`."""
    timestamp: float
    """`time.time()`."""
    gpu_uuid: str
    requested_bytes: int
    thread_id: int
    """The thread that allocated: its OS id in the agent's pid namespace."""
    device_total_bytes: int | None = None
    device_free_bytes: int | None = None
    allocator: AllocatorReport | None = None
    """With its blocks, where they could be listed."""
    trace: tuple[TraceStep, ...] = ()
    """The last steps, oldest first."""
    stacks: tuple[tuple[str, ...], ...] = ()
    """Distinct stacks of the steps and blocks, each innermost first, as `file:line function`."""
    message: str = ""
    segments: tuple[SegmentRow, ...] = ()
    """Those of the blocks, by address. Part of `OOM_TRACE`, as all that follows."""
    settings: AllocatorSettings | None = None
    scopes: tuple[ScopeEdge, ...] = ()
    """The newest, oldest first."""
    host_pinned_bytes: int | None = None
    """Pinned memory of the host that the program held then; None: not recorded. Part of `HOST_PINNED`."""
