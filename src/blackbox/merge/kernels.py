"""The `nsight_metrics` object: one entry per GPU process, and for every counter not measured the reason."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import structs

from blackbox.merge.process_rows import ProcessRows
from blackbox.merge.selection import KERNEL_COUNTERS, Selection, measured_count
from blackbox.model.facts import GPM, PM_SAMPLING, PROFILING
from blackbox.model.parts import KernelCounters
from blackbox.model.snapshot import KernelMetrics
from blackbox.model.status import SourceStatus

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


def kernel_metrics(
    selection: Selection, rows: ProcessRows, sources: Iterable[SourceStatus]
) -> dict[str, KernelMetrics]:
    """One entry per process, keyed by pid as text. The same object while rows and facts are the same, and nobody
    counts."""
    facts = {name: text for source in sources for name, text in source.facts.items()}
    told = tuple(fact.of(facts) for fact in (PROFILING, GPM, PM_SAMPLING))
    unmeasured = rows.once(("unmeasured", told), lambda: _unmeasured_entries(rows, facts))
    if not selection.kernels:
        return unmeasured
    counted = {str(pid): counters for pid, counters in selection.kernels.items()}
    return {pid: kernel_entry(counted[pid]) if pid in counted else entry for pid, entry in unmeasured.items()}


def _unmeasured_entries(rows: ProcessRows, facts: Mapping[str, str]) -> dict[str, KernelMetrics]:
    pids: dict[int, SharedGpu] = {}
    for gpu, on_it in rows.pids_by_gpu.items():
        shared = SharedGpu(gpu, len(on_it))
        for pid in on_it:
            known = pids.get(pid)
            if known is None or known.processes < shared.processes:
                pids[pid] = shared
    unmeasured = _UnmeasuredEntries(facts)
    return {str(pid): unmeasured.entry(shared) for pid, shared in pids.items()}


class SharedGpu(NamedTuple):
    """A GPU that a process holds memory on."""

    gpu: int
    processes: int
    """Number of processes on it, including this one."""


class _UnmeasuredEntries:
    """Entries of processes that no source measures, built once per reason: a busy GPU has hundreds of equal ones."""

    def __init__(self, facts: Mapping[str, str]) -> None:
        self._facts = facts
        self._entries: dict[SharedGpu, KernelMetrics] = {}

    def entry(self, shared: SharedGpu) -> KernelMetrics:
        """`shared`: the GPU with the most processes of those that the process holds memory on."""
        known = self._entries.get(shared)
        if known is None:
            known = self._entries[shared] = structs.replace(UNAVAILABLE, reason=self._reason(shared))
        return known

    def _reason(self, shared: SharedGpu) -> str:
        if PROFILING.of(self._facts) == "none":
            return f"{UNAVAILABLE.reason}: kernels on AMD's GPUs are not counted"
        if shared.processes > 1:
            why = f"GPU {shared.gpu} runs {shared.processes} processes, and live counters are of the whole GPU"
        elif GPM.of(self._facts) == "on":
            why = "the driver has not listed it yet"
        elif PM_SAMPLING.of(self._facts) == "on":
            why = "no window of PM sampling has been taken since it came"
        else:
            why = "live counters are off (blackbox serve --gpm or --pm-sampling)"
        limited = " as root, to whom this driver keeps them" if PROFILING.of(self._facts) == "administrators" else ""
        return f"{UNAVAILABLE.reason}: {why}; counters of its kernels: blackbox run --ncu{limited}"


def kernel_entry(counters: KernelCounters) -> KernelMetrics:
    """The entry of one process: measured counters, and for the others 0 with the reason in `unknown`."""
    missing = {name: "not measured by this source" for name in KERNEL_COUNTERS if getattr(counters, name) is None}
    available = measured_count(counters) > 0
    return KernelMetrics(
        atomic_operations=counters.atomic_operations or 0,
        threads_per_block=counters.threads_per_block or 0,
        occupancy=counters.occupancy or 0.0,
        active_blocks=counters.active_blocks or 0,
        memory_throughput=counters.memory_throughput or 0,
        dram_read_bytes=counters.dram_read_bytes or 0,
        dram_write_bytes=counters.dram_write_bytes or 0,
        available=available,
        scope=counters.scope,
        source=counters.source,
        reason=None if available else _common_reason(counters),
        program=counters.program,
        unknown=missing | counters.unknown,
    )


def _common_reason(counters: KernelCounters) -> str:
    """Why nothing was measured: the counters' reason where they share one."""
    reasons = {counters.unknown.get(name) for name in KERNEL_COUNTERS}
    return (reasons.pop() if len(reasons) == 1 else None) or "its source measured nothing"
