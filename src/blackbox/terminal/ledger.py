"""The ledger of each GPU: who holds how much, for what. It adds up to the GPU's total."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from blackbox.model.parts import gpu_name
from blackbox.model.snapshot import Gpu, Process, Snapshot
from blackbox.terminal.purposes import DRIVER, FREE, LOOK_OF, OPAQUE, OUTSIDE, RANK, UNATTRIBUTED


class LedgerPart(NamedTuple):
    """Memory for one purpose."""

    purpose: str
    bytes: int
    process: Process | None = None
    """Whose it is; None for what is no process's."""


class ProcessLedger(NamedTuple):
    """One process on one GPU. Its parts add up to its `used_bytes`."""

    process: Process
    parts: tuple[LedgerPart, ...]


class GpuLedger(NamedTuple):
    """One GPU, or a slice of one."""

    gpu: Gpu
    slices: "tuple[GpuLedger, ...]"
    """MIG slices of this GPU; it has no processes of its own then."""
    processes: tuple[ProcessLedger, ...]
    """By start, then pid."""
    parts: tuple[LedgerPart, ...]
    """Processes in their order, unattributed, free, driver."""


def ledgers(snapshot: Snapshot) -> tuple[GpuLedger, ...]:
    """GPUs by index, their slices below them. Needs no blocks (`blocks="none"`)."""
    inside = sorted(
        (_of_process(process) for process in snapshot.processes),
        key=lambda one: (one.process.start_time or 0.0, one.process.pid),
    )
    slices: dict[str, list[Gpu]] = {}
    for gpu in snapshot.gpus:
        if gpu.parent_uuid is not None:
            slices.setdefault(gpu.parent_uuid, []).append(gpu)
    known = {gpu.uuid for gpu in snapshot.gpus}
    whole = [gpu for gpu in snapshot.gpus if gpu.parent_uuid is None or gpu.parent_uuid not in known]
    return tuple(
        _of_gpu(gpu, tuple(_of_gpu(one, (), inside) for one in sorted(slices.get(gpu.uuid, []), key=_slice)), inside)
        for gpu in sorted(whole, key=lambda gpu: gpu.index)
    )


def leaves(found: Sequence[GpuLedger]) -> Iterator[GpuLedger]:
    """What holds memory: GPUs, and slices in place of a GPU that has some."""
    for ledger in found:
        yield from ledger.slices or (ledger,)


def gpu_label(gpu: Gpu) -> str:
    """`GPU 0`, `GPU 2 / MIG 1`."""
    return gpu_name(gpu.index, gpu.mig)


def gpu_labels(snapshot: Snapshot) -> dict[str, str]:
    """What the GPUs and slices of a snapshot are called, by UUID."""
    return {gpu.uuid: gpu_label(gpu) for gpu in snapshot.gpus}


def place_label(labels: Mapping[str, str], uuid: str, index: int) -> str:
    """What a GPU or slice is called of which an answer tells the UUID and the index, by the `labels` of the machine as
    it is now. A slice that is not there now goes by its UUID: the index is its GPU's."""
    return labels.get(uuid) or (uuid if uuid.startswith("MIG-") else f"GPU {index}")


def gpu_model(gpu: Gpu) -> str:
    """`H100 80GB HBM3`; of a slice its profile."""
    if gpu.mig is not None and gpu.mig.profile:
        return gpu.mig.profile
    return gpu.name.removeprefix("NVIDIA ").removeprefix("AMD ").replace(" (simulated)", "").partition(" MIG ")[0]


def process_label(name: str | None, pid: int) -> str:
    """`python 4711`."""
    return f"{name or 'process'} {pid}"


def cells(amounts: Sequence[int], total: int, width: int) -> list[int]:
    """Widths that add up to `width` where the amounts add up to `total`. What is more than nothing has a cell, taken
    from the widest, as far as there are so many cells."""
    if total <= 0 or width <= 0:
        return [0] * len(amounts)
    edges, sum_ = [0], 0
    for amount in amounts:
        sum_ += max(0, amount)
        edges.append(round(min(sum_, total) * width / total))
    found = [right - left for left, right in pairwise(edges)]
    for place, amount in enumerate(amounts):
        widest = max(range(len(found)), key=found.__getitem__)
        if amount > 0 and found[place] == 0 and found[widest] > 1:
            found[widest] -= 1
            found[place] = 1
    return found


def _slice(gpu: Gpu) -> int:
    return gpu.mig.gpu_instance_id if gpu.mig else 0


def _of_gpu(gpu: Gpu, slices: tuple[GpuLedger, ...], inside: Sequence[ProcessLedger]) -> GpuLedger:
    own = tuple(one for one in inside if one.process.gpu_uuid == gpu.uuid)
    below = [process for one in slices for process in one.processes] if slices else own
    rest = (
        LedgerPart(UNATTRIBUTED, max(0, gpu.unattributed_bytes)),
        LedgerPart(FREE, gpu.free_bytes),
        LedgerPart(DRIVER, gpu.driver_reserved_bytes),
    )
    held = [part for one in below for part in one.parts]
    return GpuLedger(gpu, slices, () if slices else own, tuple(one for one in (*held, *rest) if one.bytes > 0))


def _of_process(process: Process) -> ProcessLedger:
    """What it holds beside what its allocator tells lies outside that; of one that tells nothing all is opaque."""
    told = {key: count for key, count in (process.purposes or {}).items() if key in LOOK_OF}
    rest = process.used_bytes - sum(told.values())
    found = [LedgerPart(key, count, process) for key, count in told.items()]
    if rest > 0:
        found.append(LedgerPart(OUTSIDE if told else OPAQUE, rest, process))
    return ProcessLedger(process, tuple(sorted(found, key=lambda one: RANK[one.purpose])))
