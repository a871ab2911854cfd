"""The title of a report: what happened, in one sentence."""

from blackbox.analysis.diagnosis import FailedRequest
from blackbox.analysis.usage import GpuSummary
from blackbox.model.event import Event
from blackbox.model.parts import Allocator, BlockState, gpu_name
from blackbox.model.text import signal_name, size
from blackbox.report.evidence import Evidence
from blackbox.report.subject import NAMELESS, ReportSubject, process_name
from blackbox.sources.memory_snapshot.traces import HOST

INACTIVE: BlockState = "inactive"
CRASH_TEXTS = {"exception": "an exception that nobody caught", "abrupt": "a signal or os._exit"}
"""How a process died, where neither the exception nor the signal is known."""


def is_crash(evidence: Evidence) -> bool:
    """Whether the report is about a crash: it says who held what, and not that memory was the cause."""
    return evidence.failure is not None and evidence.failure.kind == "crash"


def title_of(
    evidence: Evidence, request: FailedRequest | None, subject: ReportSubject | None, gpu: GpuSummary | None
) -> str:
    """What happened, where and to whom; where nothing did, how much is held."""
    where = f" on {gpu_name(gpu.index, gpu.mig)}" if gpu else _one_of_many(evidence)
    if evidence.failure is not None and is_crash(evidence):
        return _title_of_crash(evidence.failure, where)
    if evidence.failure is not None:
        name = _beginning(subject) if subject else _failed_name(evidence.failure)
        asked = f": it asked for {size(request.requested_bytes)}" if request is not None else ""
        return f"{name} ran out of memory{where}{asked}"
    if evidence.about is not None:
        return evidence.about.message
    if gpu is None and evidence.inside is None and subject is not None and subject.held.used_bytes:
        return f"{_beginning(subject)} holds {size(subject.held.used_bytes)}"
    if gpu is None:
        return _title_from_inside(evidence)
    return f"{size(gpu.used_bytes)} of {size(gpu.total_bytes)} are in use{where}"


def _beginning(subject: ReportSubject) -> str:
    """The process, as a sentence begins with it."""
    name = process_name(subject.held.name, subject.key.pid)
    return name.capitalize() if name == NAMELESS else name


def _title_of_crash(crash: Event, where: str) -> str:
    life = crash.process
    name = process_name(life.name if life else None, crash.pid or 0)
    how = None if life is None else CRASH_TEXTS.get(life.ended or "unknown")
    if life is not None and life.exception is not None:
        how = life.exception
    elif life is not None and life.signal is not None:
        how = signal_name(life.signal)
    return f"{name} died{where}" + (f" ({how})" if how else "") + ": this is who held what"


def _title_from_inside(evidence: Evidence) -> str:
    inside = evidence.inside
    if inside is None:
        return "No GPU memory was measured"
    allocator = inside.allocator
    if evidence.replayed is not None and evidence.replayed.told.kind == "peak":
        name, where = process_name(None, allocator.pid).capitalize(), _one_of_many(evidence)
        return (
            f"{name} held {size(allocator.allocated_bytes)} at its peak{where}, of {size(allocator.reserved_bytes)} "
            "that it kept from the driver"
        )
    hole = largest_hole(allocator)
    largest = f"; its largest hole is {size(hole)}" if hole is not None else ""
    return (
        f"{process_name(None, allocator.pid).capitalize()} holds {size(allocator.reserved_bytes)}, "
        f"{size(allocator.allocated_bytes)} of it in use{largest}"
    )


def _one_of_many(evidence: Evidence) -> str:
    """The GPU that a snapshot's report is about, where the program used several."""
    replayed = evidence.replayed
    gpus = () if replayed is None else [device for device in replayed.devices if device.gpu != HOST]
    return f" on GPU {replayed.told.device}" if replayed is not None and len(gpus) > 1 else ""


def _failed_name(failure: Event) -> str:
    return "A process" if failure.pid is None else f"pid {failure.pid}"


def largest_hole(allocator: Allocator) -> int | None:
    """The largest free piece of its cache, as told or as its blocks show; None where neither tells."""
    if allocator.largest_free_bytes is not None or allocator.blocks is None:
        return allocator.largest_free_bytes
    return max((block.size for block in allocator.blocks if block.state == INACTIVE), default=0)
