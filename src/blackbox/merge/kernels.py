"""The `nsight_metrics` object: one entry per GPU process, honest about what nobody measured."""

from collections.abc import Iterable

from blackbox.merge.holding import Holding
from blackbox.merge.selection import Selection
from blackbox.model.sample import KernelCounters
from blackbox.model.snapshot import KernelMetrics

COUNTERS = (
    "atomic_operations",
    "threads_per_block",
    "occupancy",
    "active_blocks",
    "memory_throughput",
    "dram_read_bytes",
    "dram_write_bytes",
)

UNAVAILABLE = KernelMetrics(
    atomic_operations=0,
    threads_per_block=0,
    occupancy=0.0,
    active_blocks=0,
    memory_throughput=0,
    dram_read_bytes=0,
    dram_write_bytes=0,
    available=False,
    scope=None,
    source=None,
    reason="no profiler measures this process",
)


def kernel_metrics(selection: Selection, held: Iterable[Holding]) -> dict[str, KernelMetrics]:
    """An entry per process, keyed by pid as text."""
    pids = dict.fromkeys(holding.process.pid for holding in held)
    return {str(pid): _entry(selection.kernels.get(pid)) for pid in pids}


def _entry(counters: KernelCounters | None) -> KernelMetrics:
    if counters is None:
        return UNAVAILABLE
    missing = {name: "not measured by this source" for name in COUNTERS if getattr(counters, name) is None}
    return KernelMetrics(
        atomic_operations=counters.atomic_operations or 0,
        threads_per_block=counters.threads_per_block or 0,
        occupancy=counters.occupancy or 0.0,
        active_blocks=counters.active_blocks or 0,
        memory_throughput=counters.memory_throughput or 0,
        dram_read_bytes=counters.dram_read_bytes or 0,
        dram_write_bytes=counters.dram_write_bytes or 0,
        available=len(missing) < len(COUNTERS),
        scope=counters.scope,
        source=counters.source,
        reason=None if len(missing) < len(COUNTERS) else "its source measured nothing",
        unknown=missing | counters.unknown,
    )
