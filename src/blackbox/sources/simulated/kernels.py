"""What a profiler would count in the kernels of a simulated process."""

from typing import Literal, NamedTuple

from blackbox.model.parts import KernelCounters

WINDOW_SECONDS = 1
"""Counts are of the last second, so that DRAM bytes read and written add up to the throughput."""
PEAK_BYTES_PER_SECOND = 3_350_000_000_000
MULTIPROCESSORS = 132
RESIDENT_THREADS_MAX = 2048
"""Per multiprocessor."""


class KernelMix(NamedTuple):
    """What kind of kernels a workload runs, at full load."""

    dram_ratio: float
    """Share of the peak throughput."""
    read_ratio: float
    """Reads' share of the DRAM traffic."""
    occupancy_percent: float
    threads_per_block: int
    atomic_operations: int
    """Per second."""


def counters(pid: int, scope: Literal["process", "device"], mix: KernelMix, busy_ratio: float) -> KernelCounters:
    """The counters of a process whose kernels ran for `busy_ratio` of the window."""
    throughput = round(PEAK_BYTES_PER_SECOND * mix.dram_ratio * busy_ratio)
    read = round(throughput * WINDOW_SECONDS * mix.read_ratio)
    occupancy = round(mix.occupancy_percent * busy_ratio, 2)
    resident_threads = occupancy / 100 * RESIDENT_THREADS_MAX * MULTIPROCESSORS
    return KernelCounters(
        pid=pid,
        scope=scope,
        source="simulated",
        atomic_operations=round(mix.atomic_operations * WINDOW_SECONDS * busy_ratio),
        threads_per_block=mix.threads_per_block,
        occupancy=occupancy,
        active_blocks=round(resident_threads / mix.threads_per_block),
        memory_throughput=throughput,
        dram_read_bytes=read,
        dram_write_bytes=throughput * WINDOW_SECONDS - read,
    )
