"""The kernels of a process, added up into its counters: each key in the way its unit demands.

Bytes and atomics are summed, throughput is all bytes over all time, shares and sizes are weighted with the time each
kernel ran. A sum over some of the kernels would be too small, so a figure that one of them lacks is unknown. Names of
metrics differ between generations of GPUs; each figure takes the first of its names that a kernel has.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from blackbox.model.parts import KernelCounters
from blackbox.sources.nsight_compute.kernel import Kernel

DURATION = "gpu__time_duration.sum"
DRAM_READ = ("dram__bytes_read.sum", "dram__bytes_op_read.sum")
DRAM_WRITE = ("dram__bytes_write.sum", "dram__bytes_op_write.sum")
DRAM_BOTH = "dram__bytes.sum"
DRAM_RATE = "dram__bytes.sum.per_second"
OCCUPANCY_ACHIEVED = "sm__warps_active.avg.pct_of_peak_sustained_active"
OCCUPANCY_THEORETICAL = "sm__maximum_warps_per_active_cycle_pct"
BLOCK_SIZE = "launch__block_size"
GRID_SIZE = "launch__grid_size"
BLOCKS_PER_MULTIPROCESSOR = "sm__ctas_active.avg.per_cycle_elapsed"
WARPS_PER_MULTIPROCESSOR = "sm__warps_active.avg.per_cycle_active"
MULTIPROCESSORS = ("device__attribute_multiprocessor_count", "launch__sm_count")

_ATOMIC_PLACES = ("generic_atom", "shared_atom", "surface_atom", "texture_atom")
_INSTRUCTION = "smsp__inst_executed_op_"
_REQUEST = "lts__t_requests_"
ATOMIC_INSTRUCTIONS = (
    *((f"{_INSTRUCTION}{place}",) for place in _ATOMIC_PLACES),
    *((f"{_INSTRUCTION}{place}_red",) for place in ("global", "surface", "texture")),
)
ATOMIC_REQUESTS = tuple(
    tuple(f"{_REQUEST}{unit}{operation}" for unit in ("", "srcunit_tex_")) for operation in ("op_atom", "op_red")
)
"""One tuple per addend, of the names it may go by. Each may also be split by what the atomic does."""
_SPLIT = ("_dot_alu", "_dot_cas")

ATOMICS_AT_THE_CACHE = "requests to the L2 cache, not instructions: those in shared memory are not among them"
WARP_THREADS = 32
VALUE_MAX = 2**53
"""What JSON readers hold exactly, and above any figure a GPU can reach; a larger one comes from a broken file."""
NANOSECONDS = 1e9

METRICS: frozenset[str] = frozenset(
    {
        DURATION,
        *DRAM_READ,
        *DRAM_WRITE,
        DRAM_BOTH,
        DRAM_RATE,
        OCCUPANCY_ACHIEVED,
        OCCUPANCY_THEORETICAL,
        BLOCK_SIZE,
        GRID_SIZE,
        BLOCKS_PER_MULTIPROCESSOR,
        WARPS_PER_MULTIPROCESSOR,
        *MULTIPROCESSORS,
    }
    | {
        f"{name}{split}.sum"
        for names in (*ATOMIC_INSTRUCTIONS, *ATOMIC_REQUESTS)
        for name in names
        for split in ("", *_SPLIT)
    }
)
"""All that is read of a report."""

Figure = Callable[[Kernel], float | None]


class CounterReading(NamedTuple):
    """A figure of a process, or None; `note` says why, or from what else it was derived."""

    value: float | None
    note: str | None = None


def counters(kernels: Iterable[Kernel], source: str) -> tuple[KernelCounters, ...]:
    """The counters of every process that has kernels here."""
    by_pid: defaultdict[int, list[Kernel]] = defaultdict(list)
    for kernel in kernels:
        by_pid[kernel.pid].append(kernel)
    return tuple(_process(pid, by_pid[pid], source) for pid in sorted(by_pid))


def _process(pid: int, kernels: Sequence[Kernel], source: str) -> KernelCounters:
    figures = {
        "atomic_operations": _atomics(kernels),
        "threads_per_block": _threads_per_block(kernels),
        "occupancy": _occupancy(kernels),
        "active_blocks": _active_blocks(kernels),
        "memory_throughput": _throughput(kernels),
        "dram_read_bytes": _sum(kernels, _any_of(*DRAM_READ), DRAM_READ[0]),
        "dram_write_bytes": _sum(kernels, _any_of(*DRAM_WRITE), DRAM_WRITE[0]),
    }
    readings = {key: _possible(one) for key, one in figures.items()}
    whole = {key: None if one.value is None else round(one.value) for key, one in readings.items()}
    occupancy = readings["occupancy"].value
    programs = {kernel.program for kernel in kernels}
    return KernelCounters(
        pid=pid,
        scope="kernel",
        source=source,
        atomic_operations=whole["atomic_operations"],
        threads_per_block=whole["threads_per_block"],
        occupancy=None if occupancy is None else round(occupancy, 2),
        active_blocks=whole["active_blocks"],
        memory_throughput=whole["memory_throughput"],
        dram_read_bytes=whole["dram_read_bytes"],
        dram_write_bytes=whole["dram_write_bytes"],
        program=programs.pop() if len(programs) == 1 else None,
        unknown={key: one.note for key, one in readings.items() if one.note is not None},
    )


def _possible(reading: CounterReading) -> CounterReading:
    if reading.value is None or reading.value <= VALUE_MAX:
        return reading
    return CounterReading(None, "the report's figures are impossible")


def _any_of(*names: str) -> Figure:
    return lambda kernel: next((kernel.metrics[name] for name in names if name in kernel.metrics), None)


def _sum(kernels: Sequence[Kernel], figure: Figure, name: str) -> CounterReading:
    """Over all kernels; unknown where one has no such figure."""
    values = [value for value in map(figure, kernels) if value is not None]
    if len(values) < len(kernels):
        return CounterReading(None, _lacking(len(kernels) - len(values), len(kernels), name))
    return CounterReading(sum(values))


def _weighted(kernels: Sequence[Kernel], figure: Figure, name: str) -> CounterReading:
    """The mean over the time the kernels ran."""
    total = _sum(kernels, figure, name)
    if total.value is None or len(kernels) == 1:
        return total
    time = _time(kernels)
    if not time.value:
        return time
    return CounterReading(sum((figure(kernel) or 0) * kernel.metrics[DURATION] for kernel in kernels) / time.value)


def _time(kernels: Sequence[Kernel]) -> CounterReading:
    """Nanoseconds that all kernels ran; never 0."""
    time = _sum(kernels, _any_of(DURATION), DURATION)
    return CounterReading(None, f"{DURATION} is 0") if time.value == 0 else time


def _lacking(kernels: int, of: int, name: str) -> str:
    return f"the report has no {name}" if kernels == of else f"{kernels} of {of} kernels have no {name}"


def _throughput(kernels: Sequence[Kernel]) -> CounterReading:
    """Bytes per second: all bytes over all time, not the mean of the kernels' rates."""
    time = _time(kernels)
    moved = _sum(kernels, _dram_bytes, DRAM_BOTH)
    if time.value is None or moved.value is None:
        return time if time.value is None else moved
    return CounterReading(moved.value / time.value * NANOSECONDS)


def _dram_bytes(kernel: Kernel) -> float | None:
    read, written = _any_of(*DRAM_READ)(kernel), _any_of(*DRAM_WRITE)(kernel)
    if read is not None and written is not None:
        return read + written
    rate, time = kernel.metrics.get(DRAM_RATE), kernel.metrics.get(DURATION)
    if DRAM_BOTH in kernel.metrics or rate is None or time is None:
        return kernel.metrics.get(DRAM_BOTH)
    return rate * time / NANOSECONDS


def _occupancy(kernels: Sequence[Kernel]) -> CounterReading:
    """Percent of the warps that fit; what the launch allows where nobody measured what was reached."""
    achieved = _weighted(kernels, _any_of(OCCUPANCY_ACHIEVED), OCCUPANCY_ACHIEVED)
    if achieved.value is not None:
        return achieved
    theoretical = _weighted(kernels, _any_of(OCCUPANCY_THEORETICAL), OCCUPANCY_THEORETICAL)
    if theoretical.value is None:
        return achieved
    return CounterReading(theoretical.value, f"theoretical, an upper bound: {achieved.note}")


def _threads_per_block(kernels: Sequence[Kernel]) -> CounterReading:
    """The block size that ran longest."""
    known = _sum(kernels, _any_of(BLOCK_SIZE), BLOCK_SIZE)
    if known.value is None:
        return known
    sizes = {kernel.metrics[BLOCK_SIZE] for kernel in kernels}
    if len(sizes) == 1:
        return CounterReading(sizes.pop())
    time = _time(kernels)
    if time.value is None:
        return time
    ran: defaultdict[float, float] = defaultdict(float)
    for kernel in kernels:
        ran[kernel.metrics[BLOCK_SIZE]] += kernel.metrics[DURATION]
    return CounterReading(max(ran, key=lambda size: (ran[size], size)))


def _active_blocks(kernels: Sequence[Kernel]) -> CounterReading:
    """Thread blocks on the whole GPU at one instant, on average."""
    counted = _weighted(kernels, _blocks_counted, BLOCKS_PER_MULTIPROCESSOR)
    if counted.value is not None:
        return counted
    derived = _weighted(kernels, _blocks_of_warps, BLOCKS_PER_MULTIPROCESSOR)
    if derived.value is None:
        return counted
    return CounterReading(derived.value, "derived from the active warps per multiprocessor, block size and grid size")


def _blocks_counted(kernel: Kernel) -> float | None:
    blocks, multiprocessors = kernel.metrics.get(BLOCKS_PER_MULTIPROCESSOR), _any_of(*MULTIPROCESSORS)(kernel)
    return None if blocks is None or multiprocessors is None else blocks * multiprocessors


def _blocks_of_warps(kernel: Kernel) -> float | None:
    """From the warps of a multiprocessor with work; a grid smaller than the GPU bounds it."""
    warps, size, grid = map(kernel.metrics.get, (WARPS_PER_MULTIPROCESSOR, BLOCK_SIZE, GRID_SIZE))
    multiprocessors = _any_of(*MULTIPROCESSORS)(kernel)
    if warps is None or not size or grid is None or multiprocessors is None:
        return None
    return min(grid, warps / -(-size // WARP_THREADS) * multiprocessors)


def _atomics(kernels: Sequence[Kernel]) -> CounterReading:
    """Instructions executed by warps; the requests that reached the L2 cache where nobody counted those."""
    instructions = _sum(kernels, _addends(ATOMIC_INSTRUCTIONS), "count of atomic instructions")
    if instructions.value is not None:
        return instructions
    requests = _sum(kernels, _addends(ATOMIC_REQUESTS), "count of atomic requests")
    if requests.value is None:
        return instructions
    return CounterReading(requests.value, ATOMICS_AT_THE_CACHE)


def _addends(addends: tuple[tuple[str, ...], ...]) -> Figure:
    def figure(kernel: Kernel) -> float | None:
        found = [value for names in addends if (value := _addend(kernel, names)) is not None]
        return sum(found) if found else None

    return figure


def _addend(kernel: Kernel, names: tuple[str, ...]) -> float | None:
    """Under the first name it goes by: whole, or in parts."""
    for name in names:
        if f"{name}.sum" in kernel.metrics:
            return kernel.metrics[f"{name}.sum"]
        parts = [kernel.metrics[part] for split in _SPLIT if (part := f"{name}{split}.sum") in kernel.metrics]
        if parts:
            return sum(parts)
    return None
