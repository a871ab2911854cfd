"""What the intervals of a window come to. Pure."""

import math
from collections.abc import Iterable, Sequence

from blackbox.model.parts import KernelCounters
from blackbox.sources.pm_sampling.collector import Interval

SOURCE = "pm_sampling"
COUNTED = (
    "atomic_operations",
    "occupancy",
    "active_blocks",
    "memory_throughput",
    "dram_read_bytes",
    "dram_write_bytes",
)
NOT_COUNTED = {"threads_per_block": "PM sampling does not count it"}
NO_DRAM = "this chip has no counters of its memory"
IDLE = "no kernel ran in the window"
OCCUPANCY_PERCENT_MAX = 110
"""Of one interval: its counters are not read at the very same moment. The whole window's is at most 100."""
NANOSECONDS = 1_000_000_000


def nothing(pid: int, reason: str) -> KernelCounters:
    """The row of a process that nothing is known of, with the reason."""
    return KernelCounters(pid=pid, scope="device", source=SOURCE, unknown=dict.fromkeys(COUNTED, reason) | NOT_COUNTED)


def totals(pid: int, intervals: Sequence[Interval], every_seconds: float) -> KernelCounters:
    """The row of the process that had the GPU to itself. Bytes and atomics are sums over the window; occupancy and
    blocks are means over the time in which there was work."""
    seconds = sum(interval.nanoseconds for interval in intervals) / NANOSECONDS
    if seconds <= 0 or not all(map(_is_possible, intervals)):
        return nothing(pid, "the window held no samples" if seconds <= 0 else "CUPTI answered impossible counts")
    read = _sum(interval.read_bytes for interval in intervals)
    written = _sum(interval.write_bytes for interval in intervals)
    cycles = math.fsum(interval.active_cycles for interval in intervals)
    window = f"of a window of {seconds:.3f} s, which is taken every {every_seconds:g} s"
    unknown = {
        **NOT_COUNTED,
        **dict.fromkeys(
            ("dram_read_bytes", "dram_write_bytes", "memory_throughput"), NO_DRAM if read is None else window
        ),
        "occupancy": IDLE if not cycles else f"{window}, while multiprocessors had work",
        "active_blocks": IDLE if not cycles else f"{window}, while multiprocessors had work",
        "atomic_operations": f"requests to the L2 cache, {window}",
    }
    return KernelCounters(
        pid=pid,
        scope="device",
        source=SOURCE,
        atomic_operations=round(math.fsum(interval.atomics + interval.reductions for interval in intervals)),
        occupancy=round(min(100.0, _mean(intervals, "occupancy_percent", cycles)), 2) if cycles else None,
        active_blocks=round(_mean(intervals, "blocks", cycles)) if cycles else None,
        memory_throughput=None if read is None or written is None else round((read + written) / seconds),
        dram_read_bytes=read,
        dram_write_bytes=written,
        unknown=unknown,
    )


def _sum(values: Iterable[float | None]) -> int | None:
    """None where the chip does not count them."""
    counted = [value for value in values if value is not None]
    return round(math.fsum(counted)) if counted else None


def _mean(intervals: Sequence[Interval], name: str, cycles: float) -> float:
    """Over the active cycles."""
    return math.fsum(getattr(one, name) * one.active_cycles for one in intervals if one.active_cycles) / cycles


def _is_possible(interval: Interval) -> bool:
    always = (
        interval.read_bytes or 0, interval.write_bytes or 0, interval.active_cycles, interval.atomics,
        interval.reductions,
    )  # fmt: skip
    if not all(math.isfinite(value) and value >= 0 for value in always):
        return False
    if not interval.active_cycles:
        return True
    return 0 <= interval.occupancy_percent <= OCCUPANCY_PERCENT_MAX and 0 <= interval.blocks < math.inf
