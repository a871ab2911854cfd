"""The process that a report is about."""

from msgspec import Struct

from blackbox.analysis.usage import ProcessOnGpu, ProcessUsage, uses_of
from blackbox.merge.blocks import block_rows
from blackbox.model.text import who
from blackbox.report.evidence import Evidence

NAMELESS = "the recorded process"
"""That of a snapshot file."""


class ReportSubject(Struct, frozen=True):
    """The process that the report is about."""

    key: ProcessOnGpu
    held: ProcessUsage
    """As of the last summary."""


def subject_of(evidence: Evidence) -> ReportSubject | None:
    """The failed process; without a failure that of the event in question, the one whose inside is
    known, or else the one that holds the most: of the event's GPU, where it names one."""
    processes = evidence.summaries[-1].processes
    wanted = _wanted(evidence)
    if wanted is not None:
        uuid, pid = wanted
        found = [key for key in processes if key.pid == pid and uuid in (None, key.gpu_uuid)]
        if found:
            return ReportSubject(found[0], processes[found[0]])
    if evidence.failure is not None:
        return _absent_subject(evidence)
    if evidence.about is not None and evidence.about.gpu_uuid is not None:
        processes = {key: held for key, held in processes.items() if key.gpu_uuid == evidence.about.gpu_uuid}
    largest = max(processes, key=lambda key: processes[key].used_bytes, default=None)
    return ReportSubject(largest, processes[largest]) if largest else None


def _wanted(evidence: Evidence) -> tuple[str | None, int] | None:
    if evidence.failure is not None:
        return None if evidence.failure.pid is None else (evidence.failure.gpu_uuid, evidence.failure.pid)
    if evidence.about is not None:
        return None if evidence.about.pid is None else (evidence.about.gpu_uuid, evidence.about.pid)
    if evidence.inside is not None:
        return evidence.inside.allocator.gpu_uuid, evidence.inside.allocator.pid
    return None


def _absent_subject(evidence: Evidence) -> ReportSubject | None:
    """A failed process that is in no sample: known only from what its agent sent."""
    inside = evidence.inside
    if inside is None:
        return None
    allocator = inside.allocator
    uses = uses_of(block_rows(allocator.pid, 0, allocator))
    return ReportSubject(
        ProcessOnGpu(allocator.gpu_uuid, allocator.pid, allocator.start_time),
        ProcessUsage("", None, allocator.reserved_bytes, uses),
    )


def process_name(name: str | None, pid: int) -> str:
    """A process as text; in files its pid may be unknown (0)."""
    return who(name or None, pid) if pid else name or NAMELESS
